// Which tiles a forward kernel visits, and what a visit costs: counted by the emulator, whatever the device under test.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "flashmask/mask.h"
#include "flashmask/mask_kinds.h"
#include "flashmask/mask_tiles.h"
#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

KernelDescriptor descriptor_of(const MaskShape& shape, int head_dim, const Target& target) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
  descriptor.mask_form = shape.form;
  descriptor.causal_alignment = shape.causal_alignment;
  descriptor.target = target;
  return descriptor;
}

TestProblem problem_of(const Mask& mask, const KernelDescriptor& descriptor, int heads_q) {
  const MaskShape& shape = mask.shape();
  TestProblem problem(descriptor,
                      {.batch = shape.batch,
                       .seqlen_q = shape.seqlen_q,
                       .seqlen_k = shape.seqlen_k,
                       .heads_q = heads_q,
                       .heads_kv = 1,
                       .heads_mask = shape.num_heads},
                      {.window_left = shape.window_left, .window_right = shape.window_right, .seed = 3});
  if (!mask.startend_row_indices().empty())
    std::copy(mask.startend_row_indices().begin(), mask.startend_row_indices().end(), problem.intervals().begin());
  return problem;
}

class EmulatedWalk : public testing::TestWithParam<Family> {
 protected:
  static bool is_wgmma() { return GetParam().name == "wgmma"; }
  /// As small as tiles can be, so that masks of few tokens have many of them. Of one warp, or with wgmma of those that
  /// multiply a tile together: none leaves out its share.
  static TileConfig smallest() {
    if (is_wgmma()) return {.tile_q = 64, .tile_k = 16, .warps = 4, .stages = 2, .overlap = true, .query_slots = 2};
    return {.tile_q = 16, .tile_k = 16, .warps = 1, .stages = 2};
  }
  /// The same with several warps.
  static TileConfig few_warps() {
    if (is_wgmma()) return smallest();
    return {.tile_q = 32, .tile_k = 16, .warps = 2, .stages = 2};
  }
  /// Rings of several lengths.
  static std::vector<TileConfig> rings() {
    if (!is_wgmma()) {
      return {{.tile_q = 32, .tile_k = 16, .warps = 2, .stages = 2},
              {.tile_q = 32, .tile_k = 16, .warps = 2, .stages = 3},
              {.tile_q = 32, .tile_k = 16, .warps = 2, .stages = 5}};
    }
    return {smallest(), {.tile_q = 128, .tile_k = 16, .warps = 8, .stages = 3, .turns = true}};
  }
  static KernelDescriptor descriptor_of(const MaskShape& shape, int head_dim) {
    return forward_tests::descriptor_of(shape, head_dim, GetParam().target);
  }
  /// Warp-wide products of one visited tile.
  static std::uint64_t products_per_tile(const TileConfig& config, int head_dim) {
    const auto steps = static_cast<std::uint64_t>((head_dim + 15) / 16);
    const std::uint64_t rows = config.tile_q / 16, keys = config.tile_k;
    if (is_wgmma()) return rows * (steps + keys / 16);
    return rows * (keys / 8) * steps + rows * (2 * steps) * (keys / 16);
  }
};

/// A result that is right with random values has seen every visible element, and none twice: then as many products as
/// the tiles with a visible element have are one visit of each. That an empty tile, whose products a warp would leave
/// out, is not visited either is what SpendsNoInstructionOnEmptyTiles tells.
TEST_P(EmulatedWalk, OfEveryBuilderVisitsEachVisibleTileOnceAndNoEmptyOne) {
  const auto runtime = emulated_runtime(GetParam().target);
  for (const MaskKind& kind : mask_kinds()) {
    SCOPED_TRACE(std::string(kind.name));
    const Mask mask = build_mask(kind.name, kind.example_arguments(), kind.example_seqlen_q, kind.example_seqlen_k);
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = smallest()});
    const TestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
    const LaunchResult result = run_forward(*runtime, *kernel, problem);
    const TileMap map = classify_tiles(mask, kernel->tile());
    EXPECT_EQ(result.statistics.matrix_instructions,
              static_cast<std::uint64_t>(map.full_tiles() + map.partial_tiles()) * products_per_tile(smallest(), 16));
  }
}

TEST_P(EmulatedWalk, OfAWarpThatSeesNothingOfATileLeavesItsProductsOutWhereTheyAreItsOwn) {
  const auto runtime = emulated_runtime(GetParam().target);
  // Documents of 16 tokens: of every visited tile one warp sees all and the others nothing.
  std::vector<std::int32_t> values;
  for (int j = 0; j < 192; ++j)
    for (const int bound : {j / 16 * 16 + 16, j / 16 * 16}) values.push_back(bound);
  const Mask mask({.form = MaskForm::kF2, .seqlen_q = 192, .seqlen_k = 192}, values);
  const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
  const TileConfig config = few_warps();
  const auto kernel = runtime->request(descriptor, {.hint = {}, .config = config});
  const TestProblem problem = problem_of(mask, descriptor, 1);
  EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
  EXPECT_EQ(run_forward(*runtime, *kernel, problem).statistics.matrix_instructions,
            12 * products_per_tile(config, 16) / (is_wgmma() ? 1 : config.warps));
}

TEST_P(EmulatedWalk, GivesTheSameBitsWithAndWithoutAPlan) {
  const auto runtime = emulated_runtime(GetParam().target);
  std::uint64_t with_plan = 0, without_plan = 0;
  for (const MaskForm form : {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4})
    for (const Intervals intervals : {Intervals::kFuzzed, Intervals::kDocuments, Intervals::kHoles})
      for (const TileConfig& config : rings()) {
        KernelDescriptor descriptor;
        descriptor.head_dim_qk = descriptor.head_dim_v = 32;
        descriptor.mask_form = form;
        descriptor.target = GetParam().target;
        const auto kernel = runtime->request(descriptor, {.hint = {}, .config = config});
        const TestProblem problem(descriptor, {.seqlen_q = 170, .seqlen_k = 210, .heads_q = 2},
                                  {.intervals = intervals, .seed = 12});
        const LaunchResult planned = run_forward(*runtime, *kernel, problem);
        const LaunchResult plain = run_forward(*runtime, *kernel, problem, {.with_plan = false});
        EXPECT_EQ(planned.output, plain.output) << describe(problem);
        EXPECT_EQ(planned.lse, plain.lse) << describe(problem);
        with_plan += planned.statistics.instructions;
        without_plan += plain.statistics.instructions;
      }
  EXPECT_LT(with_plan, without_plan);
}

/// Masks of form F2 on key tiles of 16: those that are listed are seen by all rows, the others by none.
Mask stripes(int key_tiles, const std::vector<int>& visible, int seqlen_q = 32) {
  constexpr int kTileK = 16;
  std::vector<std::int32_t> values;
  for (int j = 0; j < key_tiles * kTileK; ++j) {
    const bool seen = std::find(visible.begin(), visible.end(), j / kTileK) != visible.end();
    values.push_back(seen ? seqlen_q : 0);
    values.push_back(0);
  }
  return Mask({.form = MaskForm::kF2, .seqlen_q = seqlen_q, .seqlen_k = key_tiles * kTileK}, values);
}

TEST_P(EmulatedWalk, SpendsNothingOnEmptyTiles) {
  const auto runtime = emulated_runtime(GetParam().target);
  const auto spent = [&](const Mask& mask) {
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = few_warps()});
    const LaunchStatistics statistics = run_forward(*runtime, *kernel, problem_of(mask, descriptor, 1)).statistics;
    // Warps that wait for each other look as often as it takes; all of these multiply whatever is visited.
    return is_wgmma() ? statistics.matrix_instructions : statistics.instructions;
  };
  const std::uint64_t without = spent(stripes(3, {0, 1, 2}));
  for (const int empty : {1, 2, 7, 28}) {
    EXPECT_EQ(spent(stripes(3 + empty, {0, 1, 2})), without) << empty << " at the end";
    EXPECT_EQ(spent(stripes(3 + empty, {0, 1, 2 + empty})), without) << empty << " in the middle";
  }
  EXPECT_EQ(spent(stripes(600, {0, 1, 2})), without) << "many words of empty tiles";
}

TEST_P(EmulatedWalk, GoesOnWhereWhatItHasReadOfThePlanEnds) {
  const auto runtime = emulated_runtime(GetParam().target);
  std::vector<std::vector<int>> lists;
  if (is_wgmma()) {
    // Lanes hold the classes of 32 tiles each, and of 1024 together.
    lists = {{1023}, {1024}, {31, 32, 1023, 1024}, {0, 992, 1055, 1056}};
  } else {
    // 64 entries fill a half: lists that end before, at and after one, sparse and dense, and one that starts late.
    for (const int visible : {63, 64, 65, 127, 128, 129, 200})
      for (const int step : {1, 3}) {
        std::vector<int>& tiles = lists.emplace_back();
        for (int n = 0; n < visible; ++n) tiles.push_back(5 + n * step);
      }
  }
  const std::vector<TileConfig> ends =
      is_wgmma() ? std::vector{smallest()} : std::vector{rings().front(), rings().back()};
  for (const std::vector<int>& tiles : lists) {
    const Mask mask = stripes(tiles.back() + 2, tiles);
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
    for (const TileConfig& config : ends) {
      const auto kernel = runtime->request(descriptor, {.hint = {}, .config = config});
      const TestProblem problem = problem_of(mask, descriptor, 1);
      SCOPED_TRACE(fmt::format("{} tiles from {} to {}", tiles.size(), tiles.front(), tiles.back()));
      EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
      EXPECT_EQ(run_forward(*runtime, *kernel, problem).statistics.matrix_instructions,
                tiles.size() * products_per_tile(config, 16));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Family, EmulatedWalk, testing::ValuesIn(emulated_families()),
                         [](const auto& test) { return test.param.name; });

/// Instructions that are not products, per product, of the tiles that a longer sequence adds.
struct Overhead {
  MaskForm form;
  int head_dim;
  bool partial;  ///< whether every tile is partial, or full
  double most;   ///< the figure when this was written, rounded up; it may only fall
};

TEST(EmulatedOverhead, IsNoMoreInstructionsPerProductThanItWas) {
  constexpr Overhead kFigures[] = {
      {MaskForm::kNone, 64, false, 4.94}, {MaskForm::kC1, 64, false, 4.98},  {MaskForm::kF4, 64, false, 4.98},
      {MaskForm::kC1, 64, true, 6.99},    {MaskForm::kF4, 64, true, 8.51},   {MaskForm::kNone, 128, false, 3.20},
      {MaskForm::kC1, 128, false, 3.22},  {MaskForm::kF4, 128, false, 3.22}, {MaskForm::kC1, 128, true, 4.18},
      {MaskForm::kF4, 128, true, 4.98},
  };
  const auto runtime = emulated_runtime(Target{});
  for (const Overhead& figure : kFigures) {
    KernelDescriptor descriptor;
    descriptor.head_dim_qk = descriptor.head_dim_v = figure.head_dim;
    descriptor.mask_form = figure.form;
    const auto kernel = runtime->request(descriptor);
    const TileConfig& config = kernel->config();
    const auto run = [&](int key_tiles) {
      const int seqlen_k = key_tiles * config.tile_k;
      TestProblem problem(descriptor, {.seqlen_q = config.tile_q, .seqlen_k = seqlen_k},
                          {.intervals = Intervals::kNoneMasked});
      // The columns of a tile hide rows of all warps, so that no warp passes its test by, and leave every warp some.
      if (figure.partial) {
        const int vectors = vectors_per_column(figure.form);
        for (int j = 0; j < seqlen_k; ++j) {
          std::int32_t* bounds = problem.intervals().data() + static_cast<std::ptrdiff_t>(j) * vectors;
          bounds[0] = j * config.tile_q / config.tile_k % config.tile_q;
          if (vectors > 1) bounds[1] = bounds[0] + 1;
        }
      }
      return run_forward(*runtime, *kernel, problem).statistics;
    };
    const LaunchStatistics few = run(6), many = run(10);
    const auto products = static_cast<double>(many.matrix_instructions - few.matrix_instructions);
    const double overhead = static_cast<double>(many.instructions - few.instructions) / products - 1;
    EXPECT_LE(overhead, figure.most) << to_string(descriptor) << (figure.partial ? ", partial tiles" : ", full tiles");
  }
}

}  // namespace
}  // namespace flashmask::forward_tests
