#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/runtime.h"
#include "flashmask/tile_space.h"
#include "flashmask/tuning_database.h"
#include "flashmask/tuning_problem.h"

namespace flashmask {

/// How many configurations are tried, and how often.
enum class TuningEffort {
  kQuick,   ///< the default's neighbours
  kNormal,  ///< the nearer half of the space
  kFull,    ///< all of it
};
/// "quick", "normal" or "full".
FLASHMASK_API std::string_view to_string(TuningEffort effort);
FLASHMASK_API std::optional<TuningEffort> parse_tuning_effort(std::string_view text);

/// Where the tuning of a problem stands.
struct TuningProgress {
  enum class Phase { kTrials, kRounds };
  Phase phase = Phase::kTrials;
  std::size_t done = 0;   ///< configurations of the trials, or rounds
  std::size_t all = 0;    ///< of rounds: at most
  TileConfig best;        ///< so far
  double best_ratio = 1;  ///< its time over the default's; 1: nothing is known yet
};

struct TuningOptions {
  TuningEffort effort = TuningEffort::kNormal;
  /// Wall-clock time for all problems of this tuner; empty: as long as it takes. What is not decided then stays open,
  /// and is taken up again by the next tuner with the same database.
  std::optional<std::chrono::duration<double>> budget{};
  int jobs = 0;        ///< compilations at a time; 0: as many as there are cores
  bool again = false;  ///< measure anew what was answered or tried before
  /// Answer from the database alone: nothing is compiled or timed. For all ranks of a job but the first.
  bool replay_only = false;
  /// The command that starts a process which times (of this library's command: `flashmask tune-worker`). Empty: this
  /// process does, and a configuration that crashes ends it.
  std::vector<std::string> worker{};
  std::chrono::milliseconds answer_limit{60'000};  ///< after which a configuration counts as hung
  std::function<bool()> stop{};                    ///< asked between two trials: whether to end here
  std::function<void(const TuningProgress&)> progress{};
};

/// How many configurations came how far.
struct TuningCounts {
  std::size_t combinations = 0;
  std::size_t legal = 0;
  std::size_t worth_trying = 0;  ///< by the resource model
  std::size_t tried = 0;         ///< of them, as many as the effort allows
  std::size_t uncompilable = 0;
  std::size_t spilling = 0;  ///< or with products that are serialised
  std::size_t failed = 0;    ///< wrong, crashed or hung
  std::size_t slow = 0;      ///< by their coarse time
  std::size_t finalists = 0;
  std::size_t repeated = 0;  ///< trials that were taken from the database
};

struct TuningResult {
  enum class End {
    kDecided,
    kFound,       ///< an answer was in the database
    kStopped,     ///< by stop() or the budget; the trials so far are kept
    kUnanswered,  ///< replay_only, and there is none
  };
  End end = End::kDecided;
  TuningKey key;
  std::optional<TuningRecord> record;  ///< kDecided, kFound
  TuningCounts counts;
  std::vector<TuningTrial> trials;  ///< all of this key, in the order of the space
};

/// The configurations that an effort tries: the first of the space's members.
FLASHMASK_API std::vector<SpaceMember> members_for(const TileSpace& space, TuningEffort effort);

/// Finds the fastest configuration of problems on the runtime's device, and keeps every trial. On an emulated device
/// seconds are modelled, and marked so. Not thread-safe.
class FLASHMASK_API Tuner {
 public:
  /// Both must outlive it. Throws Error{kInvalidArgument} for a runtime without a device, a budget of 0 or below, and
  /// negative jobs.
  Tuner(Runtime& runtime, TuningDatabase& database, TuningOptions options);
  ~Tuner();
  Tuner(const Tuner&) = delete;
  Tuner& operator=(const Tuner&) = delete;

  /// Answers the problem's bucket. A configuration that fails is a trial with its reason, and tuning goes on; it throws
  /// Error where the default configuration fails, where no process can time, and what the database throws.
  TuningResult tune(const TuningProblem& problem);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What a process does that times for a Tuner: answers commands on standard input until it ends. Returns its exit code.
FLASHMASK_API int serve_tuner();

}  // namespace flashmask
