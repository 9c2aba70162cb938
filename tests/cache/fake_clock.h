#pragma once

#include <chrono>
#include <mutex>
#include <vector>

#include "cache/clock.h"

namespace flashmask::cache {

/// Time that passes only when somebody sleeps. The time of files starts at the real one, for files have real times.
class FakeClock : public Clock {
 public:
  std::chrono::steady_clock::time_point now() override {
    std::lock_guard lock(mutex_);
    return std::chrono::steady_clock::time_point(elapsed_);
  }
  std::chrono::system_clock::time_point wall_time() override {
    std::lock_guard lock(mutex_);
    return start_ + std::chrono::duration_cast<std::chrono::system_clock::duration>(elapsed_);
  }
  void sleep(std::chrono::nanoseconds duration) override {
    std::lock_guard lock(mutex_);
    elapsed_ += duration;
    pauses_.push_back(duration);
  }

  std::chrono::nanoseconds elapsed() {
    std::lock_guard lock(mutex_);
    return elapsed_;
  }
  std::vector<std::chrono::nanoseconds> pauses() {
    std::lock_guard lock(mutex_);
    return pauses_;
  }

 private:
  std::mutex mutex_;
  std::chrono::system_clock::time_point start_ = std::chrono::system_clock::now();
  std::chrono::nanoseconds elapsed_{0};
  std::vector<std::chrono::nanoseconds> pauses_;
};

}  // namespace flashmask::cache
