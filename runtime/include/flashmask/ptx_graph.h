#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/export.h"

namespace flashmask {

/// What an instruction of PTX is for; every one is of one class.
enum class PtxClass {
  kMatrixProduct,    ///< mma, wgmma.mma_async, wmma.mma
  kAsyncCopy,        ///< cp.async, bulk and tensor copies, st.async, red.async
  kSharedMemory,     ///< loads, stores and atomics of shared memory, ldmatrix, stmatrix
  kGlobalMemory,     ///< those of global memory and of generic addresses, prefetches
  kOtherMemory,      ///< those of local memory, parameters and constants
  kBarrier,          ///< bar, mbarrier, fences, and the groups of copies and products: fence, commit, wait
  kConversion,       ///< cvt
  kSpecialFunction,  ///< ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh
  kFloat,            ///< arithmetic of any floating type
  kInteger,          ///< arithmetic of integers, logic of bits
  kPredicate,        ///< setp, set, selp, slct, logic of predicates
  kExchange,         ///< between the lanes of a warp: shfl, vote, match, redux
  kMove,             ///< mov, cvta
  kBranch,           ///< bra, brx, ret, exit, trap
  kOther,
};
inline constexpr std::size_t kPtxClasses = static_cast<std::size_t>(PtxClass::kOther) + 1;

/// "matrix product", "async copy", …
FLASHMASK_API std::string_view to_string(PtxClass ptx_class);

/// How many instructions of each class.
class PtxMix {
 public:
  std::uint32_t& operator[](PtxClass ptx_class) { return counts_[static_cast<std::size_t>(ptx_class)]; }
  std::uint32_t operator[](PtxClass ptx_class) const { return counts_[static_cast<std::size_t>(ptx_class)]; }
  friend bool operator==(const PtxMix&, const PtxMix&) = default;

 private:
  std::array<std::uint32_t, kPtxClasses> counts_{};
};

enum class PtxEdgeKind {
  kFallthrough,  ///< to the next block of the text
  kTaken,        ///< by bra
  kIndexed,      ///< by brx.idx; several entries of its list that are equal are one edge
};
/// "fallthrough", "taken", "indexed".
FLASHMASK_API std::string_view to_string(PtxEdgeKind kind);

struct PtxEdge {
  std::size_t target = 0;  ///< of PtxGraph::blocks
  PtxEdgeKind kind = PtxEdgeKind::kFallthrough;
  bool back = false;  ///< to the header of a loop from inside of it
  friend bool operator==(const PtxEdge&, const PtxEdge&) = default;
};

/// How many of the threads that run a block end there.
enum class PtxExit {
  kNone,
  kSome,  ///< a guarded ret, exit or trap
  kAll,   ///< an unguarded one, or the end of the text
};

/// Instructions that are entered at the first and left behind the last.
struct PtxBlock {
  std::string label;             ///< the first that stands before it; may be empty
  std::uint32_t first_line = 0;  ///< of the text, from 1, where its first instruction begins
  std::uint32_t last_line = 0;
  std::uint32_t instructions = 0;  ///< 0 only of the block behind the last instruction, where something leads to it
  PtxMix mix;
  std::string terminator;           ///< what ends it, such as "@!%p3 bra.uni"; empty where the next block just begins
  std::vector<PtxEdge> successors;  ///< a branch before the fallthrough
  PtxExit exit = PtxExit::kNone;
  bool reachable = true;                      ///< from the entry
  std::optional<std::size_t> dominator;       ///< the nearest block on every way here; none of the entry
  std::optional<std::size_t> innermost_loop;  ///< of PtxGraph::loops; none outside of loops and where unreachable
};

/// A natural loop: every way into it goes through its header. Several branches back to one header are one loop.
struct PtxLoop {
  std::size_t header = 0;
  std::vector<std::size_t> blocks;    ///< ascending, those of the loops inside included
  std::vector<std::size_t> latches;   ///< ascending: what branches back
  std::optional<std::size_t> parent;  ///< the loop around it, which stands before it
  int depth = 1;                      ///< 1: in no other loop
};

/// A cycle that is no natural loop: it is entered at several blocks.
struct PtxIrreducibleRegion {
  std::vector<std::size_t> blocks;   ///< ascending
  std::vector<std::size_t> entries;  ///< ascending: what is entered from outside
};

/// The control flow of one entry. Block 0 is where it begins; blocks stand as in the text.
struct PtxGraph {
  std::string entry;
  std::string target;  ///< "sm_90a"
  std::vector<PtxBlock> blocks;
  std::vector<PtxLoop> loops;  ///< by header, each followed by those inside of it
  /// What cycles are left when back edges are taken away.
  std::vector<PtxIrreducibleRegion> irreducible;

  /// How many loops a block is in.
  int depth(std::size_t block) const {
    return blocks[block].innermost_loop ? loops[*blocks[block].innermost_loop].depth : 0;
  }
  FLASHMASK_API PtxMix mix() const;  ///< of all blocks
};

/// Reads the control flow of `entry` from PTX; an empty name means the only one there is. Unreachable blocks are kept
/// and marked, `brx.idx` leads to all of its list, a call is refused. The text may be hostile. Throws Error:
/// kInvalidArgument for text that is not PTX, with line and column; kUnsupported for what the parser does not know and
/// for more than 4096 blocks; kNotFound with the entries that are there. Pure and thread-safe.
FLASHMASK_API PtxGraph read_ptx_graph(std::string_view ptx, const std::string& entry = "");

}  // namespace flashmask
