#pragma once

#include <memory>

#include "flashmask/flashmask.h"
#include "flashmask/runtime.h"

// The handles of the C interface.
struct fm_device {
  std::shared_ptr<flashmask::Device> device;
};
struct fm_runtime {
  std::unique_ptr<flashmask::Runtime> runtime;
};
struct fm_kernel {
  std::shared_ptr<const flashmask::Kernel> kernel;
  std::shared_ptr<flashmask::Device> device;
};
struct fm_prepared {
  std::unique_ptr<const flashmask::PreparedLaunch> launch;
};
