#pragma once

#include <cstdint>

namespace flashmask::testing {

/// How often this thread has called operator new since it began.
std::uint64_t allocations_of_this_thread();

}  // namespace flashmask::testing
