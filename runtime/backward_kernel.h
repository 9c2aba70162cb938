#pragma once

#include <array>
#include <memory>
#include <string>

#include "runtime/attention_kernel.h"
#include "templates/backward_arguments.cuh"

namespace flashmask {

/// The kernels of a backward, loaded on a device: one prepares the rows' terms and clears sums, one makes dK and dV and
/// sums up dQ, one rounds sums to the tensors.
class BackwardKernel final : public AttentionKernel {
 public:
  /// Loads the image that the device runs. Throws what Device::load() throws.
  BackwardKernel(std::shared_ptr<Device> device, const generator::KernelSource& source, const StoredKernel& stored,
                 std::string digest);

  using Kernel::launch;
  using Kernel::workspace_size;
  std::size_t workspace_size(const BackwardLaunch& arguments) const override;
  void launch(const BackwardLaunch& arguments, Stream stream, Workspace workspace) const override;

 private:
  /// The main kernel with wgmma.
  void launch_sm90(const BackwardLaunch& launch, const BackwardArguments& arguments, Stream stream) const;

  std::uint32_t threads_;
  std::uint32_t shared_bytes_;
  std::array<std::shared_ptr<const LoadedKernel>, 3> loaded_;  ///< in the order of their launches
};

/// Where the arrays of a backward lie in its workspace: offsets in bytes, multiples of 16.
struct BackwardWorkspace {
  std::int64_t row_tiles = 0;
  std::int64_t key_tiles = 0;
  int splits = 1;  ///< parts of a group of query heads that share a key head
  std::size_t row_terms = 0;
  std::size_t query_sums = 0;
  std::size_t key_sums = 0;
  std::size_t value_sums = 0;
  std::size_t turns = 0;
  std::size_t tickets = 0;
  std::size_t bytes = 0;
};
/// Of a launch whose lengths and heads break no rule, on a GPU with that many multiprocessors.
BackwardWorkspace backward_workspace(const KernelDescriptor& descriptor, const TileConfig& config,
                                     const ForwardLaunch& launch, int multiprocessors);

/// The kernels' parameter for a launch that breaks no rule; `workspace` is the address of one that is large enough.
BackwardArguments backward_arguments(const KernelDescriptor& descriptor, const BackwardLaunch& launch,
                                     DevicePointer workspace, const BackwardWorkspace& layout,
                                     const DeviceProperties& properties);

}  // namespace flashmask
