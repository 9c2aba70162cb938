#pragma once

#include <memory>

#include "flashmask/device.h"
#include "runtime/device/cuda_driver.h"

namespace flashmask {

/// A GPU behind `driver`, which must outlive the device and everything loaded on it. Throws as open_cuda_device().
std::shared_ptr<Device> open_cuda_device(const CudaDriver& driver, int ordinal);

/// The target that kernels are generated for on a GPU of this compute capability: itself, else the newest older target
/// of the same major version (whose code runs there), else itself, to be refused by name.
Target target_for_capability(int compute_capability);

}  // namespace flashmask
