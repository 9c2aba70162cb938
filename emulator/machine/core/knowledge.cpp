#include "emulator/machine/core/knowledge.h"

#include <algorithm>
#include <bit>

namespace flashmask::emulator {

std::vector<Knowledge::Entry>::const_iterator Knowledge::first_from(const std::vector<Entry>& entries,
                                                                    std::uint64_t key) {
  return std::lower_bound(entries.begin(), entries.end(), key,
                          [](const Entry& entry, std::uint64_t wanted) { return entry.key < wanted; });
}

std::uint32_t Knowledge::find(const std::vector<Entry>& entries, std::uint64_t key) {
  const auto at = first_from(entries, key);
  return at != entries.end() && at->key == key ? at->clock : 0;
}

void Knowledge::raise_entry(std::vector<Entry>& entries, std::uint64_t key, std::uint32_t clock) {
  const auto at = std::lower_bound(entries.begin(), entries.end(), key,
                                   [](const Entry& entry, std::uint64_t wanted) { return entry.key < wanted; });
  if (at != entries.end() && at->key == key) {
    at->clock = std::max(at->clock, clock);
  } else {
    entries.insert(at, {key, clock});
  }
}

void Knowledge::merge_entries(std::vector<Entry>& entries, const std::vector<Entry>& others) {
  if (others.empty()) return;
  if (entries.empty()) {
    entries = others;
    return;
  }
  std::vector<Entry> merged;
  merged.reserve(entries.size() + others.size());
  auto a = entries.begin();
  auto b = others.begin();
  while (a != entries.end() || b != others.end()) {
    if (b == others.end() || (a != entries.end() && a->key < b->key)) {
      merged.push_back(*a++);
    } else if (a == entries.end() || b->key < a->key) {
      merged.push_back(*b++);
    } else {
      merged.push_back({a->key, std::max(a->clock, b->clock)});
      ++a;
      ++b;
    }
  }
  entries = std::move(merged);
}

std::uint32_t Knowledge::uncovered(Agent agent, std::uint32_t lanes, std::uint32_t clock) const {
  if (clock <= whole(agent)) return 0;
  // What is known of lanes of one agent lies side by side.
  auto at = first_from(lanes_, lane_key(agent, 0));
  for (; at != lanes_.end() && at->key >> 5 == agent; ++at)
    if (clock <= at->clock) lanes &= ~(1u << (at->key & 31));
  return lanes;
}

void Knowledge::raise(Agent agent, std::uint32_t clock) {
  const std::uint32_t at = agent - first_;
  if (at < home_.size()) {
    home_[at] = std::max(home_[at], clock);
  } else {
    raise_entry(foreign_, agent, clock);
  }
  std::erase_if(lanes_, [&](const Entry& entry) { return entry.key >> 5 == agent && entry.clock <= clock; });
}

void Knowledge::raise_lanes(Agent agent, std::uint32_t lanes, std::uint32_t clock) {
  if (clock <= whole(agent)) return;
  for (std::uint32_t left = lanes; left != 0; left &= left - 1) {
    raise_entry(lanes_, lane_key(agent, static_cast<std::uint32_t>(std::countr_zero(left))), clock);
  }
}

void Knowledge::merge(const Knowledge& other) {
  if (first_ == other.first_ && home_.size() == other.home_.size()) {
    for (std::size_t i = 0; i < home_.size(); ++i) home_[i] = std::max(home_[i], other.home_[i]);
    merge_entries(foreign_, other.foreign_);
  } else {
    for (std::size_t i = 0; i < other.home_.size(); ++i) {
      if (other.home_[i] != 0) raise(other.first_ + static_cast<Agent>(i), other.home_[i]);
    }
    for (const Entry& entry : other.foreign_) raise(static_cast<Agent>(entry.key), entry.clock);
  }
  if (lanes_.empty() && other.lanes_.empty()) return;
  merge_entries(lanes_, other.lanes_);
  std::erase_if(lanes_, [&](const Entry& entry) { return entry.clock <= whole(static_cast<Agent>(entry.key >> 5)); });
}

void Knowledge::clear() {
  std::fill(home_.begin(), home_.end(), 0);
  foreign_.clear();
  lanes_.clear();
}

}  // namespace flashmask::emulator
