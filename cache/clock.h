#pragma once

#include <chrono>

namespace flashmask::cache {

/// Time and waiting, so that a test needs neither. The base class is the real thing. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  /// The real one, for the life of the process.
  static Clock& real();

  /// Never goes back: for limits of waiting.
  virtual std::chrono::steady_clock::time_point now();
  /// The time of files: for their age.
  virtual std::chrono::system_clock::time_point wall_time();
  virtual void sleep(std::chrono::nanoseconds duration);
};

}  // namespace flashmask::cache
