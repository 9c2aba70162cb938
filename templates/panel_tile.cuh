#pragma once

namespace flashmask {

/// A tile of 16-bit elements in shared memory, kRows x kColumns, as tensor copies bring it and wgmma reads it: panels
/// of up to 64 columns, one behind the other, in each of which a row is one span of the swizzle (128, 64 or 32 bytes).
/// Spans are the widest of which all panels can be.
template <int kRows, int kColumns>
struct PanelTile {
  static_assert(kColumns % 16 == 0 && kRows % 8 == 0);
  static constexpr int kHeight = kRows;
  static constexpr int kPanelColumns = kColumns % 64 == 0 ? 64 : kColumns % 32 == 0 ? 32 : 16;
  static constexpr int kPanels = kColumns / kPanelColumns;
  static constexpr int kSpan = kPanelColumns * 2;  // bytes
  static constexpr int kPanelBytes = kRows * kSpan;
  static constexpr int kBytes = kPanels * kPanelBytes;

  unsigned base;  // a multiple of 1024, where the pattern of the widest swizzle begins

  __device__ __forceinline__ unsigned panel(int number) const { return base + number * kPanelBytes; }

  /// Of the 16 bytes at columns 8 chunk … of a row.
  __device__ __forceinline__ unsigned address(int row, int chunk) const {
    constexpr int kChunks = kSpan / 16;
    const int swizzle = row / (8 / kChunks) % kChunks;
    return panel(chunk / kChunks) + row * kSpan + ((chunk % kChunks) ^ swizzle) * 16;
  }

  /// The operand whose rows are these rows from `first_row` (a multiple of 8) on, and whose K are columns 16 step ….
  __device__ __forceinline__ unsigned long long rows_along_k(int first_row, int step) const {
    constexpr int kSteps = kPanelColumns / 16;
    return descriptor(panel(step / kSteps) + first_row * kSpan + step % kSteps * 32, 16);
  }
  /// The operand whose K are rows 16 step …, and whose M or N are the columns from `first_column` on: the first of a
  /// panel, or such that all are of one panel.
  __device__ __forceinline__ unsigned long long columns_along_k(int step, int first_column = 0) const {
    return descriptor(panel(first_column / kPanelColumns) + first_column % kPanelColumns * 2 + step * 16 * kSpan,
                      kPanelBytes);
  }

 private:
  /// Eight rows of spans are a block of the pattern, and the blocks follow each other. `leading`: bytes from panel to
  /// panel, where an operand has more than one.
  static __device__ __forceinline__ unsigned long long descriptor(unsigned address, int leading) {
    constexpr unsigned long long kSwizzle = kSpan == 128 ? 1 : kSpan == 64 ? 2 : 3;
    constexpr unsigned long long kStride = 8 * kSpan / 16;
    return kSwizzle << 62 | kStride << 32 | static_cast<unsigned long long>(leading / 16) << 16 | address / 16;
  }
};

}  // namespace flashmask
