#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/export.h"

namespace flashmask {

/// The instructions by which one judges in what order ptxas left products, waits and softmax. In brackets how SASS
/// writes them.
enum class SassKind {
  kProductShared,     ///< wgmma with A in shared memory (HGMMA, IGMMA, QGMMA, BGMMA)
  kProductRegisters,  ///< wgmma with A in registers
  kProductWarp,       ///< mma.sync of floats (HMMA)
  kArrive,            ///< the fence before wgmma (WARPGROUP.ARRIVE)
  kWait,              ///< wgmma.wait_group (WARPGROUP.DEPBAR); value: how many groups may still run behind it
  kMbarrierTry,       ///< SYNCS.PHASECHK.TRYWAIT
  kMbarrierTest,      ///< SYNCS.PHASECHK
  kMbarrierArrive,    ///< an arrival, or bytes that are expected (SYNCS.ARRIVE, ARRIVES)
  kBarrierSync,       ///< of a CTA, also named: BAR.SYNC
  kBarrierArrive,     ///< BAR.ARV
  kBarrierReduce,     ///< BAR.RED
  kExponential,       ///< MUFU.EX2
  kSpecialFunction,   ///< every other MUFU
  kMaximum,           ///< FMNMX
  kAdd,               ///< FADD
  kMultiply,          ///< FMUL
  kMultiplyAdd,       ///< FFMA
  kConvert,           ///< F2FP
  kHalfAdd,           ///< HADD2
  kHalfCompare,       ///< HSETP2
  kPredicates,        ///< bits of a register to predicates (R2P)
  kSelect,            ///< FSEL
  kLocalLoad,         ///< LDL
  kLocalStore,        ///< STL
  kSharedLoad,        ///< LDS
  kSharedStore,       ///< STS
  kMatrixLoad,        ///< ldmatrix (LDSM)
  kMatrixStore,       ///< stmatrix (STSM)
  kTensorLoad,        ///< UTMALDG
  kTensorStore,       ///< UTMASTG
  kTensorReduce,      ///< UTMAREDG
  kBulkCopy,          ///< UBLKCP
  kBulkReduce,        ///< UBLKRED
  kRegisterLimit,     ///< setmaxnreg (USETMAXREG); value: registers per thread, -1 where a register has the number
  kBranch,            ///< BRA; value: the address of its target
  kExit,              ///< EXIT
};
/// How order_text() writes it: "G" and "R" for wgmma, "M" for mma.sync, "A", "WAIT", "max", "exp", "LDL", …
FLASHMASK_API std::string_view to_string(SassKind kind);

/// One such instruction. Addresses are bytes from the beginning of the entry's code, as nvdisasm prints them.
struct SassOperation {
  SassKind kind = SassKind::kExit;
  std::uint64_t address = 0;
  std::int64_t value = 0;  ///< of a wait, a limit or a branch
  friend bool operator==(const SassOperation&, const SassOperation&) = default;
};

/// Operations of one kind in a row.
struct SassRun {
  SassKind kind = SassKind::kExit;
  std::uint64_t address = 0;  ///< of the first
  std::int64_t value = 0;
  int count = 0;
  friend bool operator==(const SassRun&, const SassRun&) = default;
};
/// Waits stand alone, branches and exits are left out.
FLASHMASK_API std::vector<SassRun> runs_of(std::span<const SassOperation> operations);
/// The same as one line, such as "A G8 | A R8 | WAIT<=1 | max64 | exp66 | WAIT<=0 | (cvt mul2)x16". A count of 1 is
/// left out; what is repeated between two products, waits or barriers is written once.
FLASHMASK_API std::string order_text(std::span<const SassOperation> operations);

/// A wait for wgmma in a loop.
struct SassWait {
  std::uint64_t address = 0;
  int pending = 0;       ///< how many groups may still run behind it
  int exponentials = 0;  ///< between it and the next wait, or the end of the loop
};

/// A loop that multiplies, and has no loop inside that does.
struct SassLoop {
  std::uint64_t begin = 0;  ///< where the loop is entered
  std::uint64_t end = 0;    ///< behind the last branch back to there
  /// Everything that a pass through the loop may execute, in that order: what ptxas moved elsewhere (as it does with
  /// the second and further tries of a wait) stands where it is executed, the two ways of a branch one behind the
  /// other.
  std::vector<SassOperation> operations;
  int products_shared = 0;
  int products_registers = 0;
  int products_warp = 0;
  std::vector<SassWait> waits;
  bool local_memory_between_products = false;  ///< a load or a store between the first product and the last
};

struct SassOrder {
  std::string entry;
  std::vector<SassOperation> operations;  ///< of the whole entry, by address
  std::vector<SassLoop> loops;            ///< by where they begin; functions that the entry calls are not followed
};

/// Reads the order of `entry` from a cubin for sm_90 or sm_90a, without a disassembler. The bytes may be hostile.
/// Throws Error: kInvalidArgument for bytes that are no cubin, kUnsupported for another target, whose instructions are
/// encoded otherwise, kNotFound with the entries that are there. Thread-safe.
FLASHMASK_API SassOrder read_sass_order(std::span<const std::byte> cubin, const std::string& entry);

}  // namespace flashmask
