#include "flashmask/tuner.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>
#include <thread>
#include <utility>

#include "runtime/tune/bench_protocol.h"
#include "runtime/tune/compile_ahead.h"
#include "runtime/tune/cost_model.h"
#include "runtime/tune/decision.h"
#include "runtime/tune/device_bench.h"
#include "runtime/tune/drift.h"
#include "runtime/tune/effort.h"
#include "runtime/tune/model_bench.h"
#include "runtime/tune/tuning_identity.h"
#include "runtime/tune/worker_bench.h"

namespace flashmask {

using namespace tune;

namespace {

using Clock = std::chrono::steady_clock;

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

/// Different for each process and each tuner in it.
std::string session_name() {
  return fmt::format("{}-{}", utc_now(), ::getpid());
}

/// The outcome that the compiler's log alone decides; nothing if the kernel is worth running.
std::optional<std::pair<TrialOutcome, std::string>> judge_compilation(const CompiledTrial& compiled) {
  if (!compiled.compiled) return std::pair(TrialOutcome::kUncompilable, compiled.failure);
  const int spilled = compiled.resources.spill_load_bytes + compiled.resources.spill_store_bytes;
  for (const std::string& remark : compiled.remarks)
    if (remark.find("(C75") != std::string::npos) return std::pair(TrialOutcome::kSerialised, remark);
  if (spilled > 0)
    return std::pair(
        TrialOutcome::kSpills,
        fmt::format("{} registers, {} bytes are stored to local memory and {} loaded", compiled.resources.registers,
                    compiled.resources.spill_store_bytes, compiled.resources.spill_load_bytes));
  return std::nullopt;
}

double median_of(const Rounds& rounds, std::size_t candidate) {
  std::vector<double> seconds;
  for (const std::vector<double>& round : rounds)
    if (std::isfinite(round[candidate])) seconds.push_back(round[candidate]);
  return median(std::move(seconds));
}

/// The reason of a decision, which numbers the candidates, with their names.
std::string with_names(const std::string& reason, const std::vector<std::string>& names) {
  constexpr std::string_view kCandidate = "candidate ";
  std::string named;
  std::size_t from = 0;
  for (std::size_t at = 0; (at = reason.find(kCandidate, from)) != std::string::npos;) {
    std::size_t number = 0;
    const char* digits = reason.data() + at + kCandidate.size();
    const auto [end, failure] = std::from_chars(digits, reason.data() + reason.size(), number);
    named.append(reason, from, at - from);
    const bool is_named = failure == std::errc{} && number < names.size();
    named += is_named ? names[number] : std::string(kCandidate);
    from = is_named ? static_cast<std::size_t>(end - reason.data()) : at + kCandidate.size();
  }
  return named + reason.substr(from);
}

bool was_timed(const TuningTrial& trial) {
  return trial.coarse_seconds > 0 && (trial.outcome == TrialOutcome::kTimed || trial.outcome == TrialOutcome::kSlow);
}

}  // namespace

struct Tuner::State {
  Runtime& runtime;
  TuningDatabase& database;
  TuningOptions options;
  Clock::time_point begin = Clock::now();
  std::string session = session_name();

  bool is_over() const {
    return (options.stop && options.stop()) || (options.budget && Clock::now() - begin > *options.budget);
  }
};

namespace {

/// The tuning of one problem.
class ProblemTuner {
 public:
  ProblemTuner(Runtime& runtime, TuningDatabase& database, const TuningOptions& options, const std::string& session,
               std::function<bool()> is_over, const TuningProblem& problem, const TuningKey& key)
      : runtime_(runtime),
        database_(database),
        options_(options),
        session_(session),
        is_over_(std::move(is_over)),
        problem_(problem),
        plan_(plan_of(options.effort)) {
    result_.key = key;
  }

  TuningResult run() {
    const TileSpace space = tile_space(problem_.descriptor);
    const std::vector<SpaceMember> members = members_for(space, options_.effort);
    result_.counts.combinations = space.combinations;
    result_.counts.legal = space.legal;
    result_.counts.worth_trying = space.members.size();
    result_.counts.tried = members.size();
    provenance_ = {
        .driver = runtime_.device()->properties().driver,
        .sm_clock_mhz = 0,
        .toolchain = runtime_.compile(problem_.descriptor, {.hint = {}, .config = members[0].config}).toolchain,
        .library = version(),
        .problem = to_string(problem_),
        .effort = std::string(to_string(options_.effort)),
        .date = utc_now()};
    bench_ = make_bench();
    result_.end = try_all(members) && time_finalists() ? TuningResult::End::kDecided : TuningResult::End::kStopped;
    count_outcomes();
    result_.trials = std::move(trials_);
    return std::move(result_);
  }

 private:
  std::unique_ptr<Bench> make_bench() const {
    const DeviceProperties& device = runtime_.device()->properties();
    const bool is_emulated = device.kind == DeviceKind::kEmulator;
    if (!options_.worker.empty())
      return std::make_unique<WorkerBench>(
          options_.worker, BenchJob{problem_, is_emulated, device.ordinal, runtime_.policy().cache_directory},
          WorkerLimits{.answer = options_.answer_limit});
    if (is_emulated) return std::make_unique<ModelBench>(runtime_, problem_);
    return std::make_unique<DeviceBench>(runtime_, problem_);
  }

  /// Compiles, checks and coarsely times what was not tried before. False: stopped.
  bool try_all(const std::vector<SpaceMember>& members) {
    std::vector<TuningTrial> known;
    if (!options_.again) known = database_.trials(result_.key);
    const auto find_known = [&](const TileConfig& config) {
      return std::ranges::find(known, config, &TuningTrial::config);
    };
    std::vector<TileConfig> fresh;
    for (const SpaceMember& member : members)
      if (find_known(member.config) == known.end()) fresh.push_back(member.config);
    CompileAhead ahead(runtime_, problem_.descriptor, fresh, options_.jobs);
    std::size_t taken = 0;
    for (const SpaceMember& member : members) {
      if (const auto found = find_known(member.config); found != known.end()) {
        trials_.push_back(*found);
        ++result_.counts.repeated;
      } else {
        if (is_over_()) return false;
        trials_.push_back(try_one(member, ahead.take(taken++)));
        database_.save(result_.key, trials_.back(), provenance_);
      }
      if (trials_.size() == 1 && !was_timed(trials_[0]))
        throw Error(
            ErrorCode::kDevice,
            fmt::format("\"{}\": the default configuration {} cannot be timed ({}): {}", to_string(problem_.descriptor),
                        to_string(trials_[0].config), to_string(trials_[0].outcome), trials_[0].reason),
            "Nothing can be compared with it. `flashmask tune --again` tries it anew.");
      report_trials(members.size());
    }
    return true;
  }

  TuningTrial try_one(const SpaceMember& member, const CompiledTrial& compiled) {
    TuningTrial trial;
    trial.config = member.config;
    trial.resources = compiled.resources;
    trial.ctas_per_sm = member.resources.ctas_per_sm;
    trial.compile_seconds = compiled.seconds;
    const bool is_default = trials_.empty();
    // The default is what others are compared with, whatever the compiler says of it.
    if (const auto judged = judge_compilation(compiled); judged && !(is_default && compiled.compiled)) {
      std::tie(trial.outcome, trial.reason) = *judged;
      return trial;
    }
    try {
      bench_->check(member.config);
      const BenchTime time = bench_->time(member.config, plan_.coarse_samples);
      trial.coarse_seconds = time.seconds;
    } catch (const BenchFailure& failure) {
      trial.outcome = failure.outcome();
      trial.reason = failure.what();
    }
    return trial;
  }

  void report_trials(std::size_t all) {
    if (!options_.progress) return;
    TuningProgress progress{.phase = TuningProgress::Phase::kTrials, .done = trials_.size(), .all = all, .best = {}};
    const TuningTrial* best = nullptr;
    for (const TuningTrial& trial : trials_)
      if (was_timed(trial) && (!best || trial.coarse_seconds < best->coarse_seconds)) best = &trial;
    if (best) {
      progress.best = best->config;
      progress.best_ratio = best->coarse_seconds / trials_[0].coarse_seconds;
    }
    options_.progress(progress);
  }

  /// Indices of the trials that go on to rounds: the default first, then in the order of the space.
  std::vector<std::size_t> choose_finalists() {
    double best = std::numeric_limits<double>::infinity();
    for (const TuningTrial& trial : trials_)
      if (was_timed(trial)) best = std::min(best, trial.coarse_seconds);
    std::vector<std::size_t> by_time;
    for (std::size_t n = 1; n < trials_.size(); ++n)
      if (was_timed(trials_[n]) && trials_[n].coarse_seconds <= best * plan_.most_behind) by_time.push_back(n);
    std::ranges::stable_sort(by_time, {}, [&](std::size_t n) { return trials_[n].coarse_seconds; });
    by_time.resize(std::min(by_time.size(), plan_.finalists - 1));
    std::ranges::sort(by_time);
    by_time.insert(by_time.begin(), 0);
    for (std::size_t n = 0; n < trials_.size(); ++n) {
      TuningTrial& trial = trials_[n];
      if (!was_timed(trial)) continue;
      const TrialOutcome before = trial.outcome;
      const bool is_finalist = std::ranges::find(by_time, n) != by_time.end();
      trial.outcome = is_finalist ? TrialOutcome::kTimed : TrialOutcome::kSlow;
      trial.reason = is_finalist ? ""
                                 : fmt::format("{:.2f} times as long as the fastest in the first timing",
                                               trial.coarse_seconds / best);
      if (trial.outcome != before) database_.save(result_.key, trial, provenance_);
    }
    return by_time;
  }

  /// Rounds of this database that timed all of the finalists.
  Rounds known_rounds(const std::vector<std::size_t>& finalists) {
    Rounds rounds;
    if (options_.again) return rounds;
    for (const TuningRound& round : database_.rounds(result_.key)) {
      std::vector<double> seconds;
      for (const std::size_t n : finalists) {
        const auto found =
            std::ranges::find(round.seconds, trials_[n].config, [](const auto& timed) { return timed.first; });
        if (found != round.seconds.end()) seconds.push_back(found->second);
      }
      if (seconds.size() != finalists.size()) continue;
      rounds.push_back(std::move(seconds));
      clocks_.push_back({.sm_mhz = static_cast<double>(round.sm_clock_mhz), .event_reasons = 0});
    }
    return rounds;
  }

  /// False: stopped before the least number of rounds.
  bool time_finalists() {
    std::vector<std::size_t> finalists = choose_finalists();
    result_.counts.finalists = finalists.size();
    Rounds rounds = known_rounds(finalists);
    const std::optional<std::size_t> incumbent = incumbent_among(finalists);
    const bool is_alone = finalists.size() == 1;
    const bool is_at_roof = is_near_roofline(trials_[0].coarse_seconds, roofline(), plan_.decision);
    while (!is_alone && !is_at_roof && wants_more(rounds, plan_.decision, incumbent)) {
      if (is_over_()) {
        if (static_cast<int>(rounds.size()) < plan_.decision.least_rounds) return false;
        break;
      }
      give_up_hopeless(rounds, finalists, incumbent);
      rounds.push_back(time_round(finalists));
      report_rounds(rounds, finalists);
    }
    save_record(finalists, rounds, is_at_roof, incumbent);
    return true;
  }

  /// Candidates that cannot win any more are not timed further.
  void give_up_hopeless(const Rounds& rounds, const std::vector<std::size_t>& finalists,
                        std::optional<std::size_t> incumbent) {
    const std::vector<bool> contending = contenders(rounds, plan_.decision, incumbent);
    for (std::size_t n = 0; n < contending.size(); ++n) {
      TuningTrial& trial = trials_[finalists[n]];
      if (contending[n] || trial.outcome != TrialOutcome::kTimed) continue;
      trial.outcome = TrialOutcome::kSlow;
      trial.reason = fmt::format("given up after {} rounds: too far behind the fastest to win", rounds.size());
      database_.save(result_.key, trial, provenance_);
    }
  }

  std::vector<double> time_round(const std::vector<std::size_t>& finalists) {
    TuningRound round{.session = session_, .sm_clock_mhz = 0, .seconds = {}};
    std::uint64_t event_reasons = 0;
    std::vector<double> all;
    for (const std::size_t n : finalists) {
      TuningTrial& trial = trials_[n];
      double seconds = std::numeric_limits<double>::quiet_NaN();
      if (trial.outcome == TrialOutcome::kTimed) {
        try {
          const BenchTime time = bench_->time(trial.config, plan_.round_samples);
          seconds = time.seconds;
          round.sm_clock_mhz = time.sm_clock_mhz;
          event_reasons |= time.event_reasons;
          round.seconds.emplace_back(trial.config, seconds);
        } catch (const BenchFailure& failure) {
          trial.outcome = failure.outcome();
          trial.reason = fmt::format("in a later round: {}", failure.what());
          database_.save(result_.key, trial, provenance_);
          if (n == 0) throw Error(ErrorCode::kDevice, fmt::format("the default configuration failed {}", trial.reason));
        }
      }
      all.push_back(seconds);
    }
    provenance_.sm_clock_mhz = round.sm_clock_mhz;
    clocks_.push_back({.sm_mhz = static_cast<double>(round.sm_clock_mhz), .event_reasons = event_reasons});
    database_.add_round(result_.key, round);
    return all;
  }

  void report_rounds(const Rounds& rounds, const std::vector<std::size_t>& finalists) {
    if (!options_.progress) return;
    const Decision decision = decide(rounds, plan_.decision);
    options_.progress({.phase = TuningProgress::Phase::kRounds,
                       .done = rounds.size(),
                       .all = static_cast<std::size_t>(plan_.decision.most_rounds),
                       .best = trials_[finalists[decision.winner]].config,
                       .best_ratio = decision.ratio});
  }

  /// An earlier answer that is measured anew.
  std::optional<std::size_t> incumbent_among(const std::vector<std::size_t>& finalists) const {
    const auto record = database_.record(result_.key);
    if (!record) return std::nullopt;
    for (std::size_t n = 0; n < finalists.size(); ++n)
      if (trials_[finalists[n]].config == record->config) return n;
    return std::nullopt;
  }

  double roofline() const {
    const Mask mask = mask_of(problem_);
    const double share = hint_of(problem_).density;
    const double scores = share * problem_.batch * problem_.num_heads_q * static_cast<double>(mask.shape().seqlen_q) *
                          static_cast<double>(mask.shape().seqlen_k);
    ModelledGpu gpu = modelled_gpu(problem_.descriptor.target);
    const DeviceProperties& device = runtime_.device()->properties();
    if (device.kind == DeviceKind::kCuda) gpu.multiprocessors = device.multiprocessors;
    return roofline_seconds(problem_.descriptor, scores, gpu);
  }

  void save_record(const std::vector<std::size_t>& finalists, const Rounds& rounds, bool is_at_roof,
                   std::optional<std::size_t> incumbent) {
    TuningRecord record;
    record.key = result_.key;
    record.default_config = trials_[0].config;
    record.config = trials_[0].config;
    record.seconds = record.default_seconds = trials_[0].coarse_seconds;
    record.band = plan_.decision.band;
    record.rounds = static_cast<int>(rounds.size());
    if (is_at_roof) {
      record.reason = fmt::format("the default takes {:.3g} s, and no configuration less than {:.3g} s", record.seconds,
                                  roofline());
    } else if (finalists.size() == 1) {
      record.reason = "no other configuration came near the default";
    } else {
      const Decision decision = decide(rounds, plan_.decision, incumbent);
      record.config = trials_[finalists[decision.winner]].config;
      record.seconds = median_of(rounds, decision.winner);
      record.default_seconds = median_of(rounds, 0);
      record.band = decision.band;
      record.reason = with_names(decision.reason, names_of(finalists));
      const Drift drift = detect_drift(rounds, clocks_, plan_.decision);
      if (drift.drifted || drift.throttled) record.reason += fmt::format("; {}", drift.reason);
    }
    provenance_.date = utc_now();
    record.provenance = provenance_;
    database_.save(record);
    result_.record = std::move(record);
  }

  std::vector<std::string> names_of(const std::vector<std::size_t>& finalists) const {
    std::vector<std::string> names;
    for (const std::size_t n : finalists) names.push_back(n == 0 ? "the default" : to_string(trials_[n].config));
    return names;
  }

  void count_outcomes() {
    for (const TuningTrial& trial : trials_) {
      switch (trial.outcome) {
        case TrialOutcome::kUncompilable:
          ++result_.counts.uncompilable;
          break;
        case TrialOutcome::kSpills:
        case TrialOutcome::kSerialised:
          ++result_.counts.spilling;
          break;
        case TrialOutcome::kWrong:
        case TrialOutcome::kCrashed:
        case TrialOutcome::kHung:
          ++result_.counts.failed;
          break;
        case TrialOutcome::kSlow:
          ++result_.counts.slow;
          break;
        case TrialOutcome::kTimed:
          break;
      }
    }
  }

  Runtime& runtime_;
  TuningDatabase& database_;
  const TuningOptions& options_;
  std::string session_;
  std::function<bool()> is_over_;
  TuningProblem problem_;
  EffortPlan plan_;
  std::unique_ptr<Bench> bench_;
  TuningProvenance provenance_;
  std::vector<TuningTrial> trials_;
  std::vector<RoundClocks> clocks_;  ///< of the rounds
  TuningResult result_;
};

}  // namespace

Tuner::Tuner(Runtime& runtime, TuningDatabase& database, TuningOptions options)
    : state_(new State{runtime, database, std::move(options)}) {
  if (!runtime.device())
    throw Error(ErrorCode::kInvalidArgument, "a tuner needs a runtime with a device",
                "Make it with open_cuda_device() or open_emulated_device().");
  if (state_->options.budget && !(state_->options.budget->count() > 0))
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a budget of {} s: more than 0 is needed", state_->options.budget->count()),
                "Leave it out to tune as long as it takes.");
  if (state_->options.jobs < 0)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("jobs = {}: 0 (as many as there are cores) or more is needed", state_->options.jobs));
  if (state_->options.jobs == 0)
    state_->options.jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

Tuner::~Tuner() = default;

TuningResult Tuner::tune(const TuningProblem& problem) {
  State& state = *state_;
  if (const std::vector<std::string> rules = broken_rules(problem); !rules.empty())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: {}", to_string(problem), fmt::join(rules, "; ")));
  const TuningKey key =
      tuning_key(state.runtime.device()->properties(), problem.descriptor, bucket_of(hint_of(problem)));
  if (!state.options.again) {
    if (auto record = state.database.record(key)) {
      TuningResult result;
      result.end = TuningResult::End::kFound;
      result.key = key;
      result.trials = state.database.trials(key);
      result.record = std::move(record);
      return result;
    }
  }
  if (state.options.replay_only) {
    TuningResult result;
    result.end = TuningResult::End::kUnanswered;
    result.key = key;
    return result;
  }
  return ProblemTuner(
             state.runtime, state.database, state.options, state.session, [&state] { return state.is_over(); }, problem,
             key)
      .run();
}

}  // namespace flashmask
