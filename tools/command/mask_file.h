#pragma once

#include <filesystem>

#include "flashmask/mask.h"
#include "tools/command/mask_arguments.h"
#include "tools/safetensors/layout.h"

namespace flashmask::command {

// A mask as a tensor: startend_row_indices [B,Hm,Sk,n] (I32), and in the file's metadata causal ("true" or "false"),
// causal_alignment, seqlen_q, and mask_form to check the others by. Without metadata the options say the same.

/// The shape that a file and the options give. Throws Error{kInvalidArgument} with the rule where the tensor is missing
/// or is none of a mask, and where tensors, metadata and options contradict each other.
MaskShape mask_file_shape(const safetensors::Layout& layout, const MaskSource& source);

/// Reads the mask of the file that the source names. Throws as mask_file_shape() and safetensors::Reader; a file that
/// is not there is kInvalidArgument.
Mask read_mask_file(const MaskSource& source);

/// The mask in a form that has vectors: itself, else causal as C1, and full masks and windows as F2.
Mask with_vectors(const Mask& mask);

/// Writes a mask that has vectors. Throws Error{kStorage}.
void write_mask_file(const Mask& mask, const std::filesystem::path& path);

}  // namespace flashmask::command
