#pragma once

namespace flashmask {

/// Strides of a [batch, seqlen, heads, head_dim] tensor in elements; rows of head_dim elements are contiguous.
struct RowStrides {
  long long batch;
  long long seqlen;
  long long head;
};

}  // namespace flashmask
