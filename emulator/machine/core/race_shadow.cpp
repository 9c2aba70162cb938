#include "emulator/machine/core/race_shadow.h"

#include <algorithm>

namespace flashmask::emulator {
template <class T>
RaceShadow::Link RaceShadow::Pool<T>::take() {
  if (!free_.empty()) {
    const Link link = free_.back();
    free_.pop_back();
    (*this)[link] = T{};
    return link;
  }
  if (used_ / kBlock == blocks_.size()) blocks_.push_back(std::make_unique<T[]>(kBlock));
  (*this)[used_] = T{};
  return used_++;
}

template <class T>
void RaceShadow::Pool<T>::clear() {
  free_.clear();
  used_ = 1;
}

RaceShadow::RaceShadow(std::uint64_t bytes, std::uint32_t most_readers)
    : cells_((bytes + kGranule - 1) / kGranule), most_readers_(most_readers) {}

void RaceShadow::clear() {
  std::fill(cells_.begin(), cells_.end(), Cell{});
  nodes_.clear();
  parts_.clear();
}

template <class Visit>
bool RaceShadow::visit_range(Cell& cell, std::uint32_t unit, std::uint32_t from, std::uint32_t to, Visit& visit) {
  if (from == 0 && to == unit && cell.parts == 0) return visit(cell);
  if (cell.parts == 0) split(cell);
  const std::uint32_t part = unit / 4;
  Parts& parts = parts_[cell.parts];
  for (std::uint32_t i = from / part; i * part < to; ++i) {
    const std::uint32_t start = i * part;
    const std::uint32_t begin = std::max(from, start) - start;
    const std::uint32_t end = std::min(to, start + part) - start;
    if (part == 1 ? !visit(parts[i]) : !visit_range(parts[i], part, begin, end, visit)) return false;
  }
  return true;
}

/// Visits the cells that make up the bytes exactly, until one returns false.
template <class Visit>
bool RaceShadow::each_cell(std::uint64_t offset, std::uint64_t bytes, Visit visit) {
  const std::uint64_t end = offset + bytes;
  for (std::uint64_t at = offset; at < end;) {
    const std::uint64_t granule = at / kGranule;
    const auto from = static_cast<std::uint32_t>(at % kGranule);
    const auto to = static_cast<std::uint32_t>(std::min<std::uint64_t>(kGranule, end - granule * kGranule));
    if (!visit_range(cells_[granule], kGranule, from, to, visit)) return false;
    at = (granule + 1) * kGranule;
  }
  return true;
}

void RaceShadow::split(Cell& cell) {
  const Link link = parts_.take();
  for (Cell& part : parts_[link]) {
    part.write = cell.write;
    part.later = cell.later;
    Link* tail = &part.more;
    for (Link from = cell.more; from != 0; from = nodes_[from].next) {
      *tail = nodes_.take();
      nodes_[*tail].record = nodes_[from].record;
      tail = &nodes_[*tail].next;
    }
  }
  forget_later(cell);
  cell.write = {};
  cell.parts = link;
}

void RaceShadow::forget_later(Cell& cell) {
  for (Link link = cell.more; link != 0;) {
    const Link next = nodes_[link].next;
    nodes_.give_back(link);
    link = next;
  }
  cell.more = 0;
  cell.later = {};
}

void RaceShadow::drop_parts(Cell& cell) {
  if (cell.parts == 0) return;
  for (Cell& part : parts_[cell.parts]) {
    drop_parts(part);
    forget_later(part);
  }
  parts_.give_back(cell.parts);
  cell.parts = 0;
}

bool RaceShadow::check_cell(Cell& cell, const Accessor& by, Conflict& conflict) {
  const auto fine = [&](const AccessRecord& earlier) {
    if (ordered(earlier, by, conflict.only_the_fence_is_missing)) return true;
    conflict.earlier = earlier;
    return false;
  };
  if (cell.write.exists() && !fine(cell.write)) return false;
  if (!cell.later.exists()) return true;
  // What reads needs an order only with writes: among the later ones, atomics.
  const bool writes = by.record.writes();
  const auto matters = [&](const AccessRecord& earlier) { return writes || earlier.writes(); };
  if (matters(cell.later) && !fine(cell.later)) return false;
  for (Link link = cell.more; link != 0; link = nodes_[link].next) {
    const AccessRecord& earlier = nodes_[link].record;
    if (matters(earlier) && !fine(earlier)) return false;
  }
  return true;
}

void RaceShadow::remember(Cell& cell, const Accessor& by) {
  const bool strong = (by.record.where & kStrong) != 0;
  // An atomic that others of its kind did not wait for stands beside them.
  if (by.record.writes() && !strong) {
    AccessRecord& write = cell.write;
    // Lanes of one instruction that write the same bytes: one of them wins, and all of them did it.
    const bool together =
        write.agent == by.record.agent && write.clock == by.record.clock && write.where == by.record.where;
    const std::uint32_t lanes = together ? write.lanes : 0;
    write = by.record;
    write.lanes |= lanes;
    if (cell.later.exists()) forget_later(cell);
    return;
  }
  remember_later(cell, by);
}

void RaceShadow::remember_later(Cell& cell, const Accessor& by) {
  const AccessRecord& mine = by.record;
  // A place to stand: my own earlier record, or one that I know of, since who is after me is after it.
  const auto takes_the_place_of = [&](AccessRecord& earlier) {
    if (earlier.agent == mine.agent && earlier.clock == mine.clock && earlier.where == mine.where) {
      earlier.lanes |= mine.lanes;
      return true;
    }
    const bool own = earlier.agent == mine.agent && (earlier.lanes & ~mine.lanes) == 0 &&
                     (mine.where & ~earlier.where & kCollective) == 0;
    // What conflicts with more than mine does must stay: a write, a constant read, an access that is not strong.
    const bool stricter = (earlier.where & ~mine.where & (kWrites | kConstantRead)) != 0 ||
                          (mine.where & ~earlier.where & kStrong) != 0 ||
                          (mine.where & kScopeBits) > (earlier.where & kScopeBits);
    if (stricter || (!own && !ordered_quickly(earlier, by))) return false;
    earlier = mine;
    return true;
  };
  if (!cell.later.exists()) {
    cell.later = mine;
    return;
  }
  if (takes_the_place_of(cell.later)) return;
  std::uint32_t readers = 1;
  for (Link link = cell.more; link != 0; link = nodes_[link].next) {
    if (takes_the_place_of(nodes_[link].record)) return;
    ++readers;
  }
  if (most_readers_ != 0 && readers >= most_readers_) {
    // The last of the list makes room at its front.
    Link* tail = &cell.more;
    while (nodes_[*tail].next != 0) tail = &nodes_[*tail].next;
    const Link oldest = *tail;
    *tail = 0;
    nodes_[oldest] = {mine, cell.more};
    cell.more = oldest;
    return;
  }
  const Link link = nodes_.take();
  nodes_[link] = {mine, cell.more};
  cell.more = link;
}

bool RaceShadow::access(std::uint64_t offset, std::uint64_t bytes, const Accessor& by, Conflict& conflict) {
  const bool replaces = by.record.writes() && (by.record.where & kStrong) == 0;
  if (replaces && offset % kGranule == 0 && bytes % kGranule == 0) {
    for (std::uint64_t granule = offset / kGranule; granule < (offset + bytes) / kGranule; ++granule) {
      Cell& cell = cells_[granule];
      auto visit = [&](Cell& part) { return check_cell(part, by, conflict); };
      if (!visit_range(cell, kGranule, 0, kGranule, visit)) return false;
      drop_parts(cell);  // written as a whole, it is one cell again
      remember(cell, by);
    }
    return true;
  }
  return each_cell(offset, bytes, [&](Cell& cell) {
    if (!check_cell(cell, by, conflict)) return false;
    remember(cell, by);
    return true;
  });
}

bool RaceShadow::check(std::uint64_t offset, std::uint64_t bytes, const Accessor& by, Conflict& conflict) {
  return each_cell(offset, bytes, [&](Cell& cell) { return check_cell(cell, by, conflict); });
}

void RaceShadow::keep(std::uint64_t offset, std::uint64_t bytes, const Accessor& by) {
  each_cell(offset, bytes, [&](Cell& cell) {
    remember(cell, by);
    return true;
  });
}

void RaceShadow::set_written(std::uint64_t offset, std::uint64_t bytes, const AccessRecord& record) {
  if (offset % kGranule == 0 && bytes % kGranule == 0) {
    for (std::uint64_t granule = offset / kGranule; granule < (offset + bytes) / kGranule; ++granule) {
      Cell& cell = cells_[granule];
      drop_parts(cell);
      if (cell.later.exists()) forget_later(cell);
      cell.write = record;
    }
    return;
  }
  each_cell(offset, bytes, [&](Cell& cell) {
    forget_later(cell);
    cell.write = record;
    return true;
  });
}

}  // namespace flashmask::emulator
