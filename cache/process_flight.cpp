#include "cache/process_flight.h"

#include <algorithm>

namespace flashmask::cache {
namespace {

using std::chrono::nanoseconds;

/// Pauses double from the first to the longest.
struct PauseRange {
  nanoseconds first;
  nanoseconds longest;
};
constexpr PauseRange kForSeconds{std::chrono::milliseconds(5), std::chrono::milliseconds(50)};  // what is compiled
constexpr PauseRange kForMilliseconds{std::chrono::microseconds(200), std::chrono::milliseconds(5)};

/// Pauses that grow, up to a deadline.
class Pauses {
 public:
  Pauses(Clock& clock, nanoseconds limit, PauseRange range)
      : clock_(clock), deadline_(clock.now() + limit), pause_(range.first), longest_(range.longest) {}

  /// Waits a little; false at once if the deadline is over.
  bool take() {
    const nanoseconds left = deadline_ - clock_.now();
    if (left <= nanoseconds::zero()) return false;
    clock_.sleep(std::min(pause_, left));
    pause_ = std::min(2 * pause_, longest_);
    return true;
  }

 private:
  Clock& clock_;
  std::chrono::steady_clock::time_point deadline_;
  nanoseconds pause_;
  nanoseconds longest_;
};

}  // namespace

Turn wait_for_turn(ByteLock& lock, const std::function<bool()>& look, Clock& clock, nanoseconds limit) {
  Pauses pauses(clock, limit, kForSeconds);
  do {
    const ByteLock::State state = lock.attempt();
    if (state == ByteLock::State::kUnavailable) return Turn::kUnlocked;
    if (look()) {
      lock.release();
      return Turn::kServed;
    }
    if (state == ByteLock::State::kHeld) return Turn::kHeld;
  } while (pauses.take());
  return Turn::kTimedOut;
}

ByteLock::State wait_for_lock(ByteLock& lock, Clock& clock, nanoseconds limit) {
  Pauses pauses(clock, limit, kForMilliseconds);
  for (;;) {
    const ByteLock::State state = lock.attempt();
    if (state != ByteLock::State::kBusy || !pauses.take()) return state;
  }
}

}  // namespace flashmask::cache
