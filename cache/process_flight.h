#pragma once

#include <chrono>
#include <functional>

#include "cache/byte_lock.h"
#include "cache/clock.h"

namespace flashmask::cache {

/// How long to wait for another process that makes an entry before making it, too: a compilation takes seconds, and a
/// process that was stopped must not stop others.
inline constexpr std::chrono::seconds kDefaultWaitLimit{60};

/// How waiting for one's turn ended.
enum class Turn {
  kServed,    // what was waited for is there
  kHeld,      // the lock is ours and it is still not there: make it, then let the lock go
  kUnlocked,  // there are no locks here: make it, even if others may be doing so too
  kTimedOut,  // another one has been holding the lock for longer than the limit: make it, too
};

/// Waits until `look` finds what it looks for, the lock can be had, or the limit is over. Looks again after the lock
/// was had, as its former holder may have made the thing. Both are polled, since the holder may be killed, stopped, or
/// let the lock go long after it published: every 5 ms at first, every 50 ms in the end. Rethrows what `look` throws.
Turn wait_for_turn(ByteLock& lock, const std::function<bool()>& look, Clock& clock, std::chrono::nanoseconds limit);

/// Waits for the lock alone, which its holders keep for milliseconds.
ByteLock::State wait_for_lock(ByteLock& lock, Clock& clock, std::chrono::nanoseconds limit);

}  // namespace flashmask::cache
