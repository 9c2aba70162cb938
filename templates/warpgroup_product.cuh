#pragma once

// The products of a warpgroup, as the generator writes them at the head of a kernel text for the widths which the
// kernel needs: an instruction with that many registers as operands is no template. Here are declarations for editors
// and compilers; this never enters a generated text itself.

namespace flashmask {

/// How an operand in shared memory lies: along K (its rows are those of A, or the columns of B), or along M or N.
enum class Major { kK, kMn };

/// c (64 x kColumns) = a (64 x 16) * b (16 x kColumns), or += where kAccumulates. `Tile`: AccumulatorTile<1, kColumns /
/// 8>; warp w of the group holds rows 16 w to 16 w + 15.
template <int kColumns>
struct WarpgroupProduct {
  /// `a` and `b`: bits of matrix descriptors.
  template <Major kMajorOfA, Major kMajorOfB, bool kAccumulates, class Tile>
  static __device__ void from_shared(Tile& c, unsigned long long a, unsigned long long b);
  /// `a`: OperandA, rows and columns as of a warp's accumulators.
  template <Major kMajorOfB, class Tile, class Operand>
  static __device__ void from_registers(Tile& c, const Operand& a, unsigned long long b);
};

}  // namespace flashmask
