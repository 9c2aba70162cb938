#pragma once

#include <memory>
#include <string>

#include "runtime/attention_kernel.h"
#include "templates/forward_arguments.cuh"

namespace flashmask {

/// A forward kernel that a device has loaded.
class ForwardKernel final : public AttentionKernel, public std::enable_shared_from_this<ForwardKernel> {
 public:
  /// Loads the image that the device runs. Throws what Device::load() throws.
  ForwardKernel(std::shared_ptr<Device> device, const generator::KernelSource& source, const StoredKernel& stored,
                std::string digest);

  using Kernel::launch;
  using Kernel::prepare;
  using Kernel::workspace_size;
  std::size_t workspace_size(const ForwardLaunch&) const override { return 0; }
  void launch(const ForwardLaunch& arguments, Stream stream, Workspace workspace) const override;
  std::unique_ptr<const PreparedLaunch> prepare(const ForwardLaunch& arguments, Workspace workspace) const override;

  /// What a launch that breaks no rule comes to.
  struct Dispatch {
    ForwardArguments arguments;
    LaunchGeometry geometry;
  };
  void enqueue(const Dispatch& dispatch, Stream stream) const;

 private:
  /// Throws what launch() throws of rules.
  Dispatch dispatch_of(const ForwardLaunch& launch) const;

  std::uint32_t threads_;
  std::uint32_t shared_bytes_;
  std::shared_ptr<const LoadedKernel> loaded_;
};

/// The kernel's parameter for a launch that breaks no rule, on a GPU with this much L2 cache (0: unknown).
ForwardArguments forward_arguments(const KernelDescriptor& descriptor, const TileConfig& config,
                                   const ForwardLaunch& launch, std::size_t l2_bytes);

}  // namespace flashmask
