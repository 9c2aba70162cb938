#pragma once

#include <array>
#include <cstdint>

#include "flashmask/runtime.h"

namespace flashmask {

/// The bytes of device memory that a tensor covers: one row for every position on its axes. Axes that follow each other
/// without gaps are part of the row.
struct StridedMemory {
  /// Positions 0 to extent - 1 lie `stride` bytes apart.
  struct Axis {
    std::int64_t extent = 1;
    std::int64_t stride = 0;  ///< > 0 where the extent is > 1
  };

  DevicePointer first = 0;      ///< the lowest byte
  std::int64_t row_bytes = 0;   ///< 0: covers nothing
  std::int64_t span_bytes = 0;  ///< from the lowest byte to the end of the highest row
  std::array<Axis, 3> axes{};   ///< batch, seqlen, heads
};

/// What a tensor of 16-bit elements covers that breaks no rule of a launch; a stride of either sign or of 0.
StridedMemory memory_of(const TensorView& tensor, int batch, int seqlen, int heads, int head_dim);
/// An array of `rows` times `row_bytes` bytes without gaps.
StridedMemory array_memory(DevicePointer address, std::uint64_t rows, std::uint64_t row_bytes);

enum class Overlap {
  kNone,     ///< no byte is of both
  kSome,     ///< at least one is
  kUnknown,  ///< their ranges of addresses meet, and their strides differ too much to tell
};
/// Whether two of them share a byte. Tensors that are interleaved in one buffer are told apart where their strides of
/// the interleaved axes agree. Allocates nothing.
Overlap overlap_of(const StridedMemory& a, const StridedMemory& b);

}  // namespace flashmask
