#include "tests/mutants/attention_scenarios.h"

namespace flashmask::mutants {

/// Rings of two and three slots, keys of a warp's own and of two; closed forms and vectors, with a plan that fills its
/// list of tiles several times, over several heads, and without; turns that are taken, and, where they are not, at most
/// two key tiles, whose sum has no order; rows and keys that see nothing.
Family backward_family() {
  constexpr TileConfig kTwoSlots{16, 32, 2, 2};
  constexpr TileConfig kThreeSlots{16, 32, 2, 3};
  constexpr TileConfig kShared{64, 32, 4, 2, false, 2};  // two key tiles begin at a row tile of the diagonal
  const Extents two_key_tiles{.batch = 1, .seqlen_q = 75, .seqlen_k = 60};
  const Extents square{.batch = 1, .seqlen_q = 140, .seqlen_k = 140};
  const Extents many_rows{.batch = 1, .seqlen_q = 700, .seqlen_k = 40};
  const Extents most_rows{.batch = 1, .seqlen_q = 2500, .seqlen_k = 40, .heads_q = 2, .heads_kv = 1};
  const Extents few_rows{.batch = 1, .seqlen_q = 40, .seqlen_k = 140};
  const Extents group{.batch = 1, .seqlen_q = 50, .seqlen_k = 70, .heads_q = 2, .heads_kv = 1};
  const Extents long_keys{.batch = 1, .seqlen_q = 700, .seqlen_k = 70, .heads_q = 2, .heads_kv = 1, .heads_mask = 2};
  const Variety documents{.intervals = Intervals::kDocuments};
  const Variety none_masked{.intervals = Intervals::kNoneMasked};
  const Variety all_masked{.intervals = Intervals::kAllMasked};
  Family family;
  family.name = "Backward";
  family.entries = "flashmask_backward";
  family.scenarios = {
      backward({.tile = kTwoSlots}, two_key_tiles, {}),
      backward({.tile = kShared, .head_dims = {48, 32}}, two_key_tiles, {}),
      backward({.form = MaskForm::kCausal, .deterministic = true, .tile = kThreeSlots}, square, {}),
      backward({.form = MaskForm::kCausal, .deterministic = true, .tile = kThreeSlots}, group, {}),
      backward({.form = MaskForm::kCausal,
                .deterministic = true,
                .tile = kThreeSlots,
                .alignment = CausalAlignment::kTopLeft},
               few_rows, {}),
      backward({.form = MaskForm::kWindow, .deterministic = true, .tile = kShared}, square,
               {.window_left = 20, .window_right = 3}),
      backward({.form = MaskForm::kWindow, .deterministic = true, .tile = kShared}, few_rows,
               {.window_left = 20, .window_right = 3}),
      backward({.form = MaskForm::kC1, .deterministic = true, .tile = kShared, .with_plan = true}, square, documents),
      backward({.form = MaskForm::kC1,
                .deterministic = true,
                .tile = kShared,
                .with_plan = true,
                .alignment = CausalAlignment::kTopLeft},
               most_rows, none_masked),
      backward({.form = MaskForm::kC1, .deterministic = true, .tile = kShared, .with_plan = true}, square, all_masked),
      backward({.form = MaskForm::kC1, .deterministic = true, .tile = kShared}, square, documents),
      backward({.form = MaskForm::kF4, .tile = kTwoSlots, .head_dims = {32, 48}, .with_plan = true}, two_key_tiles,
               {.intervals = Intervals::kHoles}),
      backward({.form = MaskForm::kF4, .tile = kTwoSlots, .head_dims = {32, 48}, .with_plan = true}, two_key_tiles,
               all_masked),
      backward({.form = MaskForm::kF4, .tile = kTwoSlots, .head_dims = {32, 48}, .with_plan = true}, many_rows,
               none_masked),
      backward({.form = MaskForm::kF2, .deterministic = true, .tile = kTwoSlots, .with_plan = true}, long_keys,
               none_masked),
      backward({.form = MaskForm::kF2, .deterministic = true, .tile = kTwoSlots, .with_plan = true}, square, documents),
      backward({.form = MaskForm::kF2, .deterministic = true, .tile = kTwoSlots, .with_plan = true}, square,
               all_masked),
  };
  return family;
}

}  // namespace flashmask::mutants
