#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/reference.h"
#include "tools/command/arguments.h"
#include "tools/safetensors/layout.h"

namespace flashmask::command {

/// What `run` has to compute: the tensors of its input file, checked against each other and the options.
struct Problem {
  reference::ForwardProblem shape;  ///< its spans show the vectors below
  std::vector<std::uint16_t> query, key, value;
  std::vector<std::int32_t> startend_row_indices;
  std::vector<std::uint16_t> output_gradient;  ///< empty without --backward
  std::vector<float> lse_gradient;             ///< empty where the file has none

  Problem() = default;
  Problem(Problem&&) = default;  // a moved vector keeps its memory, so the spans stay right
  Problem& operator=(Problem&&) = default;
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  /// The kernel of a pass that serves it on a target.
  KernelDescriptor descriptor(Target target, Pass pass = Pass::kForward) const;
  /// With the gradients that come in.
  reference::BackwardProblem backward() const;
};

/// The problem without its data: dimensions from the tensors' shapes, the mask form from options and vectors; with
/// --backward, the gradients that come in are checked against them. Throws Error naming the tensor and the rule:
/// kInvalidArgument, or kUnsupported for a legal combination without a kernel.
reference::ForwardProblem problem_shape(const safetensors::Layout& layout, const RunArguments& arguments);

/// Reads the input of `run`. Throws as problem_shape() and safetensors::Reader; a file that is not there is
/// kInvalidArgument.
Problem load_problem(const RunArguments& arguments);

}  // namespace flashmask::command
