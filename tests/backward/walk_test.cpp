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
#include "tests/forward/resized_device.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::emulated_families;
using forward_tests::emulated_runtime;
using forward_tests::Family;

bool is_wgmma(const Family& family) {
  return family.name == "wgmma";
}

int head_dim_of(const Family& family) {
  return is_wgmma(family) ? 32 : 16;
}

KernelDescriptor descriptor_of(const Family& family, const MaskShape& shape, bool deterministic = false) {
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.target = family.target;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim_of(family);
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

/// As small as tiles can be, so that masks of few tokens have many of them. Of one warp, or with wgmma of those that
/// multiply a tile together: none leaves out its share.
TileConfig smallest(const Family& family) {
  return is_wgmma(family) ? TileConfig{64, 64, 8, 2, false, 2} : TileConfig{16, 16, 1, 2};
}

/// The configuration of a forward with such tiles.
TileConfig smallest_of_forward(const Family& family) {
  return is_wgmma(family) ? TileConfig{64, 64, 4, 2} : TileConfig{16, 16, 1, 2};
}

/// Warp-wide products of one visited tile, that every warp sees: those of the scores, of dP, dV, dK and dQ. Of
/// m16n8k16; with wgmma, of a warp's part in m64nNk16.
std::uint64_t products_per_tile(const Family& family, const TileConfig& config) {
  const auto rows = static_cast<std::uint64_t>(config.tile_q / 16),
             keys = static_cast<std::uint64_t>(config.tile_k / 16);
  const auto steps = static_cast<std::uint64_t>(head_dim_of(family) / 16);
  if (is_wgmma(family)) return static_cast<std::uint64_t>(config.warps) * (2 * steps + 2 * rows + keys);
  return rows * keys * 5 * 2 * steps;
}

std::uint64_t forward_products_per_tile(const Family& family, const TileConfig& config) {
  const auto rows = static_cast<std::uint64_t>(config.tile_q / 16),
             keys = static_cast<std::uint64_t>(config.tile_k / 16);
  const auto steps = static_cast<std::uint64_t>(head_dim_of(family) / 16);
  return is_wgmma(family) ? rows * (steps + keys) : rows * keys * 2 * 2 * steps;
}

std::uint64_t visible_tiles(const TileMap& map) {
  return static_cast<std::uint64_t>(map.full_tiles() + map.partial_tiles());
}

/// An emulated device of a family on which two key tiles are work enough: groups of heads are not taken in parts.
std::shared_ptr<forward_tests::ResizedDevice> of_one_multiprocessor(const Family& family) {
  return std::make_shared<forward_tests::ResizedDevice>(open_emulated_device({.target = family.target}), 1);
}

class EmulatedBackwardWalk : public testing::TestWithParam<Family> {
 protected:
  static TileConfig smallest() { return backward_tests::smallest(GetParam()); }
  static KernelDescriptor descriptor_of(const MaskShape& shape, bool deterministic = false) {
    return backward_tests::descriptor_of(GetParam(), shape, deterministic);
  }
  static std::uint64_t products_per_tile(const TileConfig& config) {
    return backward_tests::products_per_tile(GetParam(), config);
  }
};

/// A result that is right with random values has seen every visible element, and none twice: then as many products as
/// the tiles with a visible element have are one visit of each. A visit to an empty tile would multiply for dQ, at
/// least.
TEST_P(EmulatedBackwardWalk, OfEveryBuilderVisitsEachVisibleTileOnceAndNoEmptyOne) {
  const auto runtime = emulated_runtime(GetParam().target);
  for (const MaskKind& kind : mask_kinds()) {
    SCOPED_TRACE(std::string(kind.name));
    const Mask mask = build_mask(kind.name, kind.example_arguments(), kind.example_seqlen_q, kind.example_seqlen_k);
    const KernelDescriptor descriptor = descriptor_of(mask.shape());
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = smallest()});
    const BackwardTestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    const LaunchResult result = run_backward(*runtime, *kernel, problem);
    EXPECT_TRUE(is_correct(result, *kernel, problem));
    EXPECT_EQ(result.statistics.matrix_instructions,
              visible_tiles(classify_tiles(mask, kernel->tile())) * products_per_tile(smallest()));
  }
}

/// Masks of runs of equal columns, so that tiles of `tile` x `tile` of all classes come up.
Mask random_mask(std::mt19937_64& random, MaskForm form, int tile) {
  const auto below = [&](int end) { return static_cast<int>(random() % static_cast<unsigned>(end)); };
  const int most = 5 * tile + tile / 2;
  const MaskShape shape{.form = form,
                        .causal_alignment = has_diagonal(form) && below(2) == 0 ? CausalAlignment::kTopLeft
                                                                                : CausalAlignment::kBottomRight,
                        .batch = 1 + below(2),
                        .num_heads = 1 + below(2),
                        .seqlen_q = 1 + below(most),
                        .seqlen_k = 1 + below(most)};
  const auto vectors = static_cast<std::size_t>(vectors_per_column(form));
  const std::size_t size = vectors * static_cast<std::size_t>(shape.batch * shape.num_heads * shape.seqlen_k);
  std::vector<std::int32_t> values;
  while (values.size() < size) {
    std::vector<std::int32_t> column;
    for (std::size_t i = 0; i < vectors; ++i) column.push_back(below(shape.seqlen_q + 20) - 10);
    for (int run = 1 + below(5 * tile / 2); run > 0 && values.size() < size; --run)
      values.insert(values.end(), column.begin(), column.end());
  }
  return Mask(shape, std::move(values));
}

TEST_P(EmulatedBackwardWalk, VisitsOfEachPlanTheTilesThatTheForwardVisitsAndTheHostFindsVisible) {
  const auto runtime = emulated_runtime(GetParam().target);
  std::mt19937_64 random(20260202);
  const TileConfig config_of_forward = smallest_of_forward(GetParam());
  std::uint64_t all = 0, visible = 0;
  for (int n = 0; n < (is_wgmma(GetParam()) ? 24 : 80); ++n) {
    constexpr MaskForm kForms[] = {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4};
    const Mask mask = random_mask(random, kForms[n % 4], smallest().tile_k);
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), n % 8 < 4);
    KernelDescriptor of_forward = descriptor;
    of_forward.pass = Pass::kForward;
    of_forward.deterministic = false;
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = smallest()});
    const auto forward = runtime->request(of_forward, {.hint = {}, .config = config_of_forward});
    ASSERT_EQ(kernel->tile(), forward->tile());
    const TileMap map = classify_tiles(mask, kernel->tile());
    const BackwardTestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    SCOPED_TRACE(describe(problem.forward()));
    const LaunchResult result = run_backward(*runtime, *kernel, problem);
    EXPECT_TRUE(is_correct(result, *kernel, problem));
    EXPECT_EQ(result.statistics.matrix_instructions, visible_tiles(map) * products_per_tile(smallest()));
    EXPECT_EQ(run_forward(*runtime, *forward, problem.forward()).statistics.matrix_instructions,
              visible_tiles(map) * forward_products_per_tile(GetParam(), config_of_forward));
    all += static_cast<std::uint64_t>(map.empty_tiles()) + visible_tiles(map);
    visible += visible_tiles(map);
  }
  EXPECT_GT(visible, all / 4);
  EXPECT_LT(visible, all * 3 / 4);
}

TEST_P(EmulatedBackwardWalk, OfAWarpWhoseKeysNoRowOfATileSeesLeavesItsProductsOutWhereTheyAreItsOwn) {
  const auto runtime = emulated_runtime(GetParam().target);
  const TileConfig config = is_wgmma(GetParam()) ? TileConfig{64, 128, 8, 2} : TileConfig{16, 32, 2, 2};
  // Documents of half a tile of keys: of every visited tile all rows see the keys of one half of the warps and none of
  // the other's.
  const int document = config.tile_k / 2;
  std::vector<std::int32_t> values;
  for (int j = 0; j < 6 * document; ++j)
    for (const int bound : {j / document * document + document, j / document * document}) values.push_back(bound);
  const Mask mask({.form = MaskForm::kF2, .seqlen_q = 6 * document, .seqlen_k = 6 * document}, values);
  const KernelDescriptor descriptor = descriptor_of(mask.shape());
  const auto kernel = runtime->request(descriptor, {.hint = {}, .config = config});
  const BackwardTestProblem problem = problem_of(mask, descriptor, 1);
  const LaunchResult result = run_backward(*runtime, *kernel, problem);
  EXPECT_TRUE(is_correct(result, *kernel, problem));
  // Half of the scores, dP, dV and dK; dQ is made of all keys. Warpgroups take part in every product of theirs.
  const std::uint64_t products = 6 * products_per_tile(config);
  EXPECT_EQ(result.statistics.matrix_instructions, is_wgmma(GetParam()) ? products : products * 3 / 5);
}

/// The statistics of the main kernel of a backward, without those of the kernels around it.
class MainKernel {
 public:
  explicit MainKernel(const Target& target)
      : device_(std::make_shared<forward_tests::LaunchCounter>(open_emulated_device({.target = target}))),
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

/// Form F4, of one key tile: of row tiles of `tile` rows, `gap` see no key between `head` and `tail` that see all.
Mask with_a_gap(int head, int gap, int tail, int tile) {
  std::vector<std::int32_t> values;
  for (int j = 0; j < tile; ++j)
    for (const int bound : {tile * head, tile * (head + gap), 0, 0}) values.push_back(bound);
  return Mask({.form = MaskForm::kF4, .seqlen_q = tile * (head + gap + tail), .seqlen_k = tile}, values);
}

TEST_P(EmulatedBackwardWalk, SpendsNeitherInstructionsNorLoadsOnEmptyTiles) {
  MainKernel main_kernel(GetParam().target);
  const int tile = smallest().tile_q;
  for (const bool deterministic : {false, true}) {
    const auto statistics = [&](const Mask& mask) {
      return main_kernel.run(problem_of(mask, descriptor_of(mask.shape(), deterministic), 1), smallest());
    };
    const LaunchStatistics without = statistics(with_a_gap(1, 0, 2, tile));
    for (const auto& [head, gap, tail] :
         {std::tuple(3, 1, 0), {3, 7, 0}, {3, 600, 0}, {0, 1, 3}, {0, 28, 3}, {0, 600, 3}, {1, 2, 2}, {2, 28, 1}}) {
      const LaunchStatistics with = statistics(with_a_gap(head, gap, tail, tile));
      const std::string what = fmt::format("{} empty tiles behind {} and before {}", gap, head, tail);
      EXPECT_EQ(with.matrix_instructions, without.matrix_instructions) << what;
      EXPECT_EQ(with.global_bytes_read, without.global_bytes_read) << what;
      // Warps that wait for each other look as often as it takes.
      if (!is_wgmma(GetParam())) {
        EXPECT_EQ(with.instructions, without.instructions) << what;
      }
    }
  }
}

/// Form F4: column j is seen by one row tile alone, the (j mod size)-th of these.
Mask rows_of_columns(const std::vector<int>& row_tiles, int row_tile_count, int tile) {
  std::vector<std::int32_t> values;
  const int seqlen_q = tile * row_tile_count;
  for (int j = 0; j < tile; ++j) {
    const int row_tile = row_tiles[static_cast<std::size_t>(j) % row_tiles.size()];
    for (const int bound : {0, tile * row_tile, tile * (row_tile + 1), seqlen_q}) values.push_back(bound);
  }
  return Mask({.form = MaskForm::kF4, .seqlen_q = seqlen_q, .seqlen_k = tile}, values);
}

TEST_P(EmulatedBackwardWalk, GoesOnWhereAWarpHasReadAllWordsOfAPlanThatItsLanesHold) {
  const auto runtime = emulated_runtime(GetParam().target);
  // A word has the classes of 32 row tiles, and 32 lanes those of 1024.
  for (const std::vector<int>& row_tiles : {std::vector{1023}, {1024}, {0, 31, 32, 1023, 1024, 1055}}) {
    const Mask mask = rows_of_columns(row_tiles, 1057, smallest().tile_q);
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), row_tiles.size() > 1);
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = smallest()});
    const BackwardTestProblem problem = problem_of(mask, descriptor, 1);
    SCOPED_TRACE(fmt::format("row tiles {}", fmt::join(row_tiles, ", ")));
    const LaunchResult result = run_backward(*runtime, *kernel, problem);
    EXPECT_TRUE(is_correct(result, *kernel, problem));
    EXPECT_EQ(result.statistics.matrix_instructions, row_tiles.size() * products_per_tile(smallest()));
  }
}

TEST_P(EmulatedBackwardWalk, CountsTurnsOverMoreKeyTilesThanTheLanesOfAWarpHaveWordsOf) {
  // A turn that is too early may well find its place; but then nothing orders what is added.
  Runtime runtime(open_emulated_device({.target = GetParam().target, .ordered_sums = true}),
                  forward_tests::tested_policy());
  const int tile = smallest().tile_k;
  // Form F2, one row tile: these key tiles add to its gradient in turn, and the others not at all.
  const std::vector<int> key_tiles = {0, 31, 32, 1023, 1024, 1056};
  std::vector<std::int32_t> values;
  for (int j = 0; j < tile * 1058; ++j) {
    values.push_back(std::ranges::binary_search(key_tiles, j / tile) ? tile : 0);
    values.push_back(0);
  }
  const Mask mask({.form = MaskForm::kF2, .seqlen_q = tile, .seqlen_k = tile * 1058}, values);
  const KernelDescriptor descriptor = descriptor_of(mask.shape(), /*deterministic=*/true);
  const auto kernel = runtime.request(descriptor, {.hint = {}, .config = smallest()});
  const BackwardTestProblem problem = problem_of(mask, descriptor, 1);
  const LaunchResult result = run_backward(runtime, *kernel, problem);
  EXPECT_TRUE(is_correct(result, *kernel, problem));
  EXPECT_EQ(result.statistics.matrix_instructions, key_tiles.size() * products_per_tile(smallest()));
}

TEST_P(EmulatedBackwardWalk, GoesThroughAllHeadsOfAGroupAlsoThoseThatSeeNothing) {
  const auto device = of_one_multiprocessor(GetParam());
  Runtime runtime(device, forward_tests::tested_policy());
  const int tile = smallest().tile_q;
  // Form F2: of each head some row tiles see all keys.
  for (const std::vector<int>& visible : {std::vector{2, 2, 2}, {0, 3, 1}, {3, 0, 1}, {1, 2, 0}, {0, 0, 0, 1}})
    for (const bool deterministic : {false, true}) {
      std::vector<std::int32_t> values;
      for (const int tiles : visible)
        for (int j = 0; j < 2 * tile; ++j)
          for (const int bound : {tile * tiles, 0}) values.push_back(bound);
      const int heads = static_cast<int>(visible.size());
      const Mask mask({.form = MaskForm::kF2, .num_heads = heads, .seqlen_q = 3 * tile, .seqlen_k = 2 * tile}, values);
      const KernelDescriptor descriptor = descriptor_of(mask.shape(), deterministic);
      const auto kernel = runtime.request(descriptor, {.hint = {}, .config = smallest()});
      const BackwardTestProblem problem = problem_of(mask, descriptor, heads);
      SCOPED_TRACE(fmt::format("{} visible row tiles", fmt::join(visible, " + ")));
      const LaunchResult result = run_backward(runtime, *kernel, problem);
      EXPECT_TRUE(is_correct(result, *kernel, problem));
      EXPECT_EQ(device->grids().back(), static_cast<std::uint32_t>(3 * heads)) << "no parts of groups to be added";
      std::uint64_t tiles = 0;
      for (const int of_head : visible) tiles += static_cast<std::uint64_t>(2 * of_head);
      EXPECT_EQ(result.statistics.matrix_instructions, tiles * products_per_tile(smallest()));
    }
}

INSTANTIATE_TEST_SUITE_P(Family, EmulatedBackwardWalk, testing::ValuesIn(emulated_families()),
                         [](const auto& test) { return test.param.name; });

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

/// Of kernels with mma.sync, whose warps share a list in shared memory that one of them fills, half by half.
class EmulatedBackwardLists : public testing::TestWithParam<bool> {
 protected:
  static Family mma_sync() { return emulated_families().front(); }
};

TEST_P(EmulatedBackwardLists, OfAPlanEndAnywhereAndGoOnWhereTheyAreFilledAgain) {
  const auto device = of_one_multiprocessor(mma_sync());
  Runtime runtime(device, forward_tests::tested_policy());
  const auto test = [&](const std::vector<int>& visible, bool in_runs, int stages) {
    // Of one head one key tile is enough; more heads share a CTA only where there are two, on one multiprocessor.
    const int key_tiles = visible.size() == 1 ? 1 : 2;
    const Mask mask = long_list(visible, in_runs, key_tiles);
    const TileConfig config = two_warps(stages);
    const KernelDescriptor descriptor = descriptor_of(mma_sync(), mask.shape(), GetParam());
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
    const BackwardTestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    SCOPED_TRACE(fmt::format("{} visible tiles, {}, {} stages", fmt::join(visible, " + "),
                             in_runs ? "in runs" : "in a row", stages));
    const LaunchResult result = run_backward(runtime, *kernel, problem);
    EXPECT_TRUE(is_correct(result, *kernel, problem));
    EXPECT_EQ(device->grids().end()[-2], static_cast<std::uint32_t>(key_tiles)) << "a CTA for all heads";
    std::uint64_t tiles = 0;
    for (const int of_head : visible) tiles += static_cast<std::uint64_t>(of_head * key_tiles);
    // A tile of a run has one key, which one of the warps holds; only dQ is made of all keys.
    const std::uint64_t products = products_per_tile(mma_sync(), config) * (in_runs ? 3 : 5) / 5;
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
  Runtime runtime(of_one_multiprocessor(mma_sync()), forward_tests::tested_policy());
  for (const int stages : {2, 5})
    for (const int heads : {1, 3})
      for (const int row_tiles : {11, 21, 22, 32, 33, 43, 64, 65}) {
        const Mask mask({.form = MaskForm::kNone, .seqlen_q = 16 * row_tiles, .seqlen_k = heads == 1 ? 32 : 64}, {});
        const TileConfig config = two_warps(stages);
        const KernelDescriptor descriptor = descriptor_of(mma_sync(), mask.shape(), GetParam());
        const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
        const BackwardTestProblem problem = problem_of(mask, descriptor, heads);
        SCOPED_TRACE(fmt::format("{} row tiles of {} heads, {} stages", row_tiles, heads, stages));
        const LaunchResult result = run_backward(runtime, *kernel, problem);
        EXPECT_TRUE(is_correct(result, *kernel, problem));
        EXPECT_EQ(result.statistics.matrix_instructions,
                  static_cast<std::uint64_t>(row_tiles * heads * (heads == 1 ? 1 : 2)) *
                      products_per_tile(mma_sync(), config));
      }
}

INSTANTIATE_TEST_SUITE_P(Order, EmulatedBackwardLists, testing::Bool(),
                         [](const auto& test) { return test.param ? "deterministic" : "in_any_order"; });

}  // namespace
}  // namespace flashmask::backward_tests
