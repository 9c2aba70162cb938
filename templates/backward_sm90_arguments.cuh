#pragma once

#include "backward_arguments.cuh"
#include "tensor_map.cuh"

namespace flashmask {

/// The one parameter of a main backward kernel that multiplies with wgmma: boxes of its tensors, and what all backward
/// kernels get.
struct BackwardSm90Arguments {
  TensorMap query;            // boxes of kTileQ rows of a panel
  TensorMap output_gradient;  // of kTileQ rows
  TensorMap key;              // of kTileK rows
  TensorMap value;            // of kTileK rows
  BackwardArguments backward;
  int work_items;  // key tiles * key heads * parts of their groups, over all batch entries
};

}  // namespace flashmask
