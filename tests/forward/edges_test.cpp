// Lengths around every edge of a tile, in both directions, for every form; and every shape of configuration.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <ostream>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

/// Small tiles, so that many edges cost little; what happens at an edge does not depend on the size.
std::vector<TileConfig> small_tiles(const Family& family) {
  if (family.name == "mma_sync") return {{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 3}};
  return {{.tile_q = 64, .tile_k = 32, .warps = 4, .stages = 3, .overlap = true, .query_slots = 2},
          {.tile_q = 128, .tile_k = 16, .warps = 8, .stages = 2, .turns = true}};
}

/// A form in all its alignments, of a family.
struct Edges {
  Family family;
  MaskForm form;
};
void PrintTo(const Edges& edges, std::ostream* stream) {
  *stream << edges.family.name << " " << to_string(edges.form);
}

std::vector<Edges> all_edges() {
  std::vector<Edges> all;
  for (const Family& family : tested_families())
    for (const MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                                MaskForm::kF2, MaskForm::kF4})
      all.push_back({family, form});
  return all;
}

class ForwardEdges : public testing::TestWithParam<Edges> {};

/// A problem of the edges; what else it is made of changes from turn to turn.
TestProblem edge_problem(const KernelDescriptor& descriptor, int seqlen_q, int seqlen_k, int turn) {
  Variety variety{.intervals = turn % 2 ? Intervals::kFuzzed : Intervals::kHoles,
                  .seed = static_cast<std::uint64_t>(turn)};
  if (descriptor.mask_form == MaskForm::kWindow) {
    variety.window_left = turn % 3 == 0 ? -1 : turn % 41;
    variety.window_right = turn % 4 == 0 ? -1 : turn % 37;
  }
  return TestProblem(descriptor, {.seqlen_q = seqlen_q, .seqlen_k = seqlen_k}, variety);
}

TEST_P(ForwardEdges, EveryLengthAroundATileIsWithinTheBound) {
  const auto& [family, form] = GetParam();
  int turn = 0;
  for (const KernelDescriptor& descriptor : all_forms(DataType::kBfloat16, 32, 32, family.target)) {
    if (descriptor.mask_form != form) continue;
    for (const TileConfig& config : small_tiles(family))
      for (int seqlen_q : lengths_around(config.tile_q))
        for (int seqlen_k : lengths_around(config.tile_k)) {
          ++turn;
          Runtime& runtime = tested_runtime(family, turn % 5);
          const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
          EXPECT_TRUE(is_correct(runtime, *kernel, edge_problem(descriptor, seqlen_q, seqlen_k, turn)));
        }
  }
}

INSTANTIATE_TEST_SUITE_P(Form, ForwardEdges, testing::ValuesIn(all_edges()), [](const auto& test) {
  return fmt::format("{}_{}", test.param.family.name, to_string(test.param.form));
});

class ForwardConfigs : public testing::TestWithParam<Family> {
 protected:
  /// Shapes of configurations: all that make a kernel another one.
  std::vector<TileConfig> configs() const {
    if (GetParam().name == "mma_sync")
      return {{16, 16, 1, 2, false}, {48, 16, 3, 4, false}, {64, 48, 2, 3, true}, {128, 32, 8, 2, true}};
    std::vector<TileConfig> all;
    for (const int warps : {4, 8, 12})
      for (const bool overlap : {false, true})
        for (const bool turns : {false, true})
          for (const int query_slots : {1, 2})
            for (const int stages : {2, 3})
              all.push_back({.tile_q = 16 * warps,
                             .tile_k = 48,
                             .warps = warps,
                             .stages = stages,
                             .overlap = overlap,
                             .turns = turns,
                             .query_slots = query_slots});
    return all;
  }
};

TEST_P(ForwardConfigs, EveryShapeOfConfigurationIsWithinTheBound) {
  KernelDescriptor descriptor;
  descriptor.mask_form = MaskForm::kC2;
  descriptor.target = GetParam().target;
  constexpr std::array<std::pair<int, int>, 4> kHeadDims = {{{64, 64}, {40, 24}, {8, 256}, {256, 8}}};
  // Where there are many configurations, each has one pair of head dims, in turn.
  const std::size_t pairs = configs().size() > 4 ? 1 : kHeadDims.size();
  std::size_t turn = 0, served = 0;
  for (const TileConfig& config : configs()) {
    for (std::size_t n = 0; n < pairs; ++n, ++turn) {
      std::tie(descriptor.head_dim_qk, descriptor.head_dim_v) = kHeadDims[(turn + turn / 4 + turn / 16) % 4];
      if (!broken_rules(descriptor, config).empty()) continue;
      Runtime& runtime = tested_runtime(GetParam(), turn % 5);
      const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
      const TestProblem problem(descriptor,
                                {.seqlen_q = config.tile_q + 3, .seqlen_k = 2 * config.tile_k + 5, .heads_q = 2},
                                {.seed = static_cast<std::uint64_t>(++served)});
      EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.layout = Layout::kPadded}));
    }
  }
  EXPECT_GE(served, GetParam().name == "mma_sync" ? 12u : 40u);
}

INSTANTIATE_TEST_SUITE_P(Family, ForwardConfigs, testing::ValuesIn(tested_families()),
                         [](const auto& test) { return test.param.name; });

class ForwardHeadDims : public testing::TestWithParam<Family> {};

TEST_P(ForwardHeadDims, EveryMultipleOf8ThatIsNotOneOf16IsPaddedRight) {
  Runtime& runtime = tested_runtime(GetParam(), 1);
  KernelDescriptor descriptor;
  descriptor.mask_form = MaskForm::kCausal;
  descriptor.target = GetParam().target;
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

INSTANTIATE_TEST_SUITE_P(Family, ForwardHeadDims, testing::ValuesIn(tested_families()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace flashmask::forward_tests
