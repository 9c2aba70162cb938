#pragma once

#include "mask_plan_types.cuh"
#include "row_strides.cuh"

namespace flashmask {

/// What a row brings into the gradients of its scores.
struct RowTerms {
  float shift;  // LSE in base 2; +infinity for rows that see no key and for those past the end, so that their P is 0
  float delta;  // rowsum(dO o O) - dLSE
};

/// The one parameter of the three backward kernels; the host fills the same struct. Pointers are device pointers.
struct BackwardArguments {
  const void* query;            // [batch, seqlen_q, num_heads_q, head_dim_qk]
  const void* key;              // [batch, seqlen_k, num_heads_kv, head_dim_qk]
  const void* value;            // [batch, seqlen_k, num_heads_kv, head_dim_v]
  const void* output;           // [batch, seqlen_q, num_heads_q, head_dim_v]
  const void* output_gradient;  // [batch, seqlen_q, num_heads_q, head_dim_v]
  void* query_gradient;         // [batch, seqlen_q, num_heads_q, head_dim_qk]
  void* key_gradient;           // [batch, seqlen_k, num_heads_kv, head_dim_qk]
  void* value_gradient;         // [batch, seqlen_k, num_heads_kv, head_dim_v]
  const float* lse;             // [batch, num_heads_q, seqlen_q], natural log
  const float* lse_gradient;    // [batch, num_heads_q, seqlen_q]; null: 0
  const int* row_intervals;     // startend_row_indices [batch, num_heads_mask, seqlen_k, vectors], contiguous
  // The plan of the mask for this kernel's tiles; null: every tile that the diagonal leaves is visited.
  const mask_plan::Work* plan_work;           // [batch, num_heads_mask, key tiles], longest first
  const mask_plan::TileWord* plan_classes;    // [batch, num_heads_mask, key tiles, ceil(row tiles / 32)]
  const mask_plan::Summary* plan_summaries;   // [batch, num_heads_mask, key tiles]
  const mask_plan::TileWord* plan_row_words;  // [batch, num_heads_mask, row tiles, ceil(key tiles / 32)]
  // Workspace.
  RowTerms*
      row_terms;      // [batch, num_heads_q, row tiles * kTileQ]; where terms lie apart, of each tile all shifts first
  float* query_sums;  // dQ / scale: [batch, num_heads_q, row tiles] tiles of kTileQ x padded head_dim_qk, in blocks
  float* key_sums;    // where groups are split: [splits, batch, num_heads_kv, key tiles] tiles of kTileK rows, in
  float* value_sums;  // blocks: dK / scale and dV of a part of the query heads; else null
  unsigned* turns;    // deterministic: [batch, num_heads_q, row tiles, kTurns], how many key tiles have been added
  unsigned* tickets;  // where work is taken by tickets: one, how many have been
  RowStrides query_strides;
  RowStrides key_strides;
  RowStrides value_strides;
  RowStrides output_strides;
  RowStrides output_gradient_strides;
  RowStrides query_gradient_strides;
  RowStrides key_gradient_strides;
  RowStrides value_gradient_strides;
  int batch;
  int seqlen_q;
  int seqlen_k;
  int num_heads_q;
  int num_heads_kv;
  int num_heads_mask;        // 1, num_heads_kv or num_heads_q; 1 where the form has no vectors
  int heads_per_mask_head;   // num_heads_q / num_heads_mask
  int heads_per_cta;         // query heads that share a key head, or a part of them where groups are split
  int splits;                // parts of a group of query heads that share a key head
  int row_tiles;             // ceil(seqlen_q / kTileQ)
  int key_tiles;             // ceil(seqlen_k / kTileK)
  int section_heads;         // key heads (parts of their groups), over all batch entries, that are started together
  int diagonal_offset;       // row i is on the diagonal with key i + this: seqlen_k - seqlen_q (bottom right), or 0
  int window_left;           // -1: unbounded
  int window_right;          // -1: unbounded
  float softmax_scale_log2;  // softmax_scale * log2(e)
  float softmax_scale;
};

}  // namespace flashmask
