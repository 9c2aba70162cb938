#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "tests/mutants/attention_scenarios.h"

namespace flashmask::mutants {
namespace {

// Warpgroups with keys of their own, that share the rows of dQ or its columns; warpgroups that share their keys.
constexpr TileConfig kRows{.tile_q = 128, .tile_k = 128, .warps = 8, .stages = 2};
constexpr TileConfig kColumns{.tile_q = 64, .tile_k = 128, .warps = 8, .stages = 2};
constexpr TileConfig kShared{.tile_q = 64, .tile_k = 64, .warps = 8, .stages = 2, .column_warps = 2};
// With so many slots that, at 128 columns, sums of dQ have no place in shared memory.
constexpr TileConfig kColumnsUnstaged{.tile_q = 64, .tile_k = 128, .warps = 8, .stages = 4};
constexpr TileConfig kSharedUnstaged{.tile_q = 64, .tile_k = 64, .warps = 8, .stages = 5, .column_warps = 2};
constexpr HeadDims kUnstaged{128, 128};

const Variety kFuzzed{.intervals = Intervals::kFuzzed};
const Variety kHoles{.intervals = Intervals::kHoles};
const Variety kNoneMasked{.intervals = Intervals::kNoneMasked};

/// Key heads of two query heads each, which are one piece of work where there are four pieces, else two.
Extents extents(int key_heads, int seqlen_q, int seqlen_k) {
  return {.batch = 1, .seqlen_q = seqlen_q, .seqlen_k = seqlen_k, .heads_q = 2 * key_heads, .heads_kv = key_heads};
}

/// Nobody sees the keys from `first` to before `end`: tiles among them have no steps.
std::function<void(TestProblem&)> hide_keys(std::size_t first, std::size_t end) {
  return [=](TestProblem& problem) {
    const auto rows = static_cast<std::int32_t>(problem.extents().seqlen_q);
    const std::size_t vectors = problem.intervals().size() / static_cast<std::size_t>(problem.extents().seqlen_k);
    for (std::size_t key = first; key < end; ++key) {
      std::int32_t* bounds = problem.intervals().data() + key * vectors;
      std::fill_n(bounds, vectors, 0);
      bounds[1] = rows;
    }
  };
}

/// What of `choice` is the same for all kernels of a family is filled in.
Scenario scenario(BackwardChoice choice, bool deterministic, const Extents& extents, const Variety& variety) {
  choice.deterministic = deterministic;
  choice.target = kWgmmaTarget;
  return backward(choice, extents, variety);
}

using Names = std::vector<std::string>;

/// How the entries of a family's kernels end.
struct Kernels {
  std::string none;             ///< the one without a mask
  Names shared;                 ///< whose warpgroups share their keys
  Names staged;                 ///< whose sums of dQ pass through shared memory
  Names unstaged;               ///< all others
  int first_release_of_a_tile;  ///< number of `__syncwarp` of those others
};

/// Instructions that stand there for the sake of others, or as a precaution, in every kernel.
std::vector<Spare> spares_of(const Kernels& kernels) {
  const std::string barrier = "bar.warp.sync removed", fence = "wgmma.fence.sync.aligned removed";
  const std::string wait = "mbarrier.try_wait.parity.shared::cta.b64 does not wait";
  const std::string arrival = "mbarrier.arrive.shared::cta.b64 removed";
  const int unstaged_release = kernels.first_release_of_a_tile;
  Names all = kernels.staged;
  all.insert(all.end(), kernels.unstaged.begin(), kernels.unstaged.end());
  return {
      // Another fence stands before each of them, and as the compiler has it no register of the product is touched in
      // between. Nothing promises that.
      {fence, 2, all},
      {fence, 3, kernels.shared},
      {fence, 4, all},
      {fence, 5, all},
      // A slot of dO is released before that of Q, which the producer waits for first.
      {"wgmma.commit_group.sync.aligned removed", 3, all},
      {"wgmma.wait_group.sync.aligned removed", 3, all},
      {"wgmma.wait_group.sync.aligned 2 instead of 1", 2, all},
      {barrier, 1, all},
      {wait, 5, all},
      // Values and keys are released one after the other: one barrier would do.
      {barrier, 5, kernels.staged},
      {barrier, 6, kernels.staged},
      {barrier, unstaged_release, kernels.unstaged},
      {barrier, unstaged_release + 1, kernels.unstaged},
      // And the keys are waited for first.
      {wait, 4, {kernels.none}},
      // At the end of the kernel, where the warp does nothing more.
      {barrier, 7, kernels.staged},
      // Of a key tile without a query tile, which there is not without a mask.
      {arrival, 1, {kernels.none}},
      {arrival, 2, {kernels.none}},
      {wait, 2, {kernels.none}},
  };
}

}  // namespace

/// Every kind of tile and every form, with a plan and without; more work than CTAs, more query tiles than slots, and
/// fewer; groups of query heads that are one piece of work, and such that are split; key tiles without a query tile. At
/// most two key tiles see a row: their sum has no order.
Family wgmma_backward_family() {
  const Variety narrow{.window_left = 30, .window_right = 10};
  constexpr CausalAlignment kTopLeft = CausalAlignment::kTopLeft;
  const auto of = [](const BackwardChoice& choice, const Extents& extents, const Variety& variety = {}) {
    return scenario(choice, false, extents, variety);
  };
  const BackwardChoice none{.form = MaskForm::kNone, .tile = kRows};
  const BackwardChoice causal{
      .form = MaskForm::kCausal, .tile = kColumns, .head_dims = {32, 48}, .alignment = kTopLeft};
  const BackwardChoice window{.form = MaskForm::kWindow, .tile = kShared, .head_dims = {48, 32}};
  const BackwardChoice c1{.form = MaskForm::kC1, .tile = kRows, .head_dims = {48, 48}};
  const BackwardChoice c1_planned{
      .form = MaskForm::kC1, .tile = kRows, .head_dims = {48, 48}, .with_plan = true, .alignment = kTopLeft};
  const BackwardChoice c2{.form = MaskForm::kC2,
                          .tile = kColumnsUnstaged,
                          .head_dims = kUnstaged,
                          .with_plan = true,
                          .alignment = kTopLeft};
  const BackwardChoice f2{.form = MaskForm::kF2, .tile = kSharedUnstaged, .head_dims = kUnstaged, .with_plan = true};
  const BackwardChoice f2_hidden{.form = MaskForm::kF2,
                                 .tile = kSharedUnstaged,
                                 .head_dims = kUnstaged,
                                 .with_plan = true,
                                 .change = hide_keys(64, 120)};
  const BackwardChoice f4{.form = MaskForm::kF4, .tile = kRows, .with_plan = true};
  const BackwardChoice f4_hidden{
      .form = MaskForm::kF4, .tile = kRows, .with_plan = true, .change = hide_keys(128, 200)};
  const BackwardChoice f4_columns{.form = MaskForm::kF4, .tile = kColumns, .head_dims = {48, 32}, .with_plan = true};
  const BackwardChoice f4_columns_hidden{
      .form = MaskForm::kF4, .tile = kColumns, .head_dims = {48, 32}, .with_plan = true, .change = hide_keys(128, 200)};
  Family family;
  family.name = "WgmmaBackward";
  family.entries = "flashmask_backward";
  family.scenarios = {
      of(none, extents(2, 300, 200)),
      of(none, extents(2, 100, 200)),
      of(causal, extents(2, 90, 200)),
      of(window, extents(2, 150, 100), narrow),
      of(window, extents(3, 20, 130), narrow),
      of(c1, extents(2, 300, 200), kFuzzed),
      of(c1_planned, extents(3, 100, 200), kNoneMasked),
      of(c2, extents(2, 250, 200), kFuzzed),
      of(c2, extents(3, 60, 200), kNoneMasked),
      of(f2, extents(2, 330, 100), kFuzzed),
      of(f2_hidden, extents(3, 60, 120), kNoneMasked),
      of(f4, extents(2, 300, 200), kHoles),
      of(f4_hidden, extents(3, 100, 200), kNoneMasked),
      of(f4_columns, extents(1, 300, 200), kHoles),
      of(f4_columns_hidden, extents(3, 60, 200), kNoneMasked),
  };
  family.spares = spares_of({.none = "d32_none_128x128",
                             .shared = {"d48_32_window_64x64", "d128_f2_64x64"},
                             .staged = {"d32_none_128x128", "d32_48_causal_64x128", "d48_32_window_64x64",
                                        "d48_c1_128x128", "d32_f4_128x128", "d48_32_f4_64x128"},
                             .unstaged = {"d128_c2_64x128", "d128_f2_64x64"},
                             .first_release_of_a_tile = 3});
  return family;
}

/// The same, and key tiles that wait for their turns: more than two see a row, also that of the last step of a CTA.
Family wgmma_deterministic_backward_family() {
  const Variety narrow{.window_left = 200, .window_right = 10};
  constexpr CausalAlignment kTopLeft = CausalAlignment::kTopLeft;
  const auto of = [](const BackwardChoice& choice, const Extents& extents, const Variety& variety = {}) {
    return scenario(choice, true, extents, variety);
  };
  const BackwardChoice none{.form = MaskForm::kNone, .tile = kColumns};
  const BackwardChoice causal{.form = MaskForm::kCausal, .tile = kShared, .head_dims = {32, 48}};
  const BackwardChoice causal_top_left{
      .form = MaskForm::kCausal, .tile = kShared, .head_dims = {32, 48}, .alignment = kTopLeft};
  const BackwardChoice window{.form = MaskForm::kWindow, .tile = kRows, .head_dims = {48, 32}};
  const BackwardChoice c1{
      .form = MaskForm::kC1, .tile = kSharedUnstaged, .head_dims = kUnstaged, .with_plan = true, .alignment = kTopLeft};
  const BackwardChoice c2{.form = MaskForm::kC2, .tile = kRows, .head_dims = {48, 48}};
  const BackwardChoice c2_planned{
      .form = MaskForm::kC2, .tile = kRows, .head_dims = {48, 48}, .with_plan = true, .alignment = kTopLeft};
  const BackwardChoice f2{.form = MaskForm::kF2, .tile = kColumnsUnstaged, .head_dims = kUnstaged, .with_plan = true};
  const BackwardChoice f2_hidden{.form = MaskForm::kF2,
                                 .tile = kColumnsUnstaged,
                                 .head_dims = kUnstaged,
                                 .with_plan = true,
                                 .change = hide_keys(128, 256)};
  const BackwardChoice f4{.form = MaskForm::kF4, .tile = kShared, .with_plan = true};
  const BackwardChoice f4_hidden{
      .form = MaskForm::kF4, .tile = kShared, .with_plan = true, .change = hide_keys(64, 128)};
  Family family;
  family.name = "WgmmaDeterministicBackward";
  family.entries = "flashmask_backward";
  family.ordered_sums = true;
  family.scenarios = {
      of(none, extents(2, 150, 300)),
      of(none, extents(2, 60, 300)),
      of(causal_top_left, extents(2, 100, 180)),
      of(causal, extents(2, 100, 230)),
      of(window, extents(1, 300, 300), narrow),
      of(window, extents(2, 100, 600), narrow),
      of(c1, extents(2, 200, 180), kFuzzed),
      of(c1, extents(2, 60, 180), kNoneMasked),
      of(c2, extents(1, 200, 330), kFuzzed),
      of(c2_planned, extents(2, 100, 300), kNoneMasked),
      of(f2, extents(1, 350, 300), kFuzzed),
      of(f2_hidden, extents(2, 60, 300), kNoneMasked),
      of(f4, extents(2, 150, 180), kHoles),
      of(f4_hidden, extents(2, 60, 180), kNoneMasked),
  };
  family.spares = spares_of(
      {.none = "d32_none_64x128",
       .shared = {"d32_48_causal_64x64", "d128_c1_64x64", "d32_f4_64x64"},
       .staged = {"d32_none_64x128", "d32_48_causal_64x64", "d48_32_window_128x128", "d48_c2_128x128", "d32_f4_64x64"},
       .unstaged = {"d128_c1_64x64", "d128_f2_64x128"},
       .first_release_of_a_tile = 5});
  return family;
}

}  // namespace flashmask::mutants
