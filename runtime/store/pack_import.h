#pragma once

#include <cstdint>
#include <string>

#include "cache/store.h"
#include "flashmask/kernel_cache.h"

namespace flashmask {

/// KernelCache::import_pack(): `reader` and `writer` are stores of the same directory, the first one read-only.
ImportReport import_kernels(cache::Store& reader, cache::Store& writer, std::uint64_t byte_limit,
                            const std::string& path, const ImportOptions& options);

}  // namespace flashmask
