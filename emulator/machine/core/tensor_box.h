#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "emulator/machine/tensor_map.h"

namespace flashmask::emulator {

/// Bytes of a box that are contiguous in the tensor and in shared memory.
struct BoxRun {
  std::uint32_t shared = 0;  ///< address in shared memory
  std::uint32_t bytes = 0;   ///< a multiple of the element's size
  std::uint64_t global = 0;  ///< address in global memory, when inside
  bool inside = false;       ///< outside the tensor: a load fills the bytes, a store drops them
};

/// The box of a tensor map that one copy moves, from or to `shared` on.
///
/// In shared memory its elements follow each other, dimension 0 innermost; element strides make it smaller there. With
/// a swizzle every row of dimension 0 takes the whole span, even if it is shorter, and the number of a 16-byte chunk in
/// its span is XORed with the number of its 128-byte line, counted from address 0: the pattern starts on multiples of
/// 256, 512 or 1024 bytes wherever the box does. cuda.h says how strides shrink a box; the pitch and the pattern are
/// those of an H100.
class TensorBox {
 public:
  /// `coordinates` of the first element, one per dimension of the map, dimension 0 first; they may lie outside the
  /// tensor. `map` must outlive the box.
  TensorBox(const TensorMap& map, std::span<const std::int32_t> coordinates, std::uint32_t shared);

  /// Empty for a copy that a device would run; otherwise the rule, what was given and what is allowed. An H100 ends a
  /// kernel that breaks one with "misaligned address" or "illegal instruction".
  std::string broken_rule() const;

  /// What the copy reports to its mbarrier: elements that are filled count, the rest of a span does not.
  std::uint32_t bytes() const;

  /// Every element of the box once, row after row. Of the runs of a swizzled box none is longer than 16 bytes.
  /// Only when no rule is broken.
  std::vector<BoxRun> runs() const;

 private:
  std::uint32_t rows() const;
  void add_row(std::uint32_t row, std::vector<BoxRun>& runs) const;

  const TensorMap& map_;
  std::array<std::int64_t, 5> first_ = {};
  std::array<std::uint32_t, 5> extents_ = {1, 1, 1, 1, 1};  ///< in shared memory, of dimensions 1 and up
  std::size_t coordinates_given_;
  std::uint32_t shared_;
  std::uint32_t row_bytes_;
};

/// What a load puts where the box lies outside the tensor: zeros, or the NaN that every 16 bits of 0x7ff7 make.
void fill_outside(const TensorMap& map, std::span<std::byte> bytes);

}  // namespace flashmask::emulator
