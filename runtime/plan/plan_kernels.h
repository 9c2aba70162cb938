#pragma once

#include <memory>
#include <string>

#include "flashmask/device.h"
#include "flashmask/mask_plan.h"
#include "generator/generate.h"
#include "runtime/store/kernel_store.h"

namespace flashmask {

/// The two kernels that build plans of one mask form, loaded on a device. Immutable, thread-safe.
class PlanKernels {
 public:
  PlanKernels(std::shared_ptr<Device> device, const generator::KernelSource& source, const StoredKernel& stored);

  /// Enqueues the building of a plan into a buffer that is large enough. The mask and tile break no rule.
  void launch(const MaskShape& mask, TileShape tile, DevicePointer startend_row_indices, DevicePointer buffer,
              Stream stream) const;
  Device& device() const { return *device_; }
  const std::shared_ptr<Device>& shared_device() const { return device_; }

 private:
  std::shared_ptr<Device> device_;
  std::uint32_t threads_;
  std::shared_ptr<const LoadedKernel> classify_;
  std::shared_ptr<const LoadedKernel> arrange_;
};

}  // namespace flashmask
