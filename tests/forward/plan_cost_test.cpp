// What building a plan of a long sequence costs: counted by the emulator, whatever the device under test.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "tests/forward/launch_counter.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

constexpr int kTokens = 131072;

/// Packed documents of 1000 to 9000 tokens: neighbouring columns hide the same rows.
std::vector<std::int32_t> causal_documents() {
  std::mt19937_64 random(1);
  std::vector<std::int32_t> values;
  while (values.size() < kTokens) {
    const std::size_t end = std::min<std::size_t>(kTokens, values.size() + 1000 + random() % 8001);
    values.resize(end, static_cast<std::int32_t>(end));
  }
  return values;
}

/// A key that a cache drops after a time of its own, and another time in which it is not looked at: no column hides
/// what its neighbour hides, and each has two intervals.
std::vector<std::int32_t> evictions() {
  std::mt19937_64 random(2);
  std::vector<std::int32_t> values;
  for (int key = 0; key < kTokens; ++key) {
    const auto some = [&](int most) { return static_cast<std::int32_t>(random() % static_cast<unsigned>(most)); };
    const std::int32_t pause = key + some(20000), evicted = pause + some(20000);
    for (const std::int32_t bound : {pause, pause + some(2000), evicted, kTokens}) values.push_back(bound);
  }
  return values;
}

struct Cost {
  MaskForm form;
  int tile_k;
  // Warp instructions when this was written, rounded up; they may only fall.
  std::uint64_t classify;
  std::uint64_t arrange;
};

std::string name_of(const Cost& cost) {
  return fmt::format("{}_128x{}", to_string(cost.form), cost.tile_k);
}
void PrintTo(const Cost& cost, std::ostream* stream) {
  *stream << name_of(cost);
}

class EmulatedPlanCost : public testing::TestWithParam<Cost> {};

TEST_P(EmulatedPlanCost, Of128ThousandTokensReadsEachBoundOnceAndWritesThePlanOnce) {
  const Cost& most = GetParam();
  const auto device = std::make_shared<LaunchCounter>(open_emulated_device());
  Runtime runtime(device, tested_policy());
  const std::vector<std::int32_t> values = most.form == MaskForm::kC1 ? causal_documents() : evictions();
  const DeviceBuffer indices(device, std::span(values).size_bytes());
  device->copy_to_device(indices.get(), std::as_bytes(std::span(values)), nullptr);
  const MaskShape mask{.form = most.form, .seqlen_q = kTokens, .seqlen_k = kTokens};
  MaskPlan plan(runtime, mask, indices.get());
  const PlanView view = plan.prepare({128, most.tile_k});
  const std::vector<LaunchStatistics> launches = device->take_launches();
  ASSERT_EQ(launches.size(), 2u);
  const LaunchStatistics &classify = launches[0], &arrange = launches[1];

  EXPECT_LE(classify.instructions, most.classify);
  EXPECT_LE(arrange.instructions, most.arrange);

  const std::uint64_t row_tiles = kTokens / 128, key_tiles = kTokens / most.tile_k;
  const std::uint64_t classes = 2 * row_tiles * key_tiles / 8;  // two bits each
  constexpr std::uint64_t kSummary = 16, kCounter = 4;
  EXPECT_EQ(classify.global_bytes_read, std::span(values).size_bytes());
  EXPECT_EQ(classify.global_bytes_written, classes + kSummary * key_tiles + kCounter);
  // The classes once, and the summaries three times while they are sorted. A CTA per 32 row tiles counts itself in.
  EXPECT_LE(arrange.global_bytes_read, classes + 3 * kSummary * (row_tiles + key_tiles) + kCounter * row_tiles / 32);
  EXPECT_LE(classify.global_bytes_written + arrange.global_bytes_written, view.bytes + kCounter * row_tiles / 32);
}

INSTANTIATE_TEST_SUITE_P(Plan, EmulatedPlanCost,
                         testing::Values(Cost{MaskForm::kC1, 128, 3'630'000, 424'000},
                                         Cost{MaskForm::kC1, 64, 6'820'000, 814'000},
                                         Cost{MaskForm::kF4, 128, 3'920'000, 433'000},
                                         Cost{MaskForm::kF4, 64, 7'390'000, 832'000}),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::forward_tests
