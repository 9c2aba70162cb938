#pragma once

#include <string>

#include "cache/store.h"
#include "flashmask/kernel_cache.h"

namespace flashmask {

/// KernelCache::export_pack(), from a store that is opened read-only, so that reading a kernel is no use of it.
ExportReport export_kernels(cache::Store& reader, const std::string& path, const ExportOptions& options);

}  // namespace flashmask
