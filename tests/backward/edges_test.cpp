// Lengths around every edge of both tiles, for every form; and every shape of configuration.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::Family;
using forward_tests::lengths_around;
using forward_tests::tested_families;
using forward_tests::tested_runtime;

/// A form in all its alignments, of a family, and whether its kernels are deterministic.
struct Edges {
  Family family;
  MaskForm form;
  bool deterministic;
};
std::string name_of(const Edges& edges) {
  return fmt::format("{}_{}_{}", edges.family.name, to_string(edges.form),
                     edges.deterministic ? "deterministic" : "in_any_order");
}
void PrintTo(const Edges& edges, std::ostream* stream) {
  *stream << name_of(edges);
}

std::vector<Edges> all_edges() {
  std::vector<Edges> all;
  for (const Family& family : tested_families())
    for (const MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                                MaskForm::kF2, MaskForm::kF4})
      for (const bool deterministic : {false, true}) all.push_back({family, form, deterministic});
  return all;
}

struct Tiles {
  TileConfig config;
  DataType dtype;
};

/// Small tiles, so that many edges cost little; what happens at an edge does not depend on the size. With wgmma, all
/// tiles there are.
std::vector<Tiles> tiles_of(const Family& family) {
  if (family.name == "mma_sync") return {{{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 3}, DataType::kBfloat16}};
  return {{{64, 64, 8, 2, false, 2}, DataType::kBfloat16},
          {{64, 128, 8, 2}, DataType::kFloat16},
          {{128, 128, 8, 2}, DataType::kBfloat16}};
}

/// Lengths of queries and keys. All pairs where tiles are small; else each length of either, with another of the other
/// from turn to turn, so that all pairs come up among the forms.
std::vector<std::pair<int, int>> lengths_of(const Family& family, const TileConfig& config, std::size_t turn) {
  const std::vector<int> rows = lengths_around(config.tile_q), keys = lengths_around(config.tile_k);
  const std::size_t pairs = family.name == "mma_sync" ? keys.size() : 1;
  std::vector<std::pair<int, int>> all;
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (std::size_t n = 0; n < pairs; ++n) all.emplace_back(rows[i], keys[(3 * i + turn + n) % keys.size()]);
  return all;
}

class BackwardEdges : public testing::TestWithParam<Edges> {};

TEST_P(BackwardEdges, EveryLengthAroundEitherTileIsWithinTheBound) {
  const auto& [family, form, deterministic] = GetParam();
  int turn = 2 * static_cast<int>(form) + (deterministic ? 1 : 0);
  for (const auto& [config, dtype] : tiles_of(family)) {
    for (const KernelDescriptor& descriptor : all_forms(dtype, 32, 32, family.target, deterministic)) {
      if (descriptor.mask_form != form) continue;
      for (const auto& [seqlen_q, seqlen_k] : lengths_of(family, config, static_cast<std::size_t>(turn))) {
        ++turn;
        Runtime& runtime = tested_runtime(family, turn % 5);
        const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
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

INSTANTIATE_TEST_SUITE_P(Form, BackwardEdges, testing::ValuesIn(all_edges()),
                         [](const auto& test) { return name_of(test.param); });

/// A configuration with head dims of its own.
struct Shape {
  const char* family;
  TileConfig config;
  int head_dim_qk;
  int head_dim_v;
};
std::string name_of(const Shape& shape) {
  const TileConfig& config = shape.config;
  return fmt::format("{}_{}x{}_w{}_s{}_c{}_d{}_{}", shape.family, config.tile_q, config.tile_k, config.warps,
                     config.stages, config.column_warps, shape.head_dim_qk, shape.head_dim_v);
}

constexpr Shape kShapes[] = {
    // Every number of warps, with their own keys and in pairs; rings of two to six slots; tiles of one to eight blocks
    // of rows; one to four blocks of keys of a warp; column pairs that two warps share evenly, unevenly, and not at
    // all.
    {"mma_sync", {16, 16, 1, 2}, 64, 64},
    {"mma_sync", {128, 32, 1, 3}, 16, 16},
    {"mma_sync", {32, 64, 2, 4}, 40, 24},
    {"mma_sync", {48, 48, 3, 6}, 8, 136},
    {"mma_sync", {64, 64, 4, 2}, 136, 8},
    {"mma_sync", {112, 80, 5, 2}, 64, 40},
    {"mma_sync", {32, 96, 6, 3}, 72, 56},
    {"mma_sync", {16, 112, 7, 2}, 24, 64},
    {"mma_sync", {64, 128, 8, 2}, 64, 64},
    {"mma_sync", {32, 16, 2, 2, false, 2}, 64, 64},
    {"mma_sync", {32, 64, 2, 3, false, 2}, 8, 40},
    {"mma_sync", {64, 64, 4, 4, false, 2}, 40, 8},
    {"mma_sync", {96, 48, 6, 3, false, 2}, 56, 72},
    {"mma_sync", {128, 128, 8, 2, false, 2}, 64, 40},
    {"mma_sync", {32, 64, 8, 2, false, 2}, 136, 200},
    // Warpgroups with keys of their own, and of 64 or 128 rows: rings of two to six slots; columns of dQ that the
    // warpgroups share evenly, unevenly, with some that both multiply, and not at all; sums of dQ with and without room
    // in shared memory.
    {"wgmma", {64, 128, 8, 2}, 64, 64},
    {"wgmma", {64, 128, 8, 6}, 16, 40},
    {"wgmma", {64, 128, 8, 3}, 112, 72},
    {"wgmma", {64, 128, 8, 4}, 96, 8},
    {"wgmma", {64, 128, 8, 4}, 128, 128},
    {"wgmma", {128, 128, 8, 2}, 40, 64},
    {"wgmma", {128, 128, 8, 5}, 24, 16},
    {"wgmma", {128, 128, 8, 3}, 64, 64},
    // More columns than any default has with keys of a warpgroup's own.
    {"wgmma", {64, 128, 8, 2}, 192, 192},
    {"wgmma", {128, 128, 8, 2}, 96, 96},
    // Warpgroups that share their keys, and the columns of all gradients in each of these ways.
    {"wgmma", {64, 64, 8, 2, false, 2}, 64, 64},
    {"wgmma", {64, 64, 8, 6, false, 2}, 8, 80},
    {"wgmma", {64, 64, 8, 3, false, 2}, 72, 16},
    {"wgmma", {64, 64, 8, 4, false, 2}, 96, 48},
    {"wgmma", {64, 64, 8, 2, false, 2}, 136, 200},
    {"wgmma", {64, 64, 8, 2, false, 2}, 256, 248},
};

/// Those of the families that run on the device under test.
std::vector<std::pair<Family, int>> tested_shapes() {
  std::vector<std::pair<Family, int>> all;
  for (const Family& family : tested_families())
    for (int n = 0; n < static_cast<int>(std::size(kShapes)); ++n)
      if (family.name == kShapes[n].family) all.emplace_back(family, n);
  return all;
}

TEST(BackwardEdges, BoundsThatEndInTheMiddleOfARowOfBanksMoveNoTile) {
  // Of form C1, an odd multiple of 16 keys has bounds of 64 bytes more than whole rows of banks. (Kernels with wgmma
  // read bounds from global memory.)
  const Family mma_sync = tested_families().front();
  for (const TileConfig& config :
       {TileConfig{16, 16, 1, 2}, TileConfig{64, 48, 3, 3}, TileConfig{32, 16, 2, 2, false, 2}}) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.head_dim_qk = descriptor.head_dim_v = 64;
    descriptor.mask_form = MaskForm::kC1;
    Runtime& runtime = tested_runtime(mma_sync);
    descriptor.target = mma_sync.target;
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
    const BackwardTestProblem problem(
        TestProblem(descriptor, {.seqlen_q = 3 * config.tile_q + 3, .seqlen_k = 2 * config.tile_k + 5}, {.seed = 5}));
    EXPECT_TRUE(is_correct(runtime, *kernel, problem));
  }
}

class BackwardConfigs : public testing::TestWithParam<std::pair<Family, int>> {};

TEST_P(BackwardConfigs, OfEveryShapeAreWithinTheBound) {
  const auto& [family, number] = GetParam();
  const Shape& shape = kShapes[number];
  const TileConfig& config = shape.config;
  Runtime& runtime = tested_runtime(family, number % 5);
  KernelDescriptor descriptor;
  descriptor.pass = Pass::kBackward;
  descriptor.dtype = number % 3 == 0 ? DataType::kFloat16 : DataType::kBfloat16;
  descriptor.head_dim_qk = shape.head_dim_qk;
  descriptor.head_dim_v = shape.head_dim_v;
  descriptor.mask_form = number % 2 == 0 ? MaskForm::kC2 : MaskForm::kF2;
  descriptor.target = family.target;
  descriptor.deterministic = number % 4 < 2;
  const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
  // One key tile, whose group of heads is split, and four, of which the last is cut: enough for two multiprocessors.
  for (const int seqlen_k : {config.tile_k - 1, 3 * config.tile_k + 5}) {
    const BackwardTestProblem problem(TestProblem(
        descriptor,
        {.seqlen_q = 2 * config.tile_q + 3, .seqlen_k = seqlen_k, .heads_q = 2, .heads_kv = 1, .heads_mask = 2},
        {.intervals = Intervals::kHoles, .seed = static_cast<std::uint64_t>(number)}));
    EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.layout = Layout::kPadded}));
    EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.layout = Layout::kPadded, .with_plan = false}));
  }
}

INSTANTIATE_TEST_SUITE_P(Config, BackwardConfigs, testing::ValuesIn(tested_shapes()),
                         [](const auto& test) { return name_of(kShapes[test.param.second]); });

}  // namespace
}  // namespace flashmask::backward_tests
