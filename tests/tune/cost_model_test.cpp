#include "runtime/tune/cost_model.h"

namespace flashmask::tune {
namespace {

const KernelDescriptor kDescriptor{
    Pass::kForward, DataType::kBfloat16, 128, 128, MaskForm::kNone, CausalAlignment::kBottomRight, Target{90, true}};

TEST(CostModel, TwoLaunchesGiveTheCostOfEachUnit) {
  const WorkAmount small{.quarters = 4, .tiles = 1, .blocks = 1}, large{.quarters = 16, .tiles = 4, .blocks = 2};
  const LinearCost cost = solve_cost(small, 4 * 10 + 7, large, 16 * 10 + 2 * 7);
  EXPECT_NEAR(cost.per_quarter, 10, 1e-9);
  EXPECT_NEAR(cost.per_block, 7, 1e-9);
}

TEST(CostModel, NoCostIsBelowNothing) {
  const WorkAmount small{.quarters = 4, .tiles = 1, .blocks = 1}, large{.quarters = 16, .tiles = 4, .blocks = 2};
  EXPECT_GE(solve_cost(small, 10, large, 80).per_block, 0);
  EXPECT_GE(solve_cost(small, 80, large, 90).per_quarter, 0);
  EXPECT_GE(solve_cost(small, 10, small, 10).per_quarter, 0) << "two equal launches tell one cost";
}

TEST(CostModel, MoreWorkTakesLongerAndNothingBeatsTheRoofline) {
  const TileConfig config = default_tile_config(kDescriptor);
  const ModelledGpu gpu = modelled_gpu(kDescriptor.target);
  const UnitCosts costs{.instructions_per_quarter = 500, .instructions_per_block = 3000};
  double before = 0;
  for (const double tiles : {100.0, 1000.0, 10000.0}) {
    const WorkAmount work{.quarters = 4 * tiles, .tiles = tiles, .blocks = tiles / 10};
    const double seconds = modelled_seconds(kDescriptor, config, costs, work, gpu);
    EXPECT_GT(seconds, before);
    EXPECT_GE(seconds, roofline_seconds(kDescriptor, tiles * config.tile_q * config.tile_k, gpu));
    before = seconds;
  }
}

TEST(CostModel, OverlapHidesTheShorterKindOfWork) {
  TileConfig with = default_tile_config(kDescriptor), without = with;
  with.overlap = true;
  without.overlap = false;
  const UnitCosts costs{.instructions_per_quarter = 500, .instructions_per_block = 3000};
  const WorkAmount work{.quarters = 4000, .tiles = 1000, .blocks = 100};
  const ModelledGpu gpu = modelled_gpu(kDescriptor.target);
  EXPECT_LT(modelled_seconds(kDescriptor, with, costs, work, gpu),
            modelled_seconds(kDescriptor, without, costs, work, gpu));
}

}  // namespace
}  // namespace flashmask::tune
