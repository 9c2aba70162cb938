#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "emulator/machine/core/knowledge.h"

namespace flashmask::emulator {

struct Warp;

/// How an access takes part in the order of memory.
enum AccessFlag : std::uint32_t {
  kWrites = 1,        ///< it changes the bytes
  kAsynchronous = 2,  ///< through the asynchronous proxy
  kStrong = 4,        ///< atomic, volatile or relaxed: does not race with its like
  kScopeShift = 3,    ///< two bits: 0 CTA, 1 cluster, 2 GPU and system
  kScopeBits = 3u << kScopeShift,
  kFencesReads = 64,   ///< an asynchronous write that asks for a proxy fence after generic reads too
  kConstantRead = 32,  ///< ld.global.nc: nobody may write the bytes during the launch
  kCollective = 128,   ///< of a whole warp at once: who is after one of its lanes is after it
  kFlagBits = 8,
};

/// An access to some bytes, as later ones compare themselves with it. 16 bytes, because there are many.
struct AccessRecord {
  Agent agent = 0;
  std::uint32_t clock = 0;  ///< of the agent; 0: no access
  std::uint32_t lanes = 0;  ///< that did it
  std::uint32_t where = 0;  ///< AccessFlag bits, above them the index of the operation

  std::uint32_t operation() const { return where >> kFlagBits; }
  bool writes() const { return (where & kWrites) != 0; }
  bool exists() const { return clock != 0; }
};

/// Who accesses, with what it knows.
struct Accessor {
  const Warp* warp = nullptr;
  AccessRecord record;  ///< what the shadow will remember
  Memory memory = kSharedMemory;
  /// The clocks of the home agents up to which every lane of the warp knows all lanes.
  const std::uint32_t* home = nullptr;
  Agent first = 0;
  std::uint32_t home_size = 0;
  /// A generic access is ordered by what is known; an asynchronous one needs a proxy fence after generic writes.
  const std::uint32_t* fenced_home = nullptr;
};

/// Why an access is wrong: the earlier one, and what is missing between the two.
struct Conflict {
  AccessRecord earlier;
  bool only_the_fence_is_missing = false;
};

/// Remembers, for the bytes of one memory, the last write and what came after it: reads, and atomics that did not wait
/// for each other. A granule of 16 bytes is one cell until parts of it are accessed apart; then it is four words, and a
/// word four bytes, so that no byte is ever blamed for its neighbour.
class RaceShadow {
 public:
  static constexpr std::uint32_t kGranule = 16;

  RaceShadow() = default;
  /// `most_readers` bounds what is kept of a cell, 2 at least; the oldest but the first goes first. 0: all.
  explicit RaceShadow(std::uint64_t bytes, std::uint32_t most_readers = 0);

  /// Checks the access against earlier ones and remembers it. True when they are ordered; else `conflict` says why not.
  bool access(std::uint64_t offset, std::uint64_t bytes, const Accessor& by, Conflict& conflict);
  /// Checks without remembering.
  bool check(std::uint64_t offset, std::uint64_t bytes, const Accessor& by, Conflict& conflict);
  /// Remembers without checking.
  void keep(std::uint64_t offset, std::uint64_t bytes, const Accessor& by);
  /// Remembers a write whose bytes nobody could touch since it was checked.
  void set_written(std::uint64_t offset, std::uint64_t bytes, const AccessRecord& record);
  /// Forgets everything.
  void clear();
  /// Shows `visit` every access that is remembered, with the offset of its bytes.
  template <class Visit>
  void each_access(Visit visit) {
    for (std::size_t i = 0; i < cells_.size(); ++i) visit_accesses(cells_[i], i * kGranule, kGranule, visit);
  }

 private:
  using Link = std::uint32_t;
  struct Cell {
    AccessRecord write;
    AccessRecord later;  ///< the first of those after the write
    Link more = 0;       ///< the others
    Link parts = 0;      ///< four cells in place of this one
  };
  struct Node {
    AccessRecord record;
    Link next = 0;
  };
  /// Room for links without moving what they lead to. Link 0 is none.
  template <class T>
  class Pool {
   public:
    T& operator[](Link link) { return blocks_[link / kBlock][link % kBlock]; }
    Link take();
    void give_back(Link link) { free_.push_back(link); }
    void clear();

   private:
    static constexpr Link kBlock = 1024;
    std::vector<std::unique_ptr<T[]>> blocks_;
    std::vector<Link> free_;
    Link used_ = 1;
  };
  using Parts = std::array<Cell, 4>;

  template <class Visit>
  bool each_cell(std::uint64_t offset, std::uint64_t bytes, Visit visit);
  template <class Visit>
  bool visit_range(Cell& cell, std::uint32_t unit, std::uint32_t from, std::uint32_t to, Visit& visit);
  template <class Visit>
  void visit_accesses(Cell& cell, std::uint64_t offset, std::uint32_t unit, Visit& visit) {
    if (cell.parts != 0) {
      for (Cell& part : parts_[cell.parts]) {
        visit_accesses(part, offset, unit / 4, visit);
        offset += unit / 4;
      }
      return;
    }
    if (cell.write.exists()) visit(offset, cell.write);
    if (cell.later.exists()) visit(offset, cell.later);
    for (Link link = cell.more; link != 0; link = nodes_[link].next) visit(offset, nodes_[link].record);
  }
  void split(Cell& cell);
  void forget_later(Cell& cell);
  void drop_parts(Cell& cell);
  bool check_cell(Cell& cell, const Accessor& by, Conflict& conflict);
  void remember(Cell& cell, const Accessor& by);
  void remember_later(Cell& cell, const Accessor& by);

  std::vector<Cell> cells_;
  Pool<Node> nodes_;
  Pool<Parts> parts_;
  std::uint32_t most_readers_ = 0;
};

/// An asynchronous access after a generic write, between which a proxy fence must stand.
inline bool crosses_proxies(const AccessRecord& earlier, const AccessRecord& later) {
  if ((later.where & kAsynchronous) == 0 || (earlier.where & kAsynchronous) != 0) return false;
  return earlier.writes() || (later.where & kFencesReads) != 0;
}
/// Whether the clocks of the home agents show that `by` is after `earlier`. False: it must be looked at more closely.
inline bool ordered_quickly(const AccessRecord& earlier, const Accessor& by) {
  const std::uint32_t at = earlier.agent - by.first;
  if (at >= by.home_size || earlier.clock > by.home[at]) return false;
  if (crosses_proxies(earlier, by.record) && earlier.clock > by.fenced_home[at]) return false;
  return ((earlier.where | by.record.where) & (kConstantRead | kWrites)) != (kConstantRead | kWrites);
}
/// The whole question: `earlier` and `by` need no order, or have it.
bool ordered_slowly(const AccessRecord& earlier, const Accessor& by, bool& fence_missing);
/// True when `earlier` and `by` need no order, or have it. `fence_missing` is set when all that is missing is the fence
/// between the proxies.
inline bool ordered(const AccessRecord& earlier, const Accessor& by, bool& fence_missing) {
  return ordered_quickly(earlier, by) || ordered_slowly(earlier, by, fence_missing);
}

}  // namespace flashmask::emulator
