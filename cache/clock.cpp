#include "cache/clock.h"

#include <thread>

namespace flashmask::cache {

Clock& Clock::real() {
  // Never destroyed, like the real file system: static objects may hold a store.
  static Clock& instance = *new Clock;
  return instance;
}

std::chrono::steady_clock::time_point Clock::now() {
  return std::chrono::steady_clock::now();
}

std::chrono::system_clock::time_point Clock::wall_time() {
  return std::chrono::system_clock::now();
}

void Clock::sleep(std::chrono::nanoseconds duration) {
  std::this_thread::sleep_for(duration);
}

}  // namespace flashmask::cache
