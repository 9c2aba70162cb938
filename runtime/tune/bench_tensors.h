#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flashmask/mask.h"
#include "flashmask/reference.h"
#include "flashmask/runtime.h"

namespace flashmask::tune {

/// The extents of a problem.
struct BenchShape {
  int batch = 1;
  int num_heads_q = 1;
  int num_heads_kv = 1;
};

/// The tensors of one problem in device memory, N(0, 1) data, and launches of its kernels: what is written lies in
/// tensors of its own, which read_results() brings back. Of a backward, the forward's output and LSE are computed by
/// the default forward kernel first. Used by one thread; the runtime must outlive it.
class BenchTensors {
 public:
  /// Throws Error as Runtime::request() and devices do.
  BenchTensors(Runtime& runtime, const KernelDescriptor& descriptor, const BenchShape& shape, const Mask& mask,
               std::uint64_t seed);

  /// A launch of the kernel, which must be of the descriptor's pass, with a plan for its tiles where the form has
  /// vectors. It is valid until the next call, which may need a larger workspace.
  std::unique_ptr<const PreparedLaunch> prepare(const Kernel& kernel);

  /// What the pass writes, as bit patterns of the dtype, one tensor behind the other: the output; or dQ, dK and dV.
  /// With a limit, pieces of each tensor that lie evenly over it, about so many elements of it in all.
  std::vector<std::uint16_t> read_results(std::size_t limit = ~std::size_t{0});
  /// Overwrites what the pass writes with NaNs, so that a kernel that writes nothing is seen.
  void spoil_results();

  /// Compares what is written with the fp64 reference: what is wrong as a sentence, empty if it is right. For small
  /// problems.
  std::string compare_with_reference();

 private:
  DeviceBuffer upload(const std::vector<std::uint16_t>& values);
  TensorView of_queries(const DeviceBuffer& buffer, int head_dim) const;
  TensorView of_keys(const DeviceBuffer& buffer, int head_dim) const;
  reference::ForwardProblem host_problem() const;
  std::size_t query_rows() const;
  std::size_t key_rows() const;

  Runtime& runtime_;
  KernelDescriptor descriptor_;
  BenchShape shape_;
  Mask mask_;
  float softmax_scale_;
  std::vector<std::uint16_t> query_values_, key_values_, value_values_, output_gradient_values_;
  DeviceBuffer query_, key_, value_, vectors_, output_, lse_;
  DeviceBuffer output_gradient_, query_gradient_, key_gradient_, value_gradient_;  // of a backward
  DeviceBuffer workspace_;
  std::optional<MaskPlan> plan_;
};

}  // namespace flashmask::tune
