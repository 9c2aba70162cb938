// Lengths around every edge of a tile, in both directions, for every form; and every shape of configuration.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

class ForwardEdges : public testing::TestWithParam<const char*> {};

TEST_P(ForwardEdges, EveryLengthAroundATileIsWithinTheBound) {
  // Small tiles, so that many edges cost little; what happens at an edge does not depend on the size.
  constexpr TileConfig kSmall{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 3};
  const Target target = tested_runtime().device()->properties().target;
  int turn = 0;
  for (const KernelDescriptor& descriptor : all_forms(DataType::kBfloat16, 32, 32, target)) {
    if (to_string(descriptor.mask_form) != GetParam()) continue;
    for (int seqlen_q : lengths_around(kSmall.tile_q)) {
      for (int seqlen_k : lengths_around(kSmall.tile_k)) {
        ++turn;
        Runtime& runtime = tested_runtime(turn % 3);
        const auto kernel = runtime.request(descriptor, {.hint = {}, .config = kSmall});
        Variety variety{.intervals = turn % 2 ? Intervals::kFuzzed : Intervals::kHoles,
                        .seed = static_cast<std::uint64_t>(turn)};
        if (descriptor.mask_form == MaskForm::kWindow) {
          variety.window_left = turn % 3 == 0 ? -1 : turn % 41;
          variety.window_right = turn % 4 == 0 ? -1 : turn % 37;
        }
        const TestProblem problem(descriptor, {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k}, variety);
        EXPECT_TRUE(is_correct(runtime, *kernel, problem));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Form, ForwardEdges, testing::Values("none", "causal", "window", "c1", "c2", "f2", "f4"),
                         [](const auto& test) { return std::string(test.param); });

TEST(ForwardConfigs, EveryShapeOfConfigurationIsWithinTheBound) {
  Runtime& runtime = tested_runtime();
  KernelDescriptor descriptor;
  descriptor.mask_form = MaskForm::kC2;
  descriptor.target = runtime.device()->properties().target;
  int served = 0;
  for (const auto& [head_dim_qk, head_dim_v] : {std::pair(64, 64), {40, 24}, {8, 256}, {256, 8}}) {
    descriptor.head_dim_qk = head_dim_qk;
    descriptor.head_dim_v = head_dim_v;
    for (const TileConfig& config : {TileConfig{16, 16, 1, 2, false}, TileConfig{48, 16, 3, 4, false},
                                     TileConfig{64, 48, 2, 3, true}, TileConfig{128, 32, 8, 2, true}}) {
      if (!broken_rules(descriptor, config).empty()) continue;
      const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
      const TestProblem problem(descriptor,
                                {.seqlen_q = config.tile_q + 3, .seqlen_k = 2 * config.tile_k + 5, .heads_q = 2},
                                {.seed = static_cast<std::uint64_t>(++served)});
      EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.layout = Layout::kPadded}));
    }
  }
  EXPECT_GE(served, 12);
}

TEST(ForwardHeadDims, EveryMultipleOf8ThatIsNotOneOf16IsPaddedRight) {
  Runtime& runtime = tested_runtime(1);
  KernelDescriptor descriptor;
  descriptor.mask_form = MaskForm::kCausal;
  descriptor.target = runtime.device()->properties().target;
  // Both sides of every power of two and of the default's switch of warps, unequal so that padding cannot cancel.
  for (const auto& [head_dim_qk, head_dim_v] :
       {std::pair(8, 8), {8, 24}, {24, 8}, {56, 104}, {120, 136}, {136, 120}, {248, 256}, {256, 248}}) {
    descriptor.head_dim_qk = head_dim_qk;
    descriptor.head_dim_v = head_dim_v;
    const auto kernel = runtime.request(descriptor);
    const TestProblem problem(descriptor, {.seqlen_q = 37, .seqlen_k = kernel->config().tile_k + 9},
                              {.seed = static_cast<std::uint64_t>(head_dim_qk)});
    EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.layout = Layout::kInterleaved}));
  }
}

}  // namespace
}  // namespace flashmask::forward_tests
