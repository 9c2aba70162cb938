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

constexpr TileConfig kSmallTiles{32, 16, 2, 2, false};

KernelDescriptor descriptor_of(const MaskShape& shape, int head_dim) {
  KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
  descriptor.mask_form = shape.form;
  descriptor.causal_alignment = shape.causal_alignment;
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

/// Warp-wide products of one visited tile.
std::uint64_t products_per_tile(const TileConfig& config, int head_dim) {
  const auto steps = static_cast<std::uint64_t>((head_dim + 15) / 16);
  const std::uint64_t rows = config.tile_q / 16, keys = config.tile_k;
  return rows * (keys / 8) * steps + rows * (2 * steps) * (keys / 16);
}

/// A result that is right with random values has seen every visible element, and none twice: then as many products as
/// the tiles with a visible element have are one visit of each. That an empty tile, whose products a warp would leave
/// out, is not visited either is what SpendsNoInstructionOnEmptyTiles tells.
TEST(EmulatedWalk, OfEveryBuilderVisitsEachVisibleTileOnceAndNoEmptyOne) {
  constexpr TileConfig kOneWarp{16, 16, 1, 2, false};  // a warp's share of a tile is the tile
  const auto runtime = emulated_runtime(Target{});
  for (const MaskKind& kind : mask_kinds()) {
    SCOPED_TRACE(std::string(kind.name));
    const Mask mask = build_mask(kind.name, kind.example_arguments(), kind.example_seqlen_q, kind.example_seqlen_k);
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = kOneWarp});
    const TestProblem problem = problem_of(mask, descriptor, mask.shape().num_heads);
    EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
    const LaunchResult result = run_forward(*runtime, *kernel, problem);
    const TileMap map = classify_tiles(mask, kernel->tile());
    EXPECT_EQ(result.statistics.matrix_instructions,
              static_cast<std::uint64_t>(map.full_tiles() + map.partial_tiles()) * products_per_tile(kOneWarp, 16));
  }
}

TEST(EmulatedWalk, OfAWarpThatSeesNothingOfATileLeavesItsProductsOut) {
  const auto runtime = emulated_runtime(Target{});
  constexpr TileConfig kTwoWarps{32, 16, 2, 2, false};
  // Documents of 16 tokens: of every visited tile of 32 x 16 one warp sees all and the other nothing.
  std::vector<std::int32_t> values;
  for (int j = 0; j < 96; ++j)
    for (const int bound : {j / 16 * 16 + 16, j / 16 * 16}) values.push_back(bound);
  const Mask mask({.form = MaskForm::kF2, .seqlen_q = 96, .seqlen_k = 96}, values);
  const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
  const auto kernel = runtime->request(descriptor, {.hint = {}, .config = kTwoWarps});
  const TestProblem problem = problem_of(mask, descriptor, 1);
  EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
  EXPECT_EQ(run_forward(*runtime, *kernel, problem).statistics.matrix_instructions,
            6 * products_per_tile(kTwoWarps, 16) / 2);
}

TEST(EmulatedWalk, GivesTheSameBitsWithAndWithoutAPlan) {
  const auto runtime = emulated_runtime(Target{});
  std::uint64_t with_plan = 0, without_plan = 0;
  for (const MaskForm form : {MaskForm::kC1, MaskForm::kC2, MaskForm::kF2, MaskForm::kF4})
    for (const Intervals intervals : {Intervals::kFuzzed, Intervals::kDocuments, Intervals::kHoles})
      for (const int stages : {2, 3, 4}) {
        KernelDescriptor descriptor;
        descriptor.head_dim_qk = descriptor.head_dim_v = 32;
        descriptor.mask_form = form;
        const TileConfig config{32, 16, 2, stages, false};
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

/// Masks of form F2 on tiles of 32 x 16: the key tiles that are listed are seen by all rows, the others by none.
Mask stripes(int key_tiles, const std::vector<int>& visible, int seqlen_q = 32) {
  std::vector<std::int32_t> values;
  for (int j = 0; j < key_tiles * kSmallTiles.tile_k; ++j) {
    const bool seen = std::find(visible.begin(), visible.end(), j / kSmallTiles.tile_k) != visible.end();
    values.push_back(seen ? seqlen_q : 0);
    values.push_back(0);
  }
  return Mask({.form = MaskForm::kF2, .seqlen_q = seqlen_q, .seqlen_k = key_tiles * kSmallTiles.tile_k}, values);
}

TEST(EmulatedWalk, SpendsNoInstructionOnEmptyTiles) {
  const auto runtime = emulated_runtime(Target{});
  const auto instructions = [&](const Mask& mask) {
    const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
    const auto kernel = runtime->request(descriptor, {.hint = {}, .config = kSmallTiles});
    return run_forward(*runtime, *kernel, problem_of(mask, descriptor, 1)).statistics.instructions;
  };
  const std::uint64_t without = instructions(stripes(3, {0, 1, 2}));
  for (const int empty : {1, 2, 7, 28}) {
    EXPECT_EQ(instructions(stripes(3 + empty, {0, 1, 2})), without) << empty << " at the end";
    EXPECT_EQ(instructions(stripes(3 + empty, {0, 1, 2 + empty})), without) << empty << " in the middle";
  }
  EXPECT_EQ(instructions(stripes(600, {0, 1, 2})), without) << "many words of empty tiles";
}

TEST(EmulatedWalk, GoesOnWhereAHalfOfItsListEnds) {
  const auto runtime = emulated_runtime(Target{});
  // 64 entries fill a half: lists that end before, at and after one, sparse and dense, and one that starts late.
  for (const int visible : {63, 64, 65, 127, 128, 129, 200}) {
    for (const int step : {1, 3}) {
      std::vector<int> tiles;
      for (int n = 0; n < visible; ++n) tiles.push_back(5 + n * step);
      const Mask mask = stripes(tiles.back() + 2, tiles);
      const KernelDescriptor descriptor = descriptor_of(mask.shape(), 16);
      for (const int stages : {2, 5}) {
        const TileConfig config{32, 16, 2, stages, false};
        const auto kernel = runtime->request(descriptor, {.hint = {}, .config = config});
        const TestProblem problem = problem_of(mask, descriptor, 1);
        EXPECT_TRUE(is_correct(*runtime, *kernel, problem)) << visible << " tiles, every " << step;
        EXPECT_EQ(run_forward(*runtime, *kernel, problem).statistics.matrix_instructions,
                  static_cast<std::uint64_t>(visible) * products_per_tile(config, 16));
      }
    }
  }
}

/// Instructions that are not products, per product, of the tiles that a longer sequence adds.
struct Overhead {
  MaskForm form;
  int head_dim;
  bool partial;  ///< whether every tile is partial, or full
  double most;   ///< the figure when this was written, rounded up; it may only fall
};

TEST(EmulatedWalk, SpendsNoMoreInstructionsPerProductThanItDid) {
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
