#pragma once

#include <vector>

#include "cache/store.h"
#include "flashmask/kernel_cache.h"

namespace flashmask {

/// KernelCache::rebuild(), of a store that is opened read-only.
std::vector<RebuiltKernel> rebuild_kernels(cache::Store& reader, Runtime& compiler, const CacheProgress& progress);

}  // namespace flashmask
