#pragma once

#include <string>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask {

/// What the compiler said of a kernel.
struct KernelResources {
  int registers = 0;
  int spill_store_bytes = 0;
  int spill_load_bytes = 0;
  int static_shared_bytes = 0;
  int dynamic_shared_bytes = 0;
  int stack_bytes = 0;
};

/// What a cache entry says of its kernel: what follows from the kernel alone. How long compiling took or when and where
/// is not part of it, so two builds of one kernel are equal byte by byte.
struct KernelRecord {
  KernelDescriptor descriptor;
  TileConfig config;
  std::string entry;  ///< its name in the image
  KernelResources resources;
  std::string toolchain;  ///< "nvrtc 13.0.88"
  std::string log;        ///< of ptxas

  FLASHMASK_API friend bool operator==(const KernelRecord&, const KernelRecord&);
};

}  // namespace flashmask
