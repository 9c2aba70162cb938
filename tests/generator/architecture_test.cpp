#include "generator/architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/generator/all_targets.h"

namespace flashmask::generator {
namespace {

struct Figures {
  int compute_capability;
  int shared_kib_per_sm, shared_kib_per_cta, warps_per_sm, ctas_per_sm;
};

// Written down once more, row by row as NVIDIA gives them, so that a slip in the table is a difference.
const Figures kFigures[] = {
    {80, 164, 163, 64, 32},  {86, 100, 99, 48, 16},  {87, 164, 163, 48, 16},  {88, 100, 99, 48, 16},
    {89, 100, 99, 48, 24},   {90, 228, 227, 64, 32}, {100, 228, 227, 64, 32}, {103, 228, 227, 64, 32},
    {110, 228, 227, 48, 24}, {120, 100, 99, 48, 24}, {121, 100, 99, 48, 24},
};

TEST(Architecture, LimitsAreThoseOfTheProgrammingGuide) {
  ASSERT_EQ(architectures().size(), std::size(kFigures));
  for (const Figures& figures : kFigures) {
    const auto limits = limits_of({figures.compute_capability, false});
    ASSERT_TRUE(limits.has_value()) << figures.compute_capability;
    EXPECT_EQ(limits->shared_bytes_per_sm, figures.shared_kib_per_sm * 1024) << figures.compute_capability;
    EXPECT_EQ(limits->shared_bytes_per_cta, figures.shared_kib_per_cta * 1024) << figures.compute_capability;
    EXPECT_EQ(limits->reserved_shared_bytes_per_cta, 1024) << figures.compute_capability;
    EXPECT_EQ(limits->warps_per_sm, figures.warps_per_sm) << figures.compute_capability;
    EXPECT_EQ(limits->ctas_per_sm, figures.ctas_per_sm) << figures.compute_capability;
    EXPECT_EQ(limits->registers_per_thread, 255) << figures.compute_capability;
    EXPECT_EQ(limits->registers_per_cta, 65536) << figures.compute_capability;
    EXPECT_EQ(limits->registers_per_sm, 65536) << figures.compute_capability;
  }
}

TEST(Architecture, AnArchSpecificTargetHasTheLimitsOfItsArchitecture) {
  for (const Target& target : test::all_targets())
    EXPECT_EQ(limits_of(target), limits_of({target.compute_capability, false})) << to_string(target);
}

TEST(Architecture, ATargetWithoutKernelsHasNoLimits) {
  EXPECT_FALSE(limits_of({75, false}).has_value());
  EXPECT_FALSE(limits_of({80, true}).has_value());
}

}  // namespace
}  // namespace flashmask::generator
