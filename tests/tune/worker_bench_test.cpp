#include "runtime/tune/worker_bench.h"

#include <chrono>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::tune {
namespace {

constexpr TileConfig kGood{128, 64, 8, 2};
constexpr TileConfig kBad{64, 64, 4, 2};
const std::string kBadWord = to_word(kBad);

BenchJob job() {
  return {.problem = {.descriptor = {Pass::kForward, DataType::kFloat16, 64, 64, MaskForm::kC1,
                                     CausalAlignment::kBottomRight, Target{80, false}},
                      .batch = 2,
                      .num_heads_q = 4,
                      .num_heads_kv = 2,
                      .seqlen_q = 100,
                      .seqlen_k = 200,
                      .mask_kind = "causal-documents",
                      .mask_arguments = {{"document-lengths", "60,140"}}},
          .emulated = true,
          .ordinal = 3,
          .cache_directory = "/somewhere \"else\""};
}

WorkerBench bench_with(std::vector<std::string> words, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
  words.insert(words.begin(), FLASHMASK_SCRIPTED_WORKER);
  return WorkerBench(std::move(words), job(), {.answer = limit});
}

/// What becomes of the bad configuration, and that a good one runs behind it.
std::pair<TrialOutcome, std::string> outcome_of(WorkerBench& bench) {
  std::pair<TrialOutcome, std::string> outcome{TrialOutcome::kTimed, ""};
  try {
    bench.check(kBad);
    ADD_FAILURE() << "the check passed";
  } catch (const BenchFailure& failure) {
    outcome = {failure.outcome(), failure.what()};
  }
  bench.check(kGood);
  EXPECT_GT(bench.time(kGood, 3).seconds, 0);
  return outcome;
}

TEST(BenchProtocol, AJobKeepsEveryField) {
  const auto found = parse_bench_job(to_line(job()));
  ASSERT_TRUE(found);
  EXPECT_EQ(to_line(*found), to_line(job()));
  EXPECT_EQ(found->problem.descriptor, job().problem.descriptor);
  EXPECT_EQ(found->problem.mask_arguments, job().problem.mask_arguments);
  EXPECT_EQ(found->cache_directory, job().cache_directory);
  EXPECT_EQ(to_line(job()).find('\n'), std::string::npos);
}

TEST(BenchProtocol, AnotherTextIsNothing) {
  for (const char* text :
       {"", "{}", "[]", "null", "{\"kernel\": 3}", "{\"seconds\": \"soon\"}", "\xff\xfe", "{\"times\": 1}"}) {
    EXPECT_FALSE(parse_bench_job(text)) << text;
    EXPECT_FALSE(parse_bench_command(text)) << text;
    EXPECT_FALSE(parse_bench_answer(text)) << text;
  }
}

TEST(BenchProtocol, AWorkerEndsAtALineThatIsNoCommand) {
  std::istringstream in(to_line(job()) + "\nnonsense\n");
  std::ostringstream out;
  const int code = serve_bench(in, out, [](const BenchJob&) -> std::unique_ptr<Bench> {
    struct Idle final : Bench {
      void check(const TileConfig&) override {}
      BenchTime time(const TileConfig&, int) override { return {}; }
    };
    return std::make_unique<Idle>();
  });
  EXPECT_EQ(code, 1);
}

TEST(WorkerBench, TimesWhatRuns) {
  WorkerBench bench = bench_with({"time=0.5:" + to_word(kGood)});
  bench.check(kGood);
  const BenchTime time = bench.time(kGood, 3);
  EXPECT_DOUBLE_EQ(time.seconds, 0.5e-3);
  EXPECT_EQ(time.sm_clock_mhz, 1500);
}

TEST(WorkerBench, ACrashCostsOneConfiguration) {
  WorkerBench bench = bench_with({"crash=" + kBadWord});
  const auto [outcome, reason] = outcome_of(bench);
  EXPECT_EQ(outcome, TrialOutcome::kCrashed);
  EXPECT_NE(reason.find("signal 9"), std::string::npos) << reason;
  EXPECT_NE(reason.find("it was nice to be here"), std::string::npos) << reason;
}

TEST(WorkerBench, AHangCostsOneConfigurationAndNoMoreThanTheLimit) {
  WorkerBench bench = bench_with({"hang=" + kBadWord}, std::chrono::milliseconds(300));
  const auto start = std::chrono::steady_clock::now();
  const auto [outcome, reason] = outcome_of(bench);
  EXPECT_EQ(outcome, TrialOutcome::kHung);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_NE(reason.find("0.3 s"), std::string::npos) << reason;
}

TEST(WorkerBench, AProcessThatExitsHasCrashed) {
  WorkerBench bench = bench_with({"exit=" + kBadWord});
  const auto [outcome, reason] = outcome_of(bench);
  EXPECT_EQ(outcome, TrialOutcome::kCrashed);
  EXPECT_NE(reason.find("status 7"), std::string::npos) << reason;
}

TEST(WorkerBench, AnAnswerThatIsNoneHasCrashed) {
  WorkerBench bench = bench_with({"babble=" + kBadWord});
  EXPECT_EQ(outcome_of(bench).first, TrialOutcome::kCrashed);
}

TEST(WorkerBench, GarbageIsWrong) {
  WorkerBench bench = bench_with({"garbage=" + kBadWord});
  const auto [outcome, reason] = outcome_of(bench);
  EXPECT_EQ(outcome, TrialOutcome::kWrong);
  EXPECT_NE(reason.find("off by 3"), std::string::npos) << reason;
}

TEST(WorkerBench, AnErrorOfTheDeviceEndsTheProcessAndAFreshOneGoesOn) {
  WorkerBench bench = bench_with({"break=" + kBadWord});
  const auto [outcome, reason] = outcome_of(bench);
  EXPECT_EQ(outcome, TrialOutcome::kCrashed);
  EXPECT_NE(reason.find("illegal address"), std::string::npos) << reason;
}

TEST(WorkerBench, AProgramThatIsNotThereIsNoConfigurationsFault) {
  WorkerBench bench({"/nowhere/worker"}, job());
  EXPECT_THROW(bench.check(kGood), Error);
}

TEST(WorkerBench, AProgramThatIsNoWorkerIsNoConfigurationsFault) {
  WorkerBench silent({"/bin/true"}, job()), other({"/bin/echo", "hello"}, job());
  EXPECT_THROW(silent.check(kGood), Error);
  EXPECT_THROW(other.check(kGood), Error);
}

}  // namespace
}  // namespace flashmask::tune
