#pragma once

#include "mask_plan_types.cuh"
#include "row_strides.cuh"

namespace flashmask {

/// The one parameter of a forward kernel. The host fills the same struct, so its members are fixed-width and in an
/// order that leaves no padding to interpretation. Pointers are device pointers.
struct ForwardArguments {
  const void* query;         // [batch, seqlen_q, num_heads_q, head_dim_qk]
  const void* key;           // [batch, seqlen_k, num_heads_kv, head_dim_qk]
  const void* value;         // [batch, seqlen_k, num_heads_kv, head_dim_v]
  void* output;              // [batch, seqlen_q, num_heads_q, head_dim_v]
  float* lse;                // [batch, num_heads_q, seqlen_q], natural log; null: not wanted
  const int* row_intervals;  // startend_row_indices [batch, num_heads_mask, seqlen_k, vectors], contiguous
  // The plan of the mask for this kernel's tiles; null: every tile that the diagonal leaves is visited.
  const mask_plan::Work* plan_work;         // [batch, num_heads_mask, row tiles], longest first
  const mask_plan::TileWord* plan_classes;  // [batch, num_heads_mask, row tiles, ceil(key tiles / 32)]
  RowStrides query_strides;
  RowStrides key_strides;
  RowStrides value_strides;
  RowStrides output_strides;
  int batch;
  int seqlen_q;
  int seqlen_k;
  int num_heads_q;
  int num_heads_kv;
  int num_heads_mask;        // 1, num_heads_kv or num_heads_q; 1 where the form has no vectors
  int heads_per_mask_head;   // num_heads_q / num_heads_mask
  int row_tiles;             // ceil(seqlen_q / kTileQ)
  int section_heads;         // query heads, over all batch entries, whose work is started together
  int class_words;           // of a row of tiles: ceil(ceil(seqlen_k / kTileK) / 32)
  int cut_key_tile;          // the last key tile, if keys are missing at its end; else -1
  int diagonal_offset;       // row i is on the diagonal with key i + this: seqlen_k - seqlen_q (bottom right), or 0
  int window_left;           // -1: unbounded
  int window_right;          // -1: unbounded
  float softmax_scale_log2;  // softmax_scale * log2(e)
  float softmax_scale;
};

}  // namespace flashmask
