// Pieces of work and the CTAs that do them: a CTA each, or CTAs that stay and take one piece after the other.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/resized_device.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

class ForwardQueue : public testing::TestWithParam<Family> {
 protected:
  static KernelDescriptor descriptor_of(MaskForm form) {
    KernelDescriptor descriptor;
    descriptor.head_dim_qk = 32;
    descriptor.head_dim_v = 48;
    descriptor.mask_form = form;
    descriptor.target = GetParam().target;
    return descriptor;
  }
  static std::vector<TileConfig> configs() {
    if (GetParam().name == "mma_sync") return {{.tile_q = 64, .tile_k = 32, .warps = 4, .stages = 2}};
    return {{.tile_q = 64, .tile_k = 32, .warps = 4, .stages = 2, .overlap = true, .query_slots = 2},
            {.tile_q = 64, .tile_k = 32, .warps = 4, .stages = 3, .query_slots = 1}};
  }
};

TEST_P(ForwardQueue, OfMoreOrLessWorkThanCtasLeavesTheSameBits) {
  constexpr std::uint32_t kWork = 3 * 2 * 2;  // row tiles, heads, batch entries
  for (const MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kF4}) {
    // The last row tile sees nothing, and the others not everything.
    const TestProblem problem(descriptor_of(form),
                              {.batch = 2, .seqlen_q = 3 * 64 - 7, .seqlen_k = 75, .heads_q = 2, .heads_kv = 1},
                              {.intervals = Intervals::kHoles});
    for (const TileConfig& config : configs()) {
      LaunchResult first;
      for (const int multiprocessors : {1, 2, 5, 11, 12, 13, 40}) {
        const auto device =
            std::make_shared<ResizedDevice>(tested_runtime(GetParam(), multiprocessors % 5).device(), multiprocessors);
        Runtime runtime(device, tested_policy());
        const auto kernel = runtime.request(problem.descriptor(), {.hint = {}, .config = config});
        const LaunchResult result = run_forward(runtime, *kernel, problem);
        const bool stays = GetParam().name == "wgmma";
        EXPECT_EQ(device->grids().back(), stays ? std::min(kWork, static_cast<std::uint32_t>(multiprocessors)) : kWork);
        if (multiprocessors == 1) {
          EXPECT_TRUE(is_correct(runtime, *kernel, problem));
          first = result;
        }
        EXPECT_EQ(result.output, first.output) << multiprocessors << " multiprocessors";
        EXPECT_EQ(result.lse, first.lse) << multiprocessors << " multiprocessors";
        EXPECT_EQ(result.overwritten, "");
      }
    }
  }
}

TEST_P(ForwardQueue, OfRowsThatSeeNothingHasNoQueriesToCopy) {
  // Row tiles with and without keys in turn, and one CTA for all of them.
  for (const TileConfig& config : configs()) {
    const auto device = std::make_shared<ResizedDevice>(tested_runtime(GetParam(), 4).device(), 1);
    Runtime runtime(device, tested_policy());
    for (const MaskForm form : {MaskForm::kF2, MaskForm::kF4}) {
      constexpr int kRowTiles = 5;
      TestProblem problem(descriptor_of(form), {.seqlen_q = kRowTiles * 64, .seqlen_k = 100, .heads_q = 2});
      const int vectors = vectors_per_column(form);
      for (int key = 0; key < 100; ++key) {
        std::int32_t* bounds = problem.intervals().data() + key * vectors;
        if (form == MaskForm::kF2) {
          bounds[0] = 64 + key % 60;  // seen by the first row tile and a part of the second
          bounds[1] = 0;
        } else {
          const int odd[] = {64, 128, 192, 256};
          std::copy_n(odd, 4, bounds);
        }
      }
      const auto kernel = runtime.request(problem.descriptor(), {.hint = {}, .config = config});
      EXPECT_TRUE(is_correct(runtime, *kernel, problem));
      EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.with_plan = false}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Family, ForwardQueue, testing::ValuesIn(tested_families()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace flashmask::forward_tests
