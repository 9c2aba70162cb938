#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace flashmask::emulator {

/// What is contiguous in shared memory: k, or the index that is not k (the rows of A, the columns of B: "mn").
enum class Major : std::uint8_t { kK, kMn };

/// An operand of wgmma in shared memory: 16-bit elements (mn, k), k from 0 to 15.
///
/// The fields are those of "Matrix Descriptor Format" in the PTX ISA (asynchronous warpgroup matrix instructions): bits
/// 0-13 the start address, 16-29 the leading-dimension byte offset, 32-45 the stride-dimension byte offset, all
/// divided by 16; 49-51 the base offset; 62-63 the swizzle.
///
/// The layouts are the canonical ones of the same chapter ("Shared Memory Matrix Layout", "Strides"; the header
/// mma_sm90_desc of CUTLASS draws them as well). With w the bytes of the swizzle span, the byte offset of an element is
///
///     k contiguous,  no swizzle:  mn%8 · 16 + mn/8 · stride + k%8 · 2 + k/8 · leading
///     k contiguous,  swizzled:    mn%8 · w + mn/8 · stride + k · 2             (the leading offset is not used)
///     mn contiguous, no swizzle:  mn%8 · 2 + mn/8 · stride + k%8 · 16 + k/8 · leading
///     mn contiguous, swizzled:    mn%(w/2) · 2 + mn/(w/2) · leading + k%8 · w + k/8 · stride
///
/// A swizzle of 32, 64 or 128 bytes then XORs the lowest 1, 2 or 3 bits of the 128-byte line's number into the number
/// of the 16-byte chunk. Lines count from address 0 of shared memory: the pattern starts on multiples of 256, 512 or
/// 1024 bytes. A base offset moves the start of the pattern to a line with that number modulo 8; the PTX ISA gives
/// (pattern start >> 7) & 7. An H100 reads all of these layouts as they stand here, and subtracts the base offset from
/// the line's number.
class MatrixDescriptor {
 public:
  static constexpr std::uint32_t kDepth = 16;
  /// Elements that are contiguous whatever the layout: 16 bytes at a multiple of 16.
  static constexpr std::uint32_t kChunkElements = 8;
  static constexpr std::uint32_t kChunkBytes = 16;

  MatrixDescriptor(std::uint64_t bits, Major major);

  /// Empty for a descriptor that means something; otherwise the rule, what was given and what is allowed.
  std::string broken_rule() const;

  /// The address in shared memory of element (mn, k). It may lie outside the memory of the CTA.
  std::uint32_t address_of(std::uint32_t mn, std::uint32_t k) const;

  /// How many chunks hold the elements of `count` rows (columns of B).
  static constexpr std::uint32_t chunks_of(std::uint32_t count) { return count * kDepth / kChunkElements; }

  /// The addresses of these chunks for the rows `first` … `first + count - 1`, multiples of 8; each chunk once. With k
  /// contiguous: row after row, k 0-7 before k 8-15. With mn contiguous: k after k, and by rising mn within a k.
  /// `addresses` has chunks_of(count) places. (Strides that are too small make chunks coincide.)
  void chunk_addresses(std::uint32_t first, std::uint32_t count, std::span<std::uint32_t> addresses) const;

  Major major() const { return major_; }

 private:
  std::uint32_t address(Major major, std::uint32_t mn, std::uint32_t k) const;

  std::uint64_t bits_;
  Major major_;
  std::uint32_t start_;
  std::uint32_t leading_;
  std::uint32_t stride_;
  std::uint32_t base_offset_;
  std::uint32_t swizzle_bits_;  ///< 0 to 3: the chunks of a span are 2 to this power
};

}  // namespace flashmask::emulator
