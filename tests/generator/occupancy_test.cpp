#include "flashmask/occupancy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flashmask {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int kKib = 1024;

TargetLimits limits(int compute_capability) {
  return *limits_of({compute_capability, false});
}

TEST(Occupancy, IsTheLeastOfTheLimitsAndNamesIt) {
  struct Case {
    CtaNeeds needs;
    int ctas;
    SmLimit limit;
  };
  // On sm_86: 100 KiB, 64 K registers, 48 warps, 16 CTAs.
  for (const Case& expected :
       {Case{{4, 64, 48 * kKib}, 2, SmLimit::kSharedMemory}, Case{{4, 255, 8 * kKib}, 2, SmLimit::kRegisters},
        Case{{8, 32, 0}, 6, SmLimit::kWarps}, Case{{1, 32, 0}, 16, SmLimit::kCtas}}) {
    const Occupancy occupancy = estimate_occupancy(expected.needs, limits(86));
    EXPECT_EQ(ctas_per_sm(occupancy), expected.ctas) << to_string(expected.limit);
    EXPECT_EQ(limit_of(occupancy), expected.limit);
    EXPECT_THAT(broken_limits(expected.needs, limits(86), "sm_86"), IsEmpty());
    EXPECT_THAT(exceeded_limits(occupancy), IsEmpty());
  }
}

TEST(Occupancy, CountsTheKibibyteThatIsReservedForEachCta) {
  // 227 KiB are one CTA of an SM with 228; two of 113 KiB fill it, and with a byte more the second does not fit.
  EXPECT_EQ(estimate_occupancy({4, 32, 227 * kKib}, limits(90)).by_shared_memory, 1);
  EXPECT_EQ(estimate_occupancy({4, 32, 113 * kKib}, limits(90)).by_shared_memory, 2);
  EXPECT_EQ(estimate_occupancy({4, 32, 113 * kKib + 1}, limits(90)).by_shared_memory, 1);
}

TEST(Occupancy, CountsRegistersByTheQuarterOfAnSm) {
  // 104 registers are 3328 per warp: four warps for each scheduler's 16384, so that five CTAs of three warps fit where
  // the 65536 registers of the SM alone would allow six.
  EXPECT_EQ(estimate_occupancy({3, 104, 0}, limits(80)).by_registers, 5);
  EXPECT_EQ(estimate_occupancy({4, 104, 0}, limits(80)).by_registers, 4);
}

TEST(Occupancy, ACtaThatExceedsALimitIsToldTheLimitAndBothNumbers) {
  const auto broken = [](const CtaNeeds& needs) { return broken_limits(needs, limits(89), "sm_89"); };
  EXPECT_THAT(broken({4, 128, 99 * kKib + 1}),
              ElementsAre("101377 bytes of shared memory are needed, sm_89 allows 101376 per CTA"));
  EXPECT_THAT(broken({4, 256, 0}), ElementsAre("256 registers per thread are needed, sm_89 allows 255"));
  EXPECT_THAT(broken({9, 255, 0}), ElementsAre("98304 registers are needed by 9 warps of 255 per thread, sm_89 allows "
                                               "65536 per CTA"));
  EXPECT_THAT(broken({49, 32, 0}), ElementsAre("49 warps per CTA are needed, an SM of sm_89 holds 48"));
  EXPECT_THAT(broken({64, 255, 200 * kKib}),
              ElementsAre(HasSubstr("shared memory"), HasSubstr("registers"), HasSubstr("warps")));
}

TEST(Occupancy, IsZeroExactlyWhereALimitIsBroken) {
  int fitting = 0, refused = 0;
  for (int warps = 1; warps <= 64; warps += 3) {
    for (int registers = 16; registers <= 272; registers += 8) {
      for (int shared = 0; shared <= 240 * kKib; shared += 12 * kKib + 4) {
        const CtaNeeds needs{warps, registers, shared};
        for (int compute_capability : {80, 86, 90, 110}) {
          const Occupancy occupancy = estimate_occupancy(needs, limits(compute_capability));
          const bool fits = broken_limits(needs, limits(compute_capability), "").empty();
          ASSERT_EQ(ctas_per_sm(occupancy) > 0, fits) << warps << " " << registers << " " << shared;
          ASSERT_EQ(exceeded_limits(occupancy).empty(), fits);
          ++(fits ? fitting : refused);
        }
      }
    }
  }
  EXPECT_GT(fitting, 1000);
  EXPECT_GT(refused, 1000);
}

TEST(Occupancy, OfACtaWithoutWarpsIsNone) {
  EXPECT_EQ(estimate_occupancy({0, 32, 0}, limits(80)), Occupancy{});
}

}  // namespace
}  // namespace flashmask
