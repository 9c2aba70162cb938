#include "tests/tuning_report/sample_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "tools/tuning_report/ranking.h"

namespace flashmask::test {

using namespace tuning_report;

namespace {

/// Noise that every standard library draws alike: the middle of three uniform values, about -1 to 1.
double noise(std::mt19937& random) {
  double sum = 0;
  for (int i = 0; i < 3; ++i) sum += static_cast<double>(random()) / 2147483648.0 - 1;
  return sum / 3;
}

/// Plausible: tiles of middling size are the fastest, overlap helps, much of anything does not.
double slowness_of(const TileConfig& config, double best_keys) {
  double factor = 1 + 0.05 * std::pow(std::log2(config.tile_k / best_keys), 2);
  if (config.tile_q * 4 / 3 < 192) factor += 0.09;
  if (!config.overlap) factor += 0.11;
  if (!config.turns) factor += 0.025;
  factor += 0.02 * std::abs(config.stages - 2);
  if (config.query_slots == 2) factor -= 0.012;
  return factor;
}

void decide_outcome(TuningTrial& trial, std::size_t n, std::mt19937& random) {
  const bool is_large = trial.config.tile_k >= 176;
  if (n > 0 && is_large && random() % 3 != 0) {
    trial.outcome = TrialOutcome::kSpills;
    trial.resources.spill_store_bytes = static_cast<int>(8 * (1 + random() % 40));
    trial.resources.spill_load_bytes = trial.resources.spill_store_bytes + 16;
    trial.reason =
        fmt::format("{} registers, {} bytes are stored to local memory and {} loaded", trial.resources.registers,
                    trial.resources.spill_store_bytes, trial.resources.spill_load_bytes);
  } else if (n == 23) {
    trial.outcome = TrialOutcome::kSerialised;
    trial.reason =
        "(C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized due to "
        "insufficient register resources for the wgmma pipeline";
  } else if (n == 31) {
    trial.outcome = TrialOutcome::kWrong;
    trial.reason = "max |out - ref| 0.731 in head 3, row 4096: 0.0399 is allowed";
  } else if (n == 37) {
    trial.outcome = TrialOutcome::kCrashed;
    trial.reason = "its process ended: CUDA_ERROR_ILLEGAL_ADDRESS in the second launch";
  } else if (n == 41) {
    trial.outcome = TrialOutcome::kHung;
    trial.reason = "no answer within 60 s";
  } else if (n == 43) {
    trial.outcome = TrialOutcome::kUncompilable;
    trial.resources = {};
    trial.reason = "nvrtc: error: static assertion failed with \"a ring of 4 slots needs 4 barriers\"";
  }
}

std::vector<TileConfig> choose_finalists(ReportProblem& problem, std::size_t most) {
  std::vector<TuningTrial*> timed;
  for (TuningTrial& trial : problem.trials)
    if (trial.coarse_seconds > 0) timed.push_back(&trial);
  std::ranges::stable_sort(timed, {}, [](const TuningTrial* trial) { return trial->coarse_seconds; });
  std::vector<TileConfig> finalists = {problem.trials[0].config};
  for (std::size_t i = 0; i < timed.size(); ++i) {
    TuningTrial& trial = *timed[i];
    if (trial.config == finalists[0]) continue;
    if (finalists.size() < most) {
      finalists.push_back(trial.config);
    } else {
      trial.outcome = TrialOutcome::kSlow;
      trial.reason = fmt::format("{:.2f} times as long as the fastest in the first timing",
                                 trial.coarse_seconds / timed[0]->coarse_seconds);
    }
  }
  return finalists;
}

void add_rounds(ReportProblem& problem, const std::vector<TileConfig>& finalists, int rounds, std::mt19937& random) {
  for (int n = 0; n < rounds; ++n) {
    TuningRound round{"2026-11-27T12:00:00Z-4711", 1695 + 15 * static_cast<int>(random() % 5), {}};
    const double drift = 1 + 0.01 * noise(random);
    for (const TuningTrial& trial : problem.trials)
      if (std::ranges::find(finalists, trial.config) != finalists.end())
        round.seconds.emplace_back(trial.config, trial.coarse_seconds * drift * (1 + 0.012 * noise(random)));
    if (problem.key.basis == TuningBasis::kModelled) round.sm_clock_mhz = 0;
    problem.rounds.push_back(std::move(round));
  }
}

void add_record(ReportProblem& problem, std::string timed_problem) {
  const std::vector<RankedTrial> ranked = rank_trials(problem);
  const auto of_default = std::ranges::find(ranked, true, &RankedTrial::is_default);
  const double gain = *ranked[0].speedup - 1;
  const RankedTrial& chosen = gain > 0.02 ? ranked[0] : *of_default;
  TuningRecord record = record_of(problem.key, chosen.trial.config, of_default->trial.config, chosen.fine_seconds,
                                  of_default->fine_seconds);
  record.rounds = static_cast<int>(problem.rounds.size());
  record.reason = chosen.is_default
                      ? fmt::format("no other one is faster by more than the band: the next by {:.1f} %", gain * 100)
                      : fmt::format("faster than the default in {0} of {0} rounds", record.rounds);
  record.provenance.problem = std::move(timed_problem);
  if (problem.key.basis == TuningBasis::kModelled) record.provenance.driver.clear(), record.provenance.sm_clock_mhz = 0;
  problem.record = std::move(record);
}

ReportProblem make_problem(const TuningKey& key, double seconds, double best_keys, unsigned seed) {
  std::mt19937 random(seed);
  const TileSpace space = tile_space(key.descriptor);
  ReportProblem problem;
  problem.key = key;
  problem.combinations = space.combinations;
  problem.legal = space.legal;
  problem.pruned = space.pruned;
  problem.default_config = space.members[0].config;
  const double of_default = slowness_of(space.members[0].config, best_keys);
  for (std::size_t n = 0; n < space.members.size(); ++n) {
    const SpaceMember& member = space.members[n];
    if (n >= 72) {
      problem.untried.push_back(member.config);
      continue;
    }
    TuningTrial trial = trial_of(member.config, TrialOutcome::kTimed, 0);
    trial.ctas_per_sm = member.resources.ctas_per_sm;
    trial.resources.registers = std::min(255, 152 + 8 * static_cast<int>(random() % 3) + member.config.tile_k / 4);
    trial.compile_seconds = 0.7 + 0.004 * member.config.tile_k + 0.1 * noise(random);
    decide_outcome(trial, n, random);
    if (trial.outcome == TrialOutcome::kTimed)
      trial.coarse_seconds = seconds * slowness_of(member.config, best_keys) / of_default * (1 + 0.02 * noise(random));
    problem.trials.push_back(std::move(trial));
  }
  return problem;
}

ReportData make_report(TuningBasis basis) {
  ReportData data{"/home/you/.local/share/flashmask/tuning.db", "0.1.0", "2026-11-27T14:30:00Z", {}};
  struct Case {
    Pass pass;
    MaskForm form;
    int head_dim, seqlen;
    DensityClass density;
    double seconds, best_keys, share;
    const char* mask;
  };
  const Case cases[] = {
      {Pass::kForward, MaskForm::kC1, 128, 8192, DensityClass::kMedium, 1.02e-3, 112, 0.5,
       "causal-documents document-lengths=8192"},
      {Pass::kForward, MaskForm::kC1, 128, 32768, DensityClass::kLight, 4.11e-3, 128, 0.125,
       "causal-documents document-lengths=4x8192"},
      {Pass::kForward, MaskForm::kCausal, 128, 8192, DensityClass::kMedium, 0.96e-3, 150, 0.5, "causal"},
      {Pass::kForward, MaskForm::kNone, 64, 8192, DensityClass::kDense, 1.21e-3, 128, 1, "full"},
      {Pass::kForward, MaskForm::kF2, 64, 32768, DensityClass::kSparse, 1.38e-3, 96, 0.03125,
       "documents document-lengths=32x1024"},
      {Pass::kBackward, MaskForm::kC1, 128, 8192, DensityClass::kMedium, 3.4e-3, 80, 0.5,
       "causal-documents document-lengths=8192"},
      {Pass::kBackward, MaskForm::kNone, 64, 8192, DensityClass::kDense, 3.9e-3, 100, 1, "full"}};
  unsigned seed = 1;
  for (const Case& each : cases) {
    TuningKey key = sample_key();
    key.basis = basis;
    key.descriptor = {each.pass, DataType::kBfloat16,           each.head_dim, each.head_dim,
                      each.form, CausalAlignment::kBottomRight, {90, true},    false};
    key.bucket = {each.seqlen, each.seqlen, 32, each.density};
    if (basis == TuningBasis::kModelled) {
      key.gpu = {"PTX emulator", 90, 132, 0, 232448};
      key.method = "cost model of the emulator's counts, 1";
    }
    ReportProblem problem = make_problem(key, each.seconds, each.best_keys, seed++);
    const std::vector<TileConfig> finalists = choose_finalists(problem, 8);
    if (basis == TuningBasis::kMeasured) problem.visible_scores = each.share * 32.0 * each.seqlen * each.seqlen;
    std::mt19937 random(100 + seed);
    add_rounds(problem, finalists, 9 + 2 * static_cast<int>(seed % 4), random);
    add_record(problem, fmt::format("batch 1, 32 heads, {0}x{0}, {1}", each.seqlen, each.mask));
    data.problems.push_back(std::move(problem));
  }
  // One that was interrupted.
  TuningKey key = data.problems[0].key;
  key.bucket.seqlen_q = key.bucket.seqlen_k = 65536;
  ReportProblem open = make_problem(key, 31e-3, 112, 99);
  for (std::size_t n = 20; n < open.trials.size(); ++n) open.untried.push_back(open.trials[n].config);
  open.trials.resize(20);
  data.problems.push_back(std::move(open));
  return data;
}

}  // namespace

TuningTrial trial_of(const TileConfig& config, TrialOutcome outcome, double coarse_seconds, std::string reason) {
  TuningTrial trial;
  trial.config = config;
  trial.outcome = outcome;
  trial.reason = std::move(reason);
  trial.resources.registers = 168;
  trial.ctas_per_sm = 1;
  trial.compile_seconds = 1.25;
  trial.coarse_seconds = coarse_seconds;
  return trial;
}

TuningRecord record_of(const TuningKey& key, const TileConfig& config, const TileConfig& default_config, double seconds,
                       double default_seconds) {
  return {.key = key,
          .config = config,
          .default_config = default_config,
          .seconds = seconds,
          .default_seconds = default_seconds,
          .band = 0.02,
          .rounds = 9,
          .reason = "faster than the default in 9 of 9 rounds",
          .provenance = {.driver = "13.0",
                         .sm_clock_mhz = 1725,
                         .toolchain = "nvrtc 13.0.88",
                         .library = "0.1.0",
                         .problem = "batch 1, 32 heads, 8192x8192, causal",
                         .effort = "full",
                         .date = "2026-11-27T12:00:00Z"}};
}

TuningKey sample_key() {
  return {.basis = TuningBasis::kMeasured,
          .gpu = {"NVIDIA H100 80GB HBM3", 90, 132, std::uint64_t{50} << 20, 232448},
          .descriptor = {Pass::kForward,
                         DataType::kBfloat16,
                         128,
                         128,
                         MaskForm::kC1,
                         CausalAlignment::kBottomRight,
                         {90, true},
                         false},
          .bucket = {8192, 8192, 32, DensityClass::kMedium},
          .method = "events, cold L2, N(0,1), 1",
          .templates = "6a1f0c55d2b94e0e8d1c"};
}

ReportData sample_report() {
  return make_report(TuningBasis::kMeasured);
}

ReportData modelled_sample_report() {
  return make_report(TuningBasis::kModelled);
}

}  // namespace flashmask::test
