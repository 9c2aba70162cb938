#include <gmock/gmock.h>

#include <limits>

#include "flashmask/device.h"
#include "flashmask/tuning.h"

namespace flashmask {
namespace {

TEST(TuningNames, EveryValueComesBackByItsName) {
  for (const auto density : {DensityClass::kUnknown, DensityClass::kSparse, DensityClass::kLight, DensityClass::kMedium,
                             DensityClass::kDense})
    EXPECT_EQ(parse_density_class(to_string(density)), density);
  for (const auto basis : {TuningBasis::kMeasured, TuningBasis::kModelled})
    EXPECT_EQ(parse_tuning_basis(to_string(basis)), basis);
  for (const auto outcome :
       {TrialOutcome::kTimed, TrialOutcome::kSlow, TrialOutcome::kUncompilable, TrialOutcome::kSpills,
        TrialOutcome::kSerialised, TrialOutcome::kWrong, TrialOutcome::kCrashed, TrialOutcome::kHung})
    EXPECT_EQ(parse_trial_outcome(to_string(outcome)), outcome);
  EXPECT_FALSE(parse_density_class("Dense"));
  EXPECT_FALSE(parse_tuning_basis(""));
  EXPECT_FALSE(parse_trial_outcome("?"));
}

TEST(DensityClasses, BeginAtTheirBounds) {
  EXPECT_EQ(density_class(0), DensityClass::kUnknown);
  EXPECT_EQ(density_class(-1), DensityClass::kUnknown);
  EXPECT_EQ(density_class(std::numeric_limits<double>::quiet_NaN()), DensityClass::kUnknown);
  EXPECT_EQ(density_class(1e-9), DensityClass::kSparse);
  EXPECT_EQ(density_class(0.0624), DensityClass::kSparse);
  EXPECT_EQ(density_class(0.0625), DensityClass::kLight);
  EXPECT_EQ(density_class(0.2499), DensityClass::kLight);
  EXPECT_EQ(density_class(0.25), DensityClass::kMedium);
  EXPECT_EQ(density_class(0.5), DensityClass::kMedium);
  EXPECT_EQ(density_class(0.625), DensityClass::kDense);
  EXPECT_EQ(density_class(1), DensityClass::kDense);
  EXPECT_EQ(density_class(7), DensityClass::kDense);
}

TEST(TuningBuckets, RoundUpToPowersOfTwo) {
  EXPECT_EQ(bucket_of({8192, 8193, 12, 0.5}), (TuningBucket{8192, 16384, 16, DensityClass::kMedium}));
  EXPECT_EQ(bucket_of({}), TuningBucket{});
  EXPECT_EQ(bucket_of({1, 2, 3, 1}), (TuningBucket{1, 2, 4, DensityClass::kDense}));
}

TEST(TuningBuckets, OfNegativeExtentsAreUnknownAndOfHugeOnesTheLargest) {
  constexpr int kLeast = std::numeric_limits<int>::min(), kMost = std::numeric_limits<int>::max();
  EXPECT_EQ(bucket_of({kLeast, -1, kMost, -0.5}), (TuningBucket{0, 0, 1 << 30, DensityClass::kUnknown}));
  EXPECT_EQ(bucket_of({1 << 30, (1 << 30) + 1, 0, 0}), (TuningBucket{1 << 30, 1 << 30, 0, DensityClass::kUnknown}));
}

TEST(TuningBuckets, ReadAsAPhrase) {
  EXPECT_EQ(to_string(TuningBucket{8192, 8192, 16, DensityClass::kMedium}), "8192x8192, 16 heads, medium");
  EXPECT_EQ(to_string(TuningBucket{8192, 0, 1, DensityClass::kSparse}), "8192x?, 1 head, sparse");
  EXPECT_EQ(to_string(TuningBucket{}), "?x?, ? heads, ?");
}

TEST(TuningGpus, AreWhatTheDeviceSaysOfItself) {
  DeviceProperties properties;
  properties.name = "a GPU";
  properties.target = {90, true};
  properties.multiprocessors = 132;
  properties.l2_bytes = 50 << 20;
  properties.shared_bytes_per_block = 232'448;
  EXPECT_EQ(tuning_gpu(properties), (TuningGpu{"a GPU", 90, 132, 50 << 20, 232'448}));
}

}  // namespace
}  // namespace flashmask
