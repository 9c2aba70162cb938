// Which tiles a backward kernel visits, and what a visit costs: counted by the emulator, whatever the device under
// test.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "flashmask/mask.h"
#include "flashmask/mask_kinds.h"
#include "flashmask/mask_tiles.h"
#include "tests/backward/launch.h"
#include "tests/forward/launch_counter.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::emulated_runtime;

constexpr int kHeadDim = 16;
constexpr TileConfig kOneWarp{16, 16, 1, 2};  // a warp's share of a tile is the tile

KernelDescriptor descriptor_of(const MaskShape& shape, bool deterministic = false) {
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.head_dim_qk = descriptor.head_dim_v = kHeadDim;
  descriptor.mask_form = shape.form;
  descriptor.causal_alignment = shape.causal_alignment;
  descriptor.deterministic = deterministic;
  return descriptor;
}

TestProblem forward_problem_of(const Mask& mask, const KernelDescriptor& descriptor, int heads_q) {
  const MaskShape& shape = mask.shape();
  TestProblem problem(descriptor,
                      {.batch = shape.batch,
                       .seqlen_q = shape.seqlen_q,
                       .seqlen_k = shape.seqlen_k,
                       .heads_q = heads_q,
                       .heads_kv = 1,
                       .heads_mask = shape.num_heads},
                      {.window_left = shape.window_left, .window_right = shape.window_right, .seed = 3});
  std::ranges::copy(mask.startend_row_indices(), problem.intervals().begin());
  return problem;
}

BackwardTestProblem problem_of(const Mask& mask, const KernelDescriptor& descriptor, int heads_q) {
  return BackwardTestProblem(forward_problem_of(mask, descriptor, heads_q));
}

/// Warp-wide m16n8k16 products of one visited tile: those of the scores, of dP, dV, dK and dQ.
std::uint64_t products_per_tile(const TileConfig& config) {
  const auto blocks = static_cast<std::uint64_t>(config.tile_q / 16 * (config.tile_k / 16));
  return blocks * 5 * 2 * (kHeadDim / 16);
}

std::uint64_t visible_tiles(const TileMap& map) {
  return static_cast<std::uint64_t>(map.full_tiles() + map.partial_tiles());
}

/// A result that is right with random values has seen every visible element, and none twice: then as many products as
/// the tiles with a visible element have are one visit of each. A visit to an empty tile would multiply for dQ, at
/// least.
TEST(EmulatedBackwardWalk, OfEveryBuilderVisitsEachVisibleTileOnceAndNoEmptyOne) {
  const auto runtime = emulated_runtime(Target{});
  for (const MaskKind& kind : mask_kinds()) {
    SCOPED_TRACE(std::string(kind.name));
    const Mask mask = build_mask(kind.name, kind.example_arguments(), kind.example_seqlen_q, kind.example_seqlen_k);
    const KernelDescriptor descriptor = descriptor_of(mask.shape());
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = kOneWarp});
    const BackwardTestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    const LaunchResult result = run_backward(*runtime, *kernel, problem);
    EXPECT_TRUE(is_correct(result, *kernel, problem));
    EXPECT_EQ(result.statistics.matrix_instructions,
              visible_tiles(classify_tiles(mask, kernel->tile())) * products_per_tile(kOneWarp));
  }
}

/// Masks of runs of equal columns, so that tiles of all classes come up.
Mask random_mask(std::mt19937_64& random, MaskForm form) {
  const auto below = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
  const MaskShape shape{.form = form,
                        .causal_alignment = has_diagonal(form) && below(2) == 0 ? CausalAlignment::kTopLeft
                                                                                : CausalAlignment::kBottomRight,
                        .batch = 1 + below(2),
                        .num_heads = 1 + below(2),
                        .seqlen_q = 1 + below(90),
                        .seqlen_k = 1 + below(90)};
  const auto vectors = static_cast<std::size_t>(vectors_per_column(form));
  const std::size_t size = vectors * static_cast<std::size_t>(shape.batch * shape.num_heads * shape.seqlen_k);
  std::vector<std::int32_t> values;
  while (values.size() < size) {
    std::vector<std::int32_t> column;
    for (std::size_t i = 0; i < vectors; ++i) column.push_back(below(shape.seqlen_q + 20) - 10);
    for (int run = 1 + below(40); run > 0 && values.size() < size; --run)
      values.insert(values.end(), column.begin(), column.end());
  }
  return Mask(shape, std::move(values));
}

TEST(EmulatedBackwardWalk, VisitsOfEachPlanTheTilesThatTheForwardVisitsAndTheHostFindsVisible) {
  const auto runtime = emulated_runtime(Target{});
  std::mt19937_64 random(20260202);
  const std::uint64_t forward_products = 2 * 2 * (kHeadDim / 16);  // of a tile
  std::uint64_t all = 0, visible = 0;
  for (int n = 0; n < 80; ++n) {
    constexpr MaskForm kForms[] = {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4};
    const Mask mask = random_mask(random, kForms[n % 4]);
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), n % 8 < 4);
    KernelDescriptor of_forward = descriptor;
    of_forward.pass = Pass::kForward;
    of_forward.deterministic = false;
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = kOneWarp});
    const auto forward = runtime->request(of_forward, {.hint = {}, .config = kOneWarp});
    ASSERT_EQ(kernel->tile(), forward->tile());
    const TileMap map = classify_tiles(mask, kernel->tile());
    const BackwardTestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    SCOPED_TRACE(describe(problem.forward()));
    const LaunchResult result = run_backward(*runtime, *kernel, problem);
    EXPECT_TRUE(is_correct(result, *kernel, problem));
    EXPECT_EQ(result.statistics.matrix_instructions, visible_tiles(map) * products_per_tile(kOneWarp));
    EXPECT_EQ(run_forward(*runtime, *forward, problem.forward()).statistics.matrix_instructions,
              visible_tiles(map) * forward_products);
    all += static_cast<std::uint64_t>(map.empty_tiles()) + visible_tiles(map);
    visible += visible_tiles(map);
  }
  EXPECT_GT(visible, all / 4);
  EXPECT_LT(visible, all * 3 / 4);
}

TEST(EmulatedBackwardWalk, OfAWarpWhoseKeysNoRowOfATileSeesLeavesItsProductsOut) {
  const auto runtime = emulated_runtime(Target{});
  constexpr TileConfig kTwoWarps{16, 32, 2, 2};
  // Documents of 16 tokens: of every visited tile of 16 x 32 all rows see the keys of one warp and none of the other's.
  std::vector<std::int32_t> values;
  for (int j = 0; j < 96; ++j)
    for (const int bound : {j / 16 * 16 + 16, j / 16 * 16}) values.push_back(bound);
  const Mask mask({.form = MaskForm::kF2, .seqlen_q = 96, .seqlen_k = 96}, values);
  const KernelDescriptor descriptor = descriptor_of(mask.shape());
  const auto kernel = runtime->request(descriptor, {.hint = {}, .config = kTwoWarps});
  const BackwardTestProblem problem = problem_of(mask, descriptor, 1);
  const LaunchResult result = run_backward(*runtime, *kernel, problem);
  EXPECT_TRUE(is_correct(result, *kernel, problem));
  // Half of the scores, dP, dV and dK; dQ is made of all keys.
  EXPECT_EQ(result.statistics.matrix_instructions, 6 * products_per_tile(kTwoWarps) * 3 / 5);
}

/// The statistics of the main kernel of a backward, without those of the kernels around it.
class MainKernel {
 public:
  MainKernel()
      : device_(std::make_shared<forward_tests::LaunchCounter>(open_emulated_device())),
        runtime_(device_, forward_tests::tested_policy()) {}

  LaunchStatistics run(const BackwardTestProblem& problem, const TileConfig& config) {
    const auto kernel = runtime_.request(problem.forward().descriptor(), {.hint = {}, .config = config});
    device_->take_launches();
    run_backward(runtime_, *kernel, problem);
    // One launch before it and one behind it, and, first of all, those of the plan.
    return device_->take_launches().end()[-2];
  }

 private:
  std::shared_ptr<forward_tests::LaunchCounter> device_;
  Runtime runtime_;
};

/// Form F4: of row tiles of 16 rows, `gap` see no key between `head` and `tail` that see all.
Mask with_a_gap(int head, int gap, int tail, int seqlen_k) {
  std::vector<std::int32_t> values;
  for (int j = 0; j < seqlen_k; ++j)
    for (const int bound : {16 * head, 16 * (head + gap), 0, 0}) values.push_back(bound);
  return Mask({.form = MaskForm::kF4, .seqlen_q = 16 * (head + gap + tail), .seqlen_k = seqlen_k}, values);
}

TEST(EmulatedBackwardWalk, SpendsNeitherInstructionsNorLoadsOnEmptyTiles) {
  MainKernel main_kernel;
  for (const bool deterministic : {false, true}) {
    const auto statistics = [&](const Mask& mask) {
      return main_kernel.run(problem_of(mask, descriptor_of(mask.shape(), deterministic), 1), kOneWarp);
    };
    const LaunchStatistics without = statistics(with_a_gap(1, 0, 2, 16));
    for (const auto& [head, gap, tail] :
         {std::tuple(3, 1, 0), {3, 7, 0}, {3, 600, 0}, {0, 1, 3}, {0, 28, 3}, {0, 600, 3}, {1, 2, 2}, {2, 28, 1}}) {
      const LaunchStatistics with = statistics(with_a_gap(head, gap, tail, 16));
      const std::string what = fmt::format("{} empty tiles behind {} and before {}", gap, head, tail);
      EXPECT_EQ(with.matrix_instructions, without.matrix_instructions) << what;
      EXPECT_EQ(with.global_bytes_read, without.global_bytes_read) << what;
      EXPECT_EQ(with.instructions, without.instructions) << what;
    }
  }
}

// Two warps, each with half of the keys of a tile.
TileConfig two_warps(int stages) {
  return {16, 32, 2, stages};
}

/// Form F4, row tiles of 16 rows: of each key tile of 32 keys every mask head sees as many row tiles as `visible` says:
/// in one run, all of the keys; or in 32 runs with gaps between, each with one key.
Mask long_list(const std::vector<int>& visible, bool in_runs, int key_tiles) {
  constexpr int kKeys = 32, kGap = 5;
  const int most = *std::ranges::max_element(visible);
  const int seqlen_q = 16 * (in_runs ? most + kKeys * kGap : most);
  std::vector<std::int32_t> values;
  for (const int tiles : visible)
    for (int j = 0; j < kKeys * key_tiles; ++j) {
      const int run = j % kKeys;
      const int begin = in_runs ? tiles * run / kKeys + run * kGap : 0;
      const int end = in_runs ? tiles * (run + 1) / kKeys + run * kGap : tiles;
      for (const int bound : {0, 16 * begin, 16 * end, seqlen_q}) values.push_back(bound);
    }
  return Mask({.form = MaskForm::kF4,
               .num_heads = static_cast<int>(visible.size()),
               .seqlen_q = seqlen_q,
               .seqlen_k = kKeys * key_tiles},
              values);
}

class EmulatedBackwardLists : public testing::TestWithParam<bool> {};

TEST_P(EmulatedBackwardLists, OfAPlanEndAnywhereAndGoOnWhereTheyAreFilledAgain) {
  const auto runtime = emulated_runtime(Target{});
  const auto test = [&](const std::vector<int>& visible, bool in_runs, int stages) {
    // Of one head one key tile is enough; more heads share a CTA only where there are two.
    const int key_tiles = visible.size() == 1 ? 1 : 2;
    const Mask mask = long_list(visible, in_runs, key_tiles);
    const TileConfig config = two_warps(stages);
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), GetParam());
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = config});
    const BackwardTestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    SCOPED_TRACE(fmt::format("{} visible tiles, {}, {} stages", fmt::join(visible, " + "),
                             in_runs ? "in runs" : "in a row", stages));
    const LaunchResult result = run_backward(*runtime, *kernel, problem);
    EXPECT_TRUE(is_correct(result, *kernel, problem));
    std::uint64_t tiles = 0;
    for (const int of_head : visible) tiles += static_cast<std::uint64_t>(of_head * key_tiles);
    // A tile of a run has one key, which one of the warps holds; only dQ is made of all keys.
    const std::uint64_t products = products_per_tile(config) * (in_runs ? 3 : 5) / 5;
    EXPECT_EQ(result.statistics.matrix_instructions, tiles * products);
  };
  // Around the multiples of 32 and 64, where a half of a list ends and the next is filled.
  for (const bool in_runs : {false, true})
    for (const int stages : {2, 5}) {
      for (const int visible : {32, 33, 62, 63, 64, 65, 96, 97, 127, 128, 129, 200}) test({visible}, in_runs, stages);
      for (const std::vector<int>& visible :
           std::vector<std::vector<int>>{{32, 32, 32}, {40, 24, 33}, {33, 0, 64}, {1, 100, 27}})
        test(visible, in_runs, stages);
    }
}

TEST_P(EmulatedBackwardLists, OfFormsWithoutVectorsEndAnywhereAndGoOnWhereTheyAreFilledAgain) {
  const auto runtime = emulated_runtime(Target{});
  for (const int stages : {2, 5})
    for (const int heads : {1, 3})
      for (const int row_tiles : {11, 21, 22, 32, 33, 43, 64, 65}) {
        const Mask mask({.form = MaskForm::kNone, .seqlen_q = 16 * row_tiles, .seqlen_k = heads == 1 ? 32 : 64}, {});
        const TileConfig config = two_warps(stages);
        const KernelDescriptor descriptor = descriptor_of(mask.shape(), GetParam());
        const auto kernel = runtime->request(descriptor, {.hint = {}, .config = config});
        const BackwardTestProblem problem = problem_of(mask, descriptor, heads);
        SCOPED_TRACE(fmt::format("{} row tiles of {} heads, {} stages", row_tiles, heads, stages));
        const LaunchResult result = run_backward(*runtime, *kernel, problem);
        EXPECT_TRUE(is_correct(result, *kernel, problem));
        EXPECT_EQ(result.statistics.matrix_instructions,
                  static_cast<std::uint64_t>(row_tiles * heads * (heads == 1 ? 1 : 2)) * products_per_tile(config));
      }
}

INSTANTIATE_TEST_SUITE_P(Order, EmulatedBackwardLists, testing::Bool(),
                         [](const auto& test) { return test.param ? "deterministic" : "in_any_order"; });

}  // namespace
}  // namespace flashmask::backward_tests
