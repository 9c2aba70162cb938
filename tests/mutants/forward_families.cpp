#include <algorithm>
#include <array>

#include "tests/mutants/attention_scenarios.h"

namespace flashmask::mutants {

/// Rings of two to four slots, with and without the query in registers; closed forms and vectors, with a plan that
/// fills its list of tiles several times and without; tiles of which one warp sees nothing; rows that see no key;
/// outputs that need more or less room than the query.
Family forward_family() {
  constexpr TileConfig kTwoSlots{32, 16, 2, 2, false};
  constexpr TileConfig kThreeSlots{32, 16, 2, 3, true};
  constexpr TileConfig kFourSlots{32, 16, 2, 4, false};
  constexpr TileConfig kFourWarps{64, 16, 4, 4, false};  // of the diagonal, one warp sees nothing of several tiles
  const Extents short_rows{.batch = 1, .seqlen_q = 45, .seqlen_k = 150};
  const Extents square{.batch = 1, .seqlen_q = 150, .seqlen_k = 150};
  const Extents few_keys{.batch = 1, .seqlen_q = 150, .seqlen_k = 60};
  const Extents long_rows{.batch = 1, .seqlen_q = 40, .seqlen_k = 1300};
  const Variety documents{.intervals = Intervals::kDocuments};
  const Variety all_masked{.intervals = Intervals::kAllMasked};
  const Variety none_masked{.intervals = Intervals::kNoneMasked};
  // Where the list of tiles is filled again, one warp sees nothing of the tile.
  const auto hide_tiles_60_and_61 = [](TestProblem& problem) {
    const std::size_t vectors = problem.intervals().size() / 1300;
    for (std::size_t key = 60 * 16; key < 62 * 16; ++key) {
      std::int32_t* bounds = problem.intervals().data() + key * vectors;
      if (vectors == 1) bounds[0] = 1290;
      if (vectors == 2) bounds[1] = 16;
      if (vectors == 4) std::copy_n(std::array{0, 16, 0, 0}.begin(), 4, bounds);
    }
  };
  Family family;
  family.name = "Forward";
  family.entries = "flashmask_forward";
  family.scenarios = {
      forward(MaskForm::kNone, kTwoSlots, {32, 32}, short_rows, {}, false),
      forward(MaskForm::kNone, kThreeSlots, {32, 32}, short_rows, {}, false),
      forward(MaskForm::kNone, kFourSlots, {32, 48}, short_rows, {}, false),
      forward(MaskForm::kCausal, kFourWarps, {48, 32}, few_keys, {}, false),
      forward(MaskForm::kWindow, kTwoSlots, {32, 32}, square, {.window_left = 20, .window_right = 3}, false),
      forward(MaskForm::kWindow, kTwoSlots, {32, 32}, few_keys, {.window_left = 20, .window_right = 3}, false),
      forward(MaskForm::kC1, kTwoSlots, {32, 32}, square, documents, false),
      forward(MaskForm::kC1, kTwoSlots, {32, 32}, short_rows, all_masked, true),
      forward(MaskForm::kC1, kTwoSlots, {32, 32}, {.batch = 1, .seqlen_q = 1300, .seqlen_k = 1300}, none_masked, true),
      forward(MaskForm::kF4, kThreeSlots, {32, 48}, long_rows, {.intervals = Intervals::kHoles}, true),
      forward(MaskForm::kF4, kThreeSlots, {32, 48}, long_rows, none_masked, true, hide_tiles_60_and_61),
      forward(MaskForm::kF4, kThreeSlots, {32, 48}, short_rows, all_masked, true),
      forward(MaskForm::kF4, kThreeSlots, {32, 48}, square, documents, true),
      forward(MaskForm::kF2, kFourSlots, {32, 32}, long_rows, none_masked, true, hide_tiles_60_and_61),
      forward(MaskForm::kF2, kFourSlots, {32, 32}, square, documents, true),
      forward(MaskForm::kF2, kFourSlots, {32, 32}, short_rows, all_masked, true),
  };
  return family;
}

/// Both schedules, one to three warpgroups that multiply, turns, one and two slots of queries, outputs that lie where
/// other warpgroups' queries do; every form, with a plan and without; more work than CTAs, more tiles than slots.
Family wgmma_forward_family() {
  constexpr TileConfig kOverlapping{
      .tile_q = 128, .tile_k = 16, .warps = 8, .stages = 2, .overlap = true, .turns = true, .query_slots = 2};
  constexpr TileConfig kStepByStep{.tile_q = 128, .tile_k = 16, .warps = 8, .stages = 2, .turns = true};
  constexpr TileConfig kThreeOverlapping{
      .tile_q = 192, .tile_k = 16, .warps = 12, .stages = 3, .overlap = true, .query_slots = 2};
  constexpr TileConfig kThreeStepByStep{
      .tile_q = 192, .tile_k = 16, .warps = 12, .stages = 2, .turns = true, .query_slots = 2};
  constexpr TileConfig kOne{.tile_q = 64, .tile_k = 16, .warps = 4, .stages = 2, .overlap = true};
  constexpr HeadDims kSame{32, 32}, kOtherPanels{32, 48};
  const auto scenario = [](MaskForm form, const TileConfig& tile, HeadDims head_dims, int seqlen_k,
                           const Variety& variety = {}, bool with_plan = false) {
    // Six pieces of work for two CTAs.
    const Extents extents{.batch = 1, .seqlen_q = 2 * tile.tile_q - 20, .seqlen_k = seqlen_k, .heads_q = 3};
    return forward(form, tile, head_dims, extents, variety, with_plan, {}, kWgmmaTarget);
  };
  constexpr int kOneTile = 10, kFewTiles = 60, kManyTiles = 200;
  const Variety narrow{.window_left = 60, .window_right = 40};
  const Variety fuzzed{.intervals = Intervals::kFuzzed};
  const Variety holes{.intervals = Intervals::kHoles};
  const Variety none_masked{.intervals = Intervals::kNoneMasked};
  const Variety all_masked{.intervals = Intervals::kAllMasked};
  Family family;
  family.name = "WgmmaForward";
  family.entries = "flashmask_forward";
  family.scenarios = {
      scenario(MaskForm::kNone, kOverlapping, kSame, kFewTiles),
      scenario(MaskForm::kNone, kOverlapping, kSame, kOneTile),
      scenario(MaskForm::kNone, kStepByStep, kOtherPanels, kFewTiles),
      scenario(MaskForm::kNone, kStepByStep, kOtherPanels, kOneTile),
      scenario(MaskForm::kCausal, kThreeOverlapping, kSame, kManyTiles),
      scenario(MaskForm::kCausal, kThreeOverlapping, kSame, kOneTile),
      scenario(MaskForm::kCausal, kOne, kSame, kManyTiles),
      scenario(MaskForm::kCausal, kOne, kSame, kOneTile),
      scenario(MaskForm::kWindow, kThreeStepByStep, kOtherPanels, kManyTiles, narrow),
      scenario(MaskForm::kWindow, kThreeStepByStep, kOtherPanels, kOneTile, narrow),
      scenario(MaskForm::kC1, kOverlapping, kOtherPanels, kManyTiles, fuzzed, true),
      scenario(MaskForm::kC1, kOverlapping, kOtherPanels, kFewTiles, fuzzed),
      scenario(MaskForm::kC2, kStepByStep, kSame, kManyTiles, fuzzed, true),
      scenario(MaskForm::kC2, kStepByStep, kSame, kFewTiles, all_masked, true),
      scenario(MaskForm::kF2, kThreeOverlapping, kOtherPanels, kFewTiles, holes, true),
      scenario(MaskForm::kF2, kThreeOverlapping, kOtherPanels, kManyTiles, none_masked, true),
      scenario(MaskForm::kF2, kThreeOverlapping, kOtherPanels, kFewTiles, all_masked, true),
      scenario(MaskForm::kF4, kOverlapping, kSame, kManyTiles, holes, true),
      scenario(MaskForm::kF4, kOverlapping, kSame, kFewTiles, all_masked, true),
      scenario(MaskForm::kF4, kThreeStepByStep, kSame, kFewTiles, fuzzed, true),
      scenario(MaskForm::kF4, kThreeStepByStep, kSame, kFewTiles, all_masked, true),
      scenario(MaskForm::kF4, kOne, kOtherPanels, kManyTiles, holes, true),
      scenario(MaskForm::kF4, kOne, kOtherPanels, kManyTiles, none_masked, true),
      scenario(MaskForm::kF4, kOne, kOtherPanels, kFewTiles, all_masked, true),
  };
  const std::string none_overlapping = "d32_none_128x16", none_step_by_step = "d32_48_none_128x16";
  const std::string causal_three = "d32_causal_192x16", causal_one = "d32_causal_64x16",
                    window = "d32_48_window_192x16";
  const std::string c1 = "d32_48_c1_128x16", c2 = "d32_c2_128x16", f2 = "d32_48_f2_192x16";
  const std::string f4 = "d32_f4_128x16", f4_three = "d32_f4_192x16", f4_one = "d32_48_f4_64x16";
  family.spares = {
      // Turns are for speed: whose warpgroup multiplies when makes no difference to what comes out.
      {"bar.sync removed", 2, {none_overlapping, none_step_by_step, window, c1, c2, f4, f4_three}},
      // The fence before the product of the scores is one for this product's registers too, as long as the compiler
      // packs the probabilities before it.
      {"wgmma.fence.sync.aligned removed", 3, {none_overlapping, causal_three, causal_one, c1, f2, f4, f4_one}},
      // When a slot of values is released. The warp has waited for its products together, and has read nothing itself.
      {"bar.warp.sync removed", 2, {none_step_by_step, window}},
      {"bar.warp.sync removed", 3, {none_overlapping, causal_three, causal_one}},
      {"bar.warp.sync removed", 4, {none_overlapping, causal_three, causal_one, c2, f4_three}},
      {"bar.warp.sync removed", 6, {c1, f2, f4, f4_one}},
      {"bar.warp.sync removed", 7, {c1, f2, f4, f4_one}},
      // Before the output takes the place of the queries: with turns at the exponentials, the last turn has brought the
      // warps together after their last scores.
      {"bar.sync removed", 3, {c2, f4_three}},
      // Of a piece of work without key tiles, which there is not without a mask.
      {"mbarrier.arrive.shared::cta.b64 removed", 1, {none_overlapping, none_step_by_step}},
  };
  return family;
}

}  // namespace flashmask::mutants
