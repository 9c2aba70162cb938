#pragma once

namespace flashmask::mask_build {

inline constexpr int kThreads = 512;     // of a CTA; those that carry boundaries have fewer
inline constexpr int kChunkKeys = 1024;  // of a CTA: a bit for each, and so a word of them for each lane of a warp

/// The one parameter of the kernels that write startend_row_indices; the host fills the same struct. All arrays are
/// device memory.
struct Arguments {
  const int* source;   // cumulative lengths [batch, sums] or document ids [batch, seqlen_k]; null for windows
  int* row_intervals;  // startend_row_indices [batch, 1, seqlen_k, vectors]: written
  int seqlen_q;
  int seqlen_k;
  int sums;       // of a batch entry: one more than it has documents
  int lts_shift;  // of windows: key j has LTS = j + lts_shift and UTE = j + ute_shift, cut off at the ends of the rows
  int ute_shift;
};

}  // namespace flashmask::mask_build
