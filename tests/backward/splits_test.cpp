// Groups of query heads that share a key head, taken in parts where there are fewer key tiles than a GPU has room for.

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/resized_device.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::ResizedDevice;

class BackwardSplits : public testing::TestWithParam<bool> {
 protected:
  static KernelDescriptor descriptor_of(MaskForm form) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.head_dim_qk = 32;
    descriptor.head_dim_v = 48;
    descriptor.mask_form = form;
    descriptor.target = forward_tests::tested_runtime().device()->properties().target;
    descriptor.deterministic = GetParam();
    return descriptor;
  }
};

TEST_P(BackwardSplits, OfEverySizeAreWithinTheBoundAndLeaveTheBitsOfADeterministicQueryGradient) {
  constexpr TileConfig kConfig{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 2};
  constexpr std::uint32_t kKeyTiles = 2, kKeyHeads = 2;
  for (const MaskForm form : {MaskForm::kCausal, MaskForm::kF4}) {
    const BackwardTestProblem problem(TestProblem(descriptor_of(form), {.seqlen_q = 70,
                                                                        .seqlen_k = 45,
                                                                        .heads_q = 12,
                                                                        .heads_kv = kKeyHeads,
                                                                        .heads_mask = form == MaskForm::kF4 ? 12 : 1}));
    std::vector<std::uint16_t> query_gradient;  // of the group in one part
    // Of six heads: in one, two, three and six parts. Four do not divide them: six are taken.
    for (const auto& [multiprocessors, parts] : {std::pair(1, 1u), {4, 2u}, {6, 3u}, {8, 6u}}) {
      const auto device = std::make_shared<ResizedDevice>(forward_tests::tested_runtime().device(), multiprocessors);
      Runtime runtime(device, forward_tests::tested_policy());
      const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = kConfig});
      const LaunchResult result = run_backward(runtime, *kernel, problem);
      ASSERT_GE(device->grids().size(), 3u);
      EXPECT_EQ(device->grids().end()[-2], kKeyTiles * kKeyHeads * parts) << multiprocessors;
      EXPECT_TRUE(is_correct(runtime, *kernel, problem)) << multiprocessors << " multiprocessors";
      if (parts == 1) query_gradient = result.query_gradient;
      if (GetParam()) {
        EXPECT_EQ(result.query_gradient, query_gradient) << multiprocessors << " multiprocessors";
      }
    }
  }
}

TEST_P(BackwardSplits, OfOneHeadEachWriteZerosForKeysThatNoneOfThemSees) {
  constexpr TileConfig kConfig{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 2};
  const auto device = std::make_shared<ResizedDevice>(forward_tests::tested_runtime().device(), 99);
  Runtime runtime(device, forward_tests::tested_policy());
  for (const Intervals intervals : {Intervals::kAllMasked, Intervals::kHoles}) {
    const BackwardTestProblem problem(TestProblem(
        descriptor_of(MaskForm::kF4), {.seqlen_q = 70, .seqlen_k = 90, .heads_q = 4}, {.intervals = intervals}));
    const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = kConfig});
    EXPECT_TRUE(is_correct(runtime, *kernel, problem));
    EXPECT_EQ(device->grids().end()[-2], 3u * 4u);
  }
}

INSTANTIATE_TEST_SUITE_P(Order, BackwardSplits, testing::Bool(),
                         [](const auto& test) { return test.param ? "deterministic" : "in_any_order"; });

}  // namespace
}  // namespace flashmask::backward_tests
