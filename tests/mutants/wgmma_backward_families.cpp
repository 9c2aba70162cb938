#include "tests/mutants/attention_scenarios.h"

namespace flashmask::mutants {
namespace {

// Warpgroups with keys of their own, that share the rows of dQ or its columns; warpgroups that share their keys.
constexpr TileConfig kRows{.tile_q = 128, .tile_k = 128, .warps = 8, .stages = 2};
constexpr TileConfig kColumns{.tile_q = 64, .tile_k = 128, .warps = 8, .stages = 2};
constexpr TileConfig kShared{.tile_q = 64, .tile_k = 64, .warps = 8, .stages = 2, .column_warps = 2};
// So many slots that sums of dQ have no place in shared memory, from 128 columns on.
constexpr TileConfig kColumnsUnstaged{.tile_q = 64, .tile_k = 128, .warps = 8, .stages = 4};
constexpr TileConfig kSharedUnstaged{.tile_q = 64, .tile_k = 64, .warps = 8, .stages = 5, .column_warps = 2};
constexpr HeadDims kUnstaged{128, 128};

/// Two key heads of two query heads each, or one of two; the last tiles are cut.
Extents extents(int key_heads, int seqlen_q, int seqlen_k) {
  return {.batch = 1, .seqlen_q = seqlen_q, .seqlen_k = seqlen_k, .heads_q = 2 * key_heads, .heads_kv = key_heads};
}

struct Choice {
  bool with_plan = false;
  CausalAlignment alignment = CausalAlignment::kBottomRight;
};

}  // namespace

/// Every kind of tile and every form, with a plan and without; more work than CTAs, more query tiles than slots; groups
/// of query heads that are one piece of work, and such that are split; key tiles without a query tile. At most two key
/// tiles see a row: their sum has no order.
Family wgmma_backward_family() {
  const auto scenario = [](MaskForm form, const TileConfig& tile, HeadDims head_dims, const Extents& extents,
                           const Variety& variety = {}, const Choice& choice = {}) {
    return backward({.form = form,
                     .tile = tile,
                     .head_dims = head_dims,
                     .with_plan = choice.with_plan,
                     .alignment = choice.alignment,
                     .target = kWgmmaTarget},
                    extents, variety);
  };
  const Variety narrow{.window_left = 30, .window_right = 10};
  const Variety fuzzed{.intervals = Intervals::kFuzzed};
  const Variety holes{.intervals = Intervals::kHoles};
  const Variety all_masked{.intervals = Intervals::kAllMasked};
  const Choice planned{.with_plan = true};
  const Choice top_left{.alignment = CausalAlignment::kTopLeft};
  Family family;
  family.name = "WgmmaBackward";
  family.entries = "flashmask_backward";
  family.scenarios = {
      scenario(MaskForm::kNone, kRows, {32, 32}, extents(2, 300, 200)),
      scenario(MaskForm::kCausal, kColumns, {32, 48}, extents(2, 90, 200), {}, top_left),
      scenario(MaskForm::kWindow, kShared, {48, 32}, extents(2, 150, 100), narrow),
      scenario(MaskForm::kWindow, kShared, {48, 32}, extents(2, 40, 120), narrow),
      scenario(MaskForm::kC1, kRows, {48, 48}, extents(2, 300, 200), fuzzed),
      scenario(MaskForm::kC1, kRows, {48, 48}, extents(2, 300, 200), all_masked, planned),
      scenario(MaskForm::kC2, kColumnsUnstaged, kUnstaged, extents(2, 150, 200), fuzzed, planned),
      scenario(MaskForm::kC2, kColumnsUnstaged, kUnstaged, extents(2, 150, 200), all_masked, planned),
      scenario(MaskForm::kF2, kSharedUnstaged, kUnstaged, extents(2, 150, 100), holes, planned),
      scenario(MaskForm::kF2, kSharedUnstaged, kUnstaged, extents(2, 150, 100), all_masked, planned),
      scenario(MaskForm::kF4, kRows, {32, 32}, extents(2, 300, 200), holes, planned),
      scenario(MaskForm::kF4, kRows, {32, 32}, extents(2, 150, 200), all_masked, planned),
      scenario(MaskForm::kF4, kColumns, {48, 32}, extents(1, 150, 200), holes, planned),
      scenario(MaskForm::kF4, kColumns, {48, 32}, extents(2, 150, 200), all_masked, planned),
  };
  return family;
}

/// The same, and key tiles that wait for their turns: more than two see a row.
Family wgmma_deterministic_backward_family() {
  const auto scenario = [](MaskForm form, const TileConfig& tile, HeadDims head_dims, const Extents& extents,
                           const Variety& variety = {}, const Choice& choice = {}) {
    return backward({.form = form,
                     .deterministic = true,
                     .tile = tile,
                     .head_dims = head_dims,
                     .with_plan = choice.with_plan,
                     .alignment = choice.alignment,
                     .target = kWgmmaTarget},
                    extents, variety);
  };
  const Variety narrow{.window_left = 200, .window_right = 10};
  const Variety fuzzed{.intervals = Intervals::kFuzzed};
  const Variety holes{.intervals = Intervals::kHoles};
  const Variety all_masked{.intervals = Intervals::kAllMasked};
  const Choice planned{.with_plan = true};
  const Choice top_left{.alignment = CausalAlignment::kTopLeft};
  Family family;
  family.name = "WgmmaDeterministicBackward";
  family.entries = "flashmask_backward";
  family.ordered_sums = true;
  family.scenarios = {
      scenario(MaskForm::kNone, kColumns, {32, 32}, extents(2, 150, 300)),
      scenario(MaskForm::kCausal, kShared, {32, 48}, extents(2, 100, 180), {}, top_left),
      scenario(MaskForm::kCausal, kShared, {32, 48}, extents(2, 150, 180)),
      scenario(MaskForm::kWindow, kRows, {48, 32}, extents(1, 300, 300), narrow),
      scenario(MaskForm::kWindow, kRows, {48, 32}, extents(1, 100, 600), narrow),
      scenario(MaskForm::kC1, kSharedUnstaged, kUnstaged, extents(2, 150, 180), fuzzed, planned),
      scenario(MaskForm::kC1, kSharedUnstaged, kUnstaged, extents(1, 150, 180), all_masked, planned),
      scenario(MaskForm::kC2, kRows, {48, 48}, extents(1, 300, 300), fuzzed),
      scenario(MaskForm::kC2, kRows, {48, 48}, extents(1, 300, 300), all_masked, planned),
      scenario(MaskForm::kF2, kColumnsUnstaged, kUnstaged, extents(1, 150, 300), holes, planned),
      scenario(MaskForm::kF2, kColumnsUnstaged, kUnstaged, extents(1, 150, 300), all_masked, planned),
      scenario(MaskForm::kF4, kShared, {32, 32}, extents(2, 150, 180), holes, planned),
      scenario(MaskForm::kF4, kShared, {32, 32}, extents(2, 150, 180), all_masked, planned),
  };
  return family;
}

}  // namespace flashmask::mutants
