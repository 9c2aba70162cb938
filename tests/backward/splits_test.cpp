// Groups of query heads that share a key head, taken in parts where there are fewer key tiles than a GPU has room for.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/resized_device.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::Family;
using forward_tests::ResizedDevice;
using forward_tests::tested_families;
using forward_tests::tested_runtime;

/// Kernels of a family that take groups in parts.
struct Split {
  Family family;
  TileConfig config;
  bool deterministic;
};
std::string name_of(const Split& split) {
  return fmt::format("{}_{}x{}_{}", split.family.name, split.config.tile_q, split.config.tile_k,
                     split.deterministic ? "deterministic" : "in_any_order");
}
void PrintTo(const Split& split, std::ostream* stream) {
  *stream << name_of(split);
}

std::vector<Split> splits() {
  std::vector<Split> all;
  for (const Family& family : tested_families()) {
    const std::vector<TileConfig> configs =
        family.name == "wgmma" ? std::vector{TileConfig{64, 64, 8, 2, false, 2}, TileConfig{64, 128, 8, 2}}
                               : std::vector{TileConfig{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 2}};
    for (const TileConfig& config : configs)
      for (const bool deterministic : {false, true}) all.push_back({family, config, deterministic});
  }
  return all;
}

class BackwardSplits : public testing::TestWithParam<Split> {
 protected:
  static constexpr int kHeadDimQk = 32, kHeadDimV = 48;
  static const TileConfig& config() { return GetParam().config; }
  static KernelDescriptor descriptor_of(MaskForm form) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.head_dim_qk = kHeadDimQk;
    descriptor.head_dim_v = kHeadDimV;
    descriptor.mask_form = form;
    descriptor.target = GetParam().family.target;
    descriptor.deterministic = GetParam().deterministic;
    return descriptor;
  }
  /// CTAs of the main kernel. With wgmma they stay on their multiprocessors and take one piece of work after the other.
  static std::uint32_t ctas_of(std::uint32_t work, int multiprocessors) {
    return GetParam().family.name == "wgmma" ? std::min(work, static_cast<std::uint32_t>(multiprocessors)) : work;
  }
};

TEST_P(BackwardSplits, OfEverySizeAreWithinTheBoundAndLeaveTheBitsOfADeterministicQueryGradient) {
  constexpr std::uint32_t kKeyTiles = 2, kKeyHeads = 2;
  const std::size_t sums_of_part =
      kKeyTiles * kKeyHeads * static_cast<std::size_t>(config().tile_k) * (kHeadDimQk + kHeadDimV) * sizeof(float);
  const int row_tiles = GetParam().family.name == "wgmma" ? 2 : 3;
  for (const MaskForm form : {MaskForm::kCausal, MaskForm::kF4}) {
    const BackwardTestProblem problem(
        TestProblem(descriptor_of(form), {.seqlen_q = config().tile_q * (row_tiles - 1) + 6,
                                          .seqlen_k = config().tile_k + 13,
                                          .heads_q = 12,
                                          .heads_kv = kKeyHeads,
                                          .heads_mask = form == MaskForm::kF4 ? 12 : 1}));
    LaunchResult whole;  // of the group in one part
    // Of six heads: in one, two, three and six parts. Four do not divide them: six are taken.
    for (const auto& [multiprocessors, parts] : {std::pair(1, 1u), {4, 2u}, {6, 3u}, {8, 6u}}) {
      const auto device = std::make_shared<ResizedDevice>(
          tested_runtime(GetParam().family, static_cast<std::uint64_t>(multiprocessors) % 5).device(), multiprocessors);
      Runtime runtime(device, forward_tests::tested_policy());
      const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = config()});
      const LaunchResult result = run_backward(runtime, *kernel, problem);
      EXPECT_TRUE(is_correct(result, *kernel, problem)) << multiprocessors << " multiprocessors";
      ASSERT_GE(device->grids().size(), 3u);
      EXPECT_EQ(device->grids().end()[-2], ctas_of(kKeyTiles * kKeyHeads * parts, multiprocessors)) << multiprocessors;
      if (parts == 1) whole = result;
      EXPECT_EQ(result.workspace.size(), whole.workspace.size() + (parts == 1 ? 0 : parts * sums_of_part));
      if (GetParam().deterministic) {
        EXPECT_EQ(result.query_gradient, whole.query_gradient) << multiprocessors << " multiprocessors";
      }
    }
  }
}

TEST_P(BackwardSplits, OfOneHeadEachWriteZerosForKeysThatNoneOfThemSees) {
  constexpr int kMultiprocessors = 99;
  const auto device = std::make_shared<ResizedDevice>(tested_runtime(GetParam().family).device(), kMultiprocessors);
  Runtime runtime(device, forward_tests::tested_policy());
  for (const Intervals intervals : {Intervals::kAllMasked, Intervals::kHoles}) {
    const BackwardTestProblem problem(
        TestProblem(descriptor_of(MaskForm::kF4),
                    {.seqlen_q = config().tile_q * 2 + 6, .seqlen_k = config().tile_k * 3 - 6, .heads_q = 4},
                    {.intervals = intervals}));
    const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = config()});
    EXPECT_TRUE(is_correct(runtime, *kernel, problem));
    EXPECT_EQ(device->grids().end()[-2], ctas_of(3u * 4u, kMultiprocessors));
  }
}

INSTANTIATE_TEST_SUITE_P(Kernel, BackwardSplits, testing::ValuesIn(splits()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::backward_tests
