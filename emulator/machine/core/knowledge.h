#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace flashmask::emulator {

/// A line of time: a warp, or an mbarrier (whose time is its phases). Numbers are never reused within a launch; those
/// of one CTA follow each other, from its first.
using Agent = std::uint32_t;

/// How far somebody has seen the time of others: everything that `agent` did up to a clock, for all of its lanes or for
/// single ones. Only grows.
class Knowledge {
 public:
  Knowledge() = default;
  /// Of somebody at home in a CTA whose agents are `first` to `first + count - 1`: these are looked up at once.
  Knowledge(Agent first, std::uint32_t count) : first_(first), home_(count, 0) {}

  /// The clock up to which all lanes of `agent` are known.
  std::uint32_t whole(Agent agent) const {
    const std::uint32_t at = agent - first_;
    return at < home_.size() ? home_[at] : foreign(agent);
  }
  /// True when everything that `lanes` of `agent` did up to `clock` is known.
  bool covers(Agent agent, std::uint32_t lanes, std::uint32_t clock) const {
    return clock <= whole(agent) || uncovered(agent, lanes, clock) == 0;
  }
  /// The ones of `lanes` of which something up to `clock` is not known.
  std::uint32_t uncovered(Agent agent, std::uint32_t lanes, std::uint32_t clock) const;

  void raise(Agent agent, std::uint32_t clock);
  void raise_lanes(Agent agent, std::uint32_t lanes, std::uint32_t clock);
  void merge(const Knowledge& other);
  void clear();

  /// The clocks of the agents at home, for checks that cannot afford a call.
  const std::uint32_t* home() const { return home_.data(); }
  std::uint32_t home_size() const { return static_cast<std::uint32_t>(home_.size()); }
  Agent first() const { return first_; }

 private:
  struct Entry {
    std::uint64_t key;  ///< agent, or agent and lane
    std::uint32_t clock;
  };
  static std::uint64_t lane_key(Agent agent, std::uint32_t lane) { return std::uint64_t{agent} << 5 | lane; }
  static std::vector<Entry>::const_iterator first_from(const std::vector<Entry>& entries, std::uint64_t key);
  static std::uint32_t find(const std::vector<Entry>& entries, std::uint64_t key);
  static void raise_entry(std::vector<Entry>& entries, std::uint64_t key, std::uint32_t clock);
  static void merge_entries(std::vector<Entry>& entries, const std::vector<Entry>& others);
  std::uint32_t foreign(Agent agent) const { return find(foreign_, agent); }

  Agent first_ = 0;
  std::vector<std::uint32_t> home_;
  std::vector<Entry> foreign_;  ///< sorted by agent
  std::vector<Entry> lanes_;    ///< sorted by agent and lane
};

/// Where the bytes of an access are.
enum Memory : std::uint8_t { kSharedMemory, kGlobalMemory };
inline constexpr std::size_t kMemories = 2;

/// What is known, and which part of it had a fence between the generic and the asynchronous proxy on its way: of each
/// memory by itself.
struct Order {
  Knowledge known;
  std::array<Knowledge, kMemories> fenced;

  Order() = default;
  Order(Agent first, std::uint32_t count)
      : known(first, count), fenced{Knowledge(first, count), Knowledge(first, count)} {}
  void merge(const Order& other) {
    known.merge(other.known);
    for (std::size_t memory = 0; memory < kMemories; ++memory) fenced[memory].merge(other.fenced[memory]);
  }
  void clear() {
    known.clear();
    for (Knowledge& of_memory : fenced) of_memory.clear();
  }
};

}  // namespace flashmask::emulator
