#pragma once

#include "mask_plan_types.cuh"

namespace flashmask::mask_plan {

/// The one parameter of the kernels that build a plan; the host fills the same struct. All arrays are device memory.
struct Arguments {
  const int* row_intervals;  // startend_row_indices [mask_heads, seqlen_k, vectors]
  TileWord* row_classes;     // [mask_heads, row_tiles, ceil(key_tiles / 32)]
  TileWord* key_classes;     // [mask_heads, key_tiles, ceil(row_tiles / 32)]
  Summary* row_summaries;    // [mask_heads, row_tiles]
  Summary* key_summaries;    // [mask_heads, key_tiles]
  Work* row_work;            // [mask_heads, row_tiles]
  Work* key_work;            // [mask_heads, key_tiles]
  unsigned* arrivals;        // [mask_heads], of the CTAs that arrange; the plan's own, so one build at a time
  int seqlen_q;
  int seqlen_k;
  int tile_q;
  int tile_k;
  int row_tiles;  // ceil(seqlen_q / tile_q)
  int key_tiles;  // ceil(seqlen_k / tile_k)
};

}  // namespace flashmask::mask_plan
