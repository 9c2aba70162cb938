#pragma once

namespace flashmask {

/// A tensor in global memory and the box that one copy moves, as the driver encodes them (CUtensorMap). A kernel gets
/// it by value, in its parameter.
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

}  // namespace flashmask
