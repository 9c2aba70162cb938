#pragma once

#include <optional>

#include "flashmask/runtime.h"
#include "tools/command/arguments.h"

namespace flashmask::command {

struct OneKernel {
  CompiledKernel kernel;
  RuntimeCounters counters;
};

/// The kernel of a selection from the cache, or compiled into it, without a device. Shows progress. Throws Error.
OneKernel make_one_kernel(const KernelDescriptor& descriptor, const std::optional<TileWish>& tile);

}  // namespace flashmask::command
