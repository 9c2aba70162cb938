#include "tests/mutants/families.h"

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "flashmask/device_masks.h"
#include "flashmask/mask_builders.h"
#include "tests/backward/launch.h"
#include "tests/forward/launch.h"
#include "tests/forward/problems.h"

namespace flashmask::mutants {
namespace {

using forward_tests::Intervals;
using forward_tests::TestProblem;

template <class T>
void append(Bytes& bytes, const std::vector<T>& values) {
  const auto* begin = reinterpret_cast<const std::byte*>(values.data());
  bytes.insert(bytes.end(), begin, begin + values.size() * sizeof(T));
}

struct HeadDims {
  int qk;
  int v;
};

Scenario forward(MaskForm form, const TileConfig& tile, HeadDims head_dims, forward_tests::Extents extents,
                 forward_tests::Variety variety, bool with_plan, const std::function<void(TestProblem&)>& change = {},
                 const Target& target = {}) {
  return [=](Runtime& runtime) {
    KernelDescriptor descriptor;
    descriptor.target = target;
    descriptor.mask_form = form;
    descriptor.head_dim_qk = head_dims.qk;
    descriptor.head_dim_v = head_dims.v;
    TestProblem problem(descriptor, extents, variety);
    if (change) change(problem);
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = tile});
    const forward_tests::LaunchResult result =
        run_forward(runtime, *kernel, problem, {.wants_lse = true, .with_plan = with_plan});
    Bytes bytes;
    append(bytes, result.output);
    append(bytes, result.lse);
    return bytes;
  };
}

/// Rings of two to four slots, with and without the query in registers; closed forms and vectors, with a plan that
/// fills its list of tiles several times and without; tiles of which one warp sees nothing; rows that see no key;
/// outputs that need more or less room than the query.
Family forward_family() {
  constexpr TileConfig kTwoSlots{32, 16, 2, 2, false};
  constexpr TileConfig kThreeSlots{32, 16, 2, 3, true};
  constexpr TileConfig kFourSlots{32, 16, 2, 4, false};
  constexpr TileConfig kFourWarps{64, 16, 4, 4, false};  // of the diagonal, one warp sees nothing of several tiles
  const forward_tests::Extents short_rows{.batch = 1, .seqlen_q = 45, .seqlen_k = 150};
  const forward_tests::Extents square{.batch = 1, .seqlen_q = 150, .seqlen_k = 150};
  const forward_tests::Extents few_keys{.batch = 1, .seqlen_q = 150, .seqlen_k = 60};
  const forward_tests::Extents long_rows{.batch = 1, .seqlen_q = 40, .seqlen_k = 1300};
  const forward_tests::Variety documents{.intervals = Intervals::kDocuments};
  const forward_tests::Variety all_masked{.intervals = Intervals::kAllMasked};
  const forward_tests::Variety none_masked{.intervals = Intervals::kNoneMasked};
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
                           const forward_tests::Variety& variety = {}, bool with_plan = false) {
    // Six pieces of work for two CTAs.
    const forward_tests::Extents extents{
        .batch = 1, .seqlen_q = 2 * tile.tile_q - 20, .seqlen_k = seqlen_k, .heads_q = 3};
    return forward(form, tile, head_dims, extents, variety, with_plan, {}, {90, true});
  };
  constexpr int kOneTile = 10, kFewTiles = 60, kManyTiles = 200;
  const forward_tests::Variety narrow{.window_left = 60, .window_right = 40};
  const forward_tests::Variety fuzzed{.intervals = Intervals::kFuzzed};
  const forward_tests::Variety holes{.intervals = Intervals::kHoles};
  const forward_tests::Variety none_masked{.intervals = Intervals::kNoneMasked};
  const forward_tests::Variety all_masked{.intervals = Intervals::kAllMasked};
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
      // packs
      // the probabilities before it.
      {"wgmma.fence.sync.aligned removed", 3, {none_overlapping, causal_three, causal_one, c1, f2, f4, f4_one}},
      // When a slot of values is released. The warp has waited for its products together, and has read nothing itself.
      {"bar.warp.sync removed", 2, {none_step_by_step, window}},
      {"bar.warp.sync removed", 3, {none_overlapping, causal_three, causal_one}},
      {"bar.warp.sync removed", 4, {none_overlapping, causal_three, causal_one, c2, f4_three}},
      {"bar.warp.sync removed", 6, {c1, f2, f4, f4_one}},
      {"bar.warp.sync removed", 7, {c1, f2, f4, f4_one}},
      // Before the output takes the place of the queries: a warp reads its own rows of queries alone, PTX does not say
      // so.
      {"bar.sync removed", 2, {causal_three, causal_one}},
      {"bar.sync removed", 3, {none_overlapping, c2, f4, f4_three}},
      // Of a piece of work without key tiles, which there is not without a mask.
      {"mbarrier.arrive.shared::cta.b64 removed", 1, {none_overlapping, none_step_by_step}},
  };
  return family;
}

struct BackwardChoice {
  MaskForm form = MaskForm::kNone;
  bool deterministic = false;
  TileConfig tile{};
  HeadDims head_dims{32, 32};
  bool with_plan = false;
  CausalAlignment alignment = CausalAlignment::kBottomRight;
};

Scenario backward(const BackwardChoice& choice, const forward_tests::Extents& extents,
                  const forward_tests::Variety& variety) {
  return [=](Runtime& runtime) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.deterministic = choice.deterministic;
    descriptor.mask_form = choice.form;
    descriptor.causal_alignment = choice.alignment;
    descriptor.head_dim_qk = choice.head_dims.qk;
    descriptor.head_dim_v = choice.head_dims.v;
    const backward_tests::BackwardTestProblem problem(TestProblem(descriptor, extents, variety));
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = choice.tile});
    const backward_tests::LaunchResult result =
        run_backward(runtime, *kernel, problem, {.with_lse_gradient = true, .with_plan = choice.with_plan});
    Bytes bytes;
    append(bytes, result.query_gradient);
    append(bytes, result.key_gradient);
    append(bytes, result.value_gradient);
    return bytes;
  };
}

/// Rings of two and three slots, keys of a warp's own and of two; closed forms and vectors, with a plan that fills its
/// list of tiles several times, over several heads, and without; turns that are taken, and, where they are not, at most
/// two key tiles, whose sum has no order; rows and keys that see nothing.
Family backward_family() {
  constexpr TileConfig kTwoSlots{16, 32, 2, 2};
  constexpr TileConfig kThreeSlots{16, 32, 2, 3};
  constexpr TileConfig kShared{64, 32, 4, 2, false, 2};  // two key tiles begin at a row tile of the diagonal
  const forward_tests::Extents two_key_tiles{.batch = 1, .seqlen_q = 75, .seqlen_k = 60};
  const forward_tests::Extents square{.batch = 1, .seqlen_q = 140, .seqlen_k = 140};
  const forward_tests::Extents many_rows{.batch = 1, .seqlen_q = 700, .seqlen_k = 40};
  const forward_tests::Extents most_rows{.batch = 1, .seqlen_q = 2500, .seqlen_k = 40, .heads_q = 2, .heads_kv = 1};
  const forward_tests::Extents few_rows{.batch = 1, .seqlen_q = 40, .seqlen_k = 140};
  const forward_tests::Extents group{.batch = 1, .seqlen_q = 50, .seqlen_k = 70, .heads_q = 2, .heads_kv = 1};
  const forward_tests::Extents long_keys{
      .batch = 1, .seqlen_q = 700, .seqlen_k = 70, .heads_q = 2, .heads_kv = 1, .heads_mask = 2};
  const forward_tests::Variety documents{.intervals = Intervals::kDocuments};
  const forward_tests::Variety none_masked{.intervals = Intervals::kNoneMasked};
  const forward_tests::Variety all_masked{.intervals = Intervals::kAllMasked};
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

Bytes plan_of(Runtime& runtime, const Mask& mask, TileShape tile) {
  DeviceBuffer indices(runtime.device(), mask.startend_row_indices().size_bytes());
  runtime.device()->copy_to_device(indices.get(), std::as_bytes(mask.startend_row_indices()), nullptr);
  MaskPlan plan(runtime, mask.shape(), indices.get());
  const PlanContent content = MaskPlan::read(*runtime.device(), plan.prepare(tile));
  Bytes bytes;
  append(bytes, content.row_classes);
  append(bytes, content.key_classes);
  append(bytes, content.row_order);
  append(bytes, content.key_order);
  return bytes;
}

Family plan_family() {
  Family family;
  family.name = "Plan";
  family.entries = "flashmask_mask_plan";
  const std::vector<int> equal(72, 64);
  family.scenarios = {
      // Row tiles for all warps of a CTA, and key tiles that take several turns of it.
      [](Runtime& runtime) {
        return plan_of(runtime, masks::causal_documents({4500, 4500}, {700, 1, 900, 300, 399, 2200}), {16, 16});
      },
      // Tiles of equal cost in every warp, whose places all warps take from one counter.
      [equal](Runtime& runtime) { return plan_of(runtime, masks::causal_documents({4608, 4608}, equal), {16, 16}); },
      [equal](Runtime& runtime) { return plan_of(runtime, masks::documents({4608, 4608}, equal), {16, 16}); },
      // More row tiles than are counted at once.
      [](Runtime& runtime) {
        const MaskShape shape{.form = MaskForm::kF2, .seqlen_q = 33500, .seqlen_k = 40};
        std::vector<std::int32_t> bounds;
        for (int key = 0; key < shape.seqlen_k; ++key) bounds.insert(bounds.end(), {20000 + 300 * key, 90 * key});
        return plan_of(runtime, Mask(shape, bounds), {16, 16});
      },
      [](Runtime& runtime) { return plan_of(runtime, masks::documents({130, 130}, {50, 30, 50}), {32, 16}); },
  };
  return family;
}

template <class Source>
Bytes written_mask(Runtime& runtime, bool causal, const device_masks::Extents& extents, const Source& source) {
  const MaskForm form = causal ? MaskForm::kC1 : MaskForm::kF2;
  const std::size_t size = device_masks::bytes_needed(form, extents);
  DeviceBuffer output(runtime.device(), size);
  if (causal) {
    device_masks::causal_documents(runtime, extents, source, {output.get(), size});
  } else {
    device_masks::documents(runtime, extents, source, {output.get(), size});
  }
  Bytes bytes(size);
  runtime.device()->copy_to_host(bytes, output.get(), nullptr);
  return bytes;
}

Scenario mask_by_ids(bool causal, std::vector<std::int32_t> ids) {
  return [=](Runtime& runtime) {
    DeviceBuffer source(runtime.device(), ids.size() * sizeof(std::int32_t));
    runtime.device()->copy_to_device(source.get(), std::as_bytes(std::span(ids)), nullptr);
    const auto seqlen = static_cast<int>(ids.size());
    return written_mask(runtime, causal, {.batch = 1, .seqlen_q = seqlen, .seqlen_k = seqlen},
                        device_masks::DocumentIds{source.get()});
  };
}

Scenario mask_by_lengths(bool causal, std::vector<std::int32_t> sums) {
  return [=](Runtime& runtime) {
    DeviceBuffer source(runtime.device(), sums.size() * sizeof(std::int32_t));
    runtime.device()->copy_to_device(source.get(), std::as_bytes(std::span(sums)), nullptr);
    return written_mask(runtime, causal, {.batch = 1, .seqlen_q = sums.back(), .seqlen_k = sums.back()},
                        device_masks::CumulativeLengths{source.get(), static_cast<int>(sums.size()) - 1});
  };
}

Family mask_family() {
  std::vector<std::int32_t> ids;
  for (int document = 0; document < 40; ++document)
    ids.insert(ids.end(), static_cast<std::size_t>(7 + 5 * document), document);
  Family family;
  family.name = "MaskWriters";
  family.entries = "flashmask_mask_build";
  family.scenarios = {
      mask_by_ids(true, ids),
      mask_by_ids(false, ids),
      mask_by_lengths(true, {0, 700, 701, 1600, 2300}),
      mask_by_lengths(false, {0, 700, 701, 1600, 2300}),
  };
  return family;
}

}  // namespace

std::vector<Family> families() {
  return {forward_family(), wgmma_forward_family(), backward_family(), plan_family(), mask_family()};
}

std::vector<Family> tiny_families() {
  constexpr TileConfig kTile{32, 16, 2, 2, false};
  constexpr TileConfig kWarpgroup{.tile_q = 64, .tile_k = 16, .warps = 4, .stages = 2, .overlap = true};
  const forward_tests::Extents extents{.batch = 1, .seqlen_q = 32, .seqlen_k = 48};
  const forward_tests::Extents wide{.batch = 1, .seqlen_q = 64, .seqlen_k = 48, .heads_q = 2};
  return {
      {"Forward",
       "flashmask_forward",
       {forward(MaskForm::kNone, kTile, {32, 32}, extents, {}, false),
        forward(MaskForm::kF4, kTile, {32, 32}, extents, {.intervals = Intervals::kHoles}, true)}},
      {"WgmmaForward",
       "flashmask_forward",
       {forward(MaskForm::kNone, kWarpgroup, {32, 32}, wide, {}, false, {}, {90, true}),
        forward(MaskForm::kF4, kWarpgroup, {32, 48}, wide, {.intervals = Intervals::kHoles}, true, {}, {90, true})}},
      {"Backward",
       "flashmask_backward",
       {backward({.deterministic = true, .tile = {16, 32, 2, 2}}, {.batch = 1, .seqlen_q = 32, .seqlen_k = 64}, {})}},
      {"MaskWriters", "flashmask_mask_build", {mask_by_ids(true, {0, 0, 1, 1, 1, 2, 3, 3})}},
  };
}

}  // namespace flashmask::mutants
