#include "tests/mutants/families.h"

#include <ostream>

#include "tests/mutants/attention_scenarios.h"

namespace flashmask::mutants {

void PrintTo(const Family& family, std::ostream* stream) {
  *stream << family.name;
}

std::vector<Family> families() {
  return {forward_family(),
          wgmma_forward_family(),
          backward_family(),
          wgmma_backward_family(),
          wgmma_deterministic_backward_family(),
          plan_family(),
          mask_family()};
}

std::vector<Family> tiny_families() {
  constexpr TileConfig kTile{32, 16, 2, 2, false};
  constexpr TileConfig kWarpgroup{.tile_q = 64, .tile_k = 16, .warps = 4, .stages = 2, .overlap = true};
  const Extents extents{.batch = 1, .seqlen_q = 32, .seqlen_k = 48};
  const Extents wide{.batch = 1, .seqlen_q = 64, .seqlen_k = 48, .heads_q = 2};
  return {
      {"Forward",
       "flashmask_forward",
       {forward(MaskForm::kNone, kTile, {32, 32}, extents, {}, false),
        forward(MaskForm::kF4, kTile, {32, 32}, extents, {.intervals = Intervals::kHoles}, true)}},
      {"WgmmaForward",
       "flashmask_forward",
       {forward(MaskForm::kNone, kWarpgroup, {32, 32}, wide, {}, false, {}, kWgmmaTarget),
        forward(MaskForm::kF4, kWarpgroup, {32, 48}, wide, {.intervals = Intervals::kHoles}, true, {}, kWgmmaTarget)}},
      {"Backward",
       "flashmask_backward",
       {backward({.deterministic = true, .tile = {16, 32, 2, 2}}, {.batch = 1, .seqlen_q = 32, .seqlen_k = 64}, {})}},
      {"MaskWriters", "flashmask_mask_build", {mask_by_ids(true, {0, 0, 1, 1, 1, 2, 3, 3})}},
  };
}

}  // namespace flashmask::mutants
