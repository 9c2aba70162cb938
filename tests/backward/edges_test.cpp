// Lengths around every edge of both tiles, for forms of every kind; and every shape of configuration.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <tuple>
#include <utility>

#include "tests/backward/launch.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::lengths_around;
using forward_tests::tested_runtime;

/// A form by its name, and whether its kernels are deterministic.
using Kind = std::tuple<const char*, bool>;

class BackwardEdges : public testing::TestWithParam<Kind> {};

TEST_P(BackwardEdges, EveryLengthAroundEitherTileIsWithinTheBound) {
  // Small tiles, so that many edges cost little; what happens at an edge does not depend on the size.
  constexpr TileConfig kSmall{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 3};
  const auto& [form, deterministic] = GetParam();
  const Target target = tested_runtime().device()->properties().target;
  int turn = deterministic ? 1 : 0;
  for (const KernelDescriptor& descriptor : all_forms(DataType::kBfloat16, 32, 32, target, deterministic)) {
    if (to_string(descriptor.mask_form) != form) continue;
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
        TestProblem problem(descriptor, {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k, .heads_q = turn % 3 == 0 ? 2 : 1},
                            variety);
        EXPECT_TRUE(is_correct(runtime, *kernel, BackwardTestProblem(std::move(problem)),
                               {.with_lse_gradient = turn % 5 != 0, .with_plan = turn % 4 < 2}));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Form, BackwardEdges,
                         testing::Combine(testing::Values("none", "causal", "window", "c1", "f4"), testing::Bool()),
                         [](const testing::TestParamInfo<Kind>& test) {
                           return fmt::format("{}_{}", std::get<0>(test.param),
                                              std::get<1>(test.param) ? "deterministic" : "in_any_order");
                         });

/// A configuration with head dims of its own.
struct Shape {
  TileConfig config;
  int head_dim_qk;
  int head_dim_v;
};

/// Every number of warps, with their own keys and in pairs; rings of two to six slots; tiles of one to eight blocks of
/// rows; one to four blocks of keys of a warp; column pairs that two warps share evenly, unevenly, and not at all.
constexpr Shape kShapes[] = {
    {{16, 16, 1, 2}, 64, 64},
    {{128, 32, 1, 3}, 16, 16},
    {{32, 64, 2, 4}, 40, 24},
    {{48, 48, 3, 6}, 8, 136},
    {{64, 64, 4, 2}, 136, 8},
    {{112, 80, 5, 2}, 64, 40},
    {{32, 96, 6, 3}, 72, 56},
    {{16, 112, 7, 2}, 24, 64},
    {{64, 128, 8, 2}, 64, 64},
    {{32, 16, 2, 2, false, 2}, 64, 64},
    {{32, 64, 2, 3, false, 2}, 8, 40},
    {{64, 64, 4, 4, false, 2}, 40, 8},
    {{96, 48, 6, 3, false, 2}, 56, 72},
    {{128, 128, 8, 2, false, 2}, 64, 40},
    {{32, 64, 8, 2, false, 2}, 136, 200},
};

TEST(BackwardEdges, BoundsThatEndInTheMiddleOfARowOfBanksMoveNoTile) {
  // Of form C1, an odd multiple of 16 keys has bounds of 64 bytes more than whole rows of banks.
  for (const TileConfig& config :
       {TileConfig{16, 16, 1, 2}, TileConfig{64, 48, 3, 3}, TileConfig{32, 16, 2, 2, false, 2}}) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.head_dim_qk = descriptor.head_dim_v = 64;
    descriptor.mask_form = MaskForm::kC1;
    Runtime& runtime = tested_runtime();
    descriptor.target = runtime.device()->properties().target;
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
    const BackwardTestProblem problem(
        TestProblem(descriptor, {.seqlen_q = 3 * config.tile_q + 3, .seqlen_k = 2 * config.tile_k + 5}, {.seed = 5}));
    EXPECT_TRUE(is_correct(runtime, *kernel, problem));
  }
}

class BackwardConfigs : public testing::TestWithParam<int> {};

TEST_P(BackwardConfigs, OfEveryShapeAreWithinTheBound) {
  const Shape& shape = kShapes[GetParam()];
  const TileConfig& config = shape.config;
  Runtime& runtime = tested_runtime(GetParam() % 3);
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.dtype = GetParam() % 3 == 0 ? DataType::kFloat16 : DataType::kBfloat16;
  descriptor.head_dim_qk = shape.head_dim_qk;
  descriptor.head_dim_v = shape.head_dim_v;
  descriptor.mask_form = GetParam() % 2 == 0 ? MaskForm::kC2 : MaskForm::kF2;
  descriptor.target = runtime.device()->properties().target;
  descriptor.deterministic = GetParam() % 4 < 2;
  const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
  // One key tile, whose group of heads is split, and three, of which the last is cut.
  for (const int seqlen_k : {config.tile_k - 1, 2 * config.tile_k + 5}) {
    const BackwardTestProblem problem(TestProblem(
        descriptor,
        {.seqlen_q = 3 * config.tile_q + 3, .seqlen_k = seqlen_k, .heads_q = 2, .heads_kv = 1, .heads_mask = 2},
        {.intervals = Intervals::kHoles, .seed = static_cast<std::uint64_t>(GetParam())}));
    EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.layout = Layout::kPadded}));
    EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.layout = Layout::kPadded, .with_plan = false}));
  }
}

std::string name_of(const Shape& shape) {
  const TileConfig& config = shape.config;
  return fmt::format("{}x{}_w{}_s{}_c{}_d{}_{}", config.tile_q, config.tile_k, config.warps, config.stages,
                     config.column_warps, shape.head_dim_qk, shape.head_dim_v);
}

INSTANTIATE_TEST_SUITE_P(Config, BackwardConfigs, testing::Range(0, static_cast<int>(std::size(kShapes))),
                         [](const testing::TestParamInfo<int>& test) { return name_of(kShapes[test.param]); });

}  // namespace
}  // namespace flashmask::backward_tests
