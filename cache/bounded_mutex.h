#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace flashmask::cache {

/// A mutex that is waited for a limited time; for std::unique_lock. What std::timed_mutex does, by calls that
/// ThreadSanitizer of GCC 12 knows: it takes a lock by pthread_mutex_clocklock for none and reports its release.
class BoundedMutex {
 public:
  /// Steady time; false once the limit is over.
  bool try_lock_for(std::chrono::nanoseconds limit) {
    std::unique_lock lock(mutex_);
    if (!free_.wait_for(lock, limit, [this] { return !held_; })) return false;
    held_ = true;
    return true;
  }
  void unlock() {
    {
      std::lock_guard lock(mutex_);
      held_ = false;
    }
    free_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable free_;
  bool held_ = false;
};

}  // namespace flashmask::cache
