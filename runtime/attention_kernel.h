#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "generator/generate.h"
#include "runtime/store/kernel_store.h"
#include "templates/row_strides.cuh"
#include "templates/tensor_map.cuh"

namespace flashmask {

/// What the kernels of all passes of attention know of themselves.
class AttentionKernel : public Kernel {
 public:
  const KernelDescriptor& descriptor() const override { return descriptor_; }
  const TileConfig& config() const override { return config_; }
  const KernelResources& resources() const override { return resources_; }
  KernelOrigin origin() const override { return origin_; }
  const std::string& digest() const override { return digest_; }

 protected:
  AttentionKernel(std::shared_ptr<Device> device, const generator::KernelSource& source, const StoredKernel& stored,
                  std::string digest);
  Device& device() const { return *device_; }
  /// Throws Error{kInvalidArgument} with all of the rules, if there are any.
  void refuse_broken(const std::vector<std::string>& rules) const;

 private:
  std::shared_ptr<Device> device_;
  KernelDescriptor descriptor_;
  TileConfig config_;
  KernelResources resources_;
  KernelOrigin origin_;
  std::string digest_;
};

/// An address of the device as the member of a kernel's parameter.
template <typename Element>
Element* device_pointer(DevicePointer address) {
  return reinterpret_cast<Element*>(static_cast<std::uintptr_t>(address));
}

RowStrides strides_of(const TensorView& tensor);

/// A tensor for copies by wgmma kernels: boxes of `rows` rows of a panel, as PanelTile of the templates lays them out.
/// Of a tensor that breaks no rule of a launch.
TensorMap tensor_map(const Device& device, const TensorView& tensor, int batch, int seqlen, int heads, int head_dim,
                     int rows);

/// A window that reaches over every key is no bound at all; saying so keeps the kernels' sums in 32 bits.
int bounded_window(int window, const ForwardLaunch& launch);

/// Of `heads`, each of which needs `bytes` again and again, how many do so together in an L2 cache of this size (0:
/// unknown); at least one.
int heads_in_l2(std::int64_t heads, std::int64_t bytes, std::size_t l2_bytes);

}  // namespace flashmask
