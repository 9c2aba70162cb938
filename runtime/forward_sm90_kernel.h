#pragma once

#include <memory>
#include <string>

#include "runtime/attention_kernel.h"
#include "templates/forward_sm90_arguments.cuh"

namespace flashmask {

/// A forward kernel for sm_90a that a device has loaded: its CTAs stay on their SMs and take their work from a queue.
class ForwardSm90Kernel final : public AttentionKernel, public std::enable_shared_from_this<ForwardSm90Kernel> {
 public:
  /// Loads the image that the device runs. Throws what Device::load() throws.
  ForwardSm90Kernel(std::shared_ptr<Device> device, const generator::KernelSource& source, const StoredKernel& stored,
                    std::string digest);

  using Kernel::launch;
  using Kernel::prepare;
  using Kernel::workspace_size;
  std::size_t workspace_size(const ForwardLaunch&) const override;
  void launch(const ForwardLaunch& arguments, Stream stream, Workspace workspace) const override;
  std::unique_ptr<const PreparedLaunch> prepare(const ForwardLaunch& arguments, Workspace workspace) const override;

  /// What a launch that breaks no rule comes to.
  struct Dispatch {
    ForwardSm90Arguments arguments;
    LaunchGeometry geometry;
    DevicePointer queue;  ///< to be cleared before
  };
  void enqueue(const Dispatch& dispatch, Stream stream) const;

 private:
  /// Throws what launch() throws of rules.
  Dispatch dispatch_of(const ForwardLaunch& launch, const Workspace& workspace) const;

  std::uint32_t threads_;
  std::uint32_t shared_bytes_;
  std::shared_ptr<const LoadedKernel> loaded_;
};

}  // namespace flashmask
