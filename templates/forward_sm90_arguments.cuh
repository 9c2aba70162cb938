#pragma once

#include "forward_arguments.cuh"
#include "tensor_map.cuh"

namespace flashmask {

/// The one parameter of a forward kernel that multiplies with wgmma: boxes of its tensors, what all forward kernels
/// get, and its queue.
struct ForwardSm90Arguments {
  TensorMap query;   // boxes of kTileQ rows of a panel
  TensorMap key;     // of kTileK rows
  TensorMap value;   // of kTileK rows
  TensorMap output;  // of the 16 rows of a warp
  ForwardArguments forward;
  unsigned* tickets;  // how many pieces of work have been taken, beside the first one of each CTA
  int work_items;     // row tiles * heads, over all batch entries
};

}  // namespace flashmask
