#pragma once

#include <memory>
#include <string>

#include "runtime/attention_kernel.h"
#include "templates/forward_sm90_arguments.cuh"

namespace flashmask {

/// A forward kernel for sm_90a that a device has loaded: its CTAs stay on their SMs and take their work from a queue.
class ForwardSm90Kernel final : public AttentionKernel {
 public:
  /// Loads the image that the device runs. Throws what Device::load() throws.
  ForwardSm90Kernel(std::shared_ptr<Device> device, const generator::KernelSource& source, const StoredKernel& stored,
                    std::string digest);

  using Kernel::launch;
  using Kernel::workspace_size;
  std::size_t workspace_size(const ForwardLaunch&) const override;
  void launch(const ForwardLaunch& arguments, Stream stream, Workspace workspace) const override;

 private:
  std::uint32_t threads_;
  std::uint32_t shared_bytes_;
  std::shared_ptr<const LoadedKernel> loaded_;
};

}  // namespace flashmask
