#include "runtime/inspect/sass_loops.h"

#include <algorithm>
#include <functional>
#include <optional>

namespace flashmask::sass {
namespace {

/// Instructions from `begin` to `end`, entered at the first and left behind the last.
struct Block {
  std::size_t begin = 0, end = 0;
  std::vector<std::size_t> successors;  ///< of higher address first
  std::vector<std::size_t> predecessors;
};

/// The index of a branch's target; none where it is outside of the code.
std::optional<std::size_t> target_of(const Instruction& instruction, std::size_t size) {
  const auto address = static_cast<std::uint64_t>(instruction.value);
  if (address % kInstructionBytes != 0 || address / kInstructionBytes >= size) return std::nullopt;
  return static_cast<std::size_t>(address / kInstructionBytes);
}

std::vector<Block> blocks_of(std::span<const Instruction> code) {
  std::vector<bool> begins(code.size() + 1, false);
  begins[0] = begins[code.size()] = true;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i].flow == Flow::kNext) continue;
    begins[i + 1] = true;
    if (code[i].flow != Flow::kBranch) continue;
    if (const auto target = target_of(code[i], code.size())) begins[*target] = true;
  }
  std::vector<Block> blocks;
  std::vector<std::size_t> block_at(code.size());
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (begins[i]) blocks.push_back({.begin = i, .end = i, .successors = {}, .predecessors = {}});
    blocks.back().end = i + 1;
    block_at[i] = blocks.size() - 1;
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::vector<std::size_t>& next = blocks[i].successors;
    const Instruction& last = code[blocks[i].end - 1];
    if ((last.flow == Flow::kNext || last.conditional) && i + 1 < blocks.size()) next.push_back(i + 1);
    if (last.flow == Flow::kBranch) {
      if (const auto target = target_of(last, code.size())) next.push_back(block_at[*target]);
    }
    std::ranges::sort(next, std::greater());
    next.erase(std::ranges::unique(next).begin(), next.end());
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (std::size_t next : blocks[i].successors) blocks[next].predecessors.push_back(i);
  }
  return blocks;
}

/// Which blocks are on every way to which, and an order in which each stands behind those that lead to it.
class Dominators {
 public:
  explicit Dominators(const std::vector<Block>& blocks)
      : blocks_(blocks), is_root_(blocks.size()), position_(blocks.size(), kNone), parent_(blocks.size(), kNone) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (position_[i] == kNone) visit(i);
    }
    std::ranges::reverse(order_);
    for (std::size_t i = 0; i < order_.size(); ++i) position_[order_[i]] = i;
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t block : order_) changed |= refine(block);
    }
  }

  const std::vector<std::size_t>& order() const { return order_; }

  bool dominates(std::size_t above, std::size_t block) const {
    while (position_[block] > position_[above]) {
      if (parent_[block] == kEntry) return false;
      block = parent_[block];
    }
    return block == above;
  }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  static constexpr std::size_t kEntry = kNone - 1;  ///< before every block that nothing leads to

  /// Appends what is reached from `root`, the last first.
  void visit(std::size_t root) {
    struct Step {
      std::size_t block, next;
    };
    is_root_[root] = true;
    std::vector<Step> way = {{root, 0}};
    position_[root] = 0;
    while (!way.empty()) {
      auto& [block, next] = way.back();
      const std::vector<std::size_t>& successors = blocks_[block].successors;
      if (next == successors.size()) {
        order_.push_back(block);
        way.pop_back();
        continue;
      }
      const std::size_t successor = successors[next++];
      if (position_[successor] != kNone) continue;
      position_[successor] = 0;
      way.push_back({successor, 0});
    }
  }

  /// The nearest block on every way to both.
  std::size_t meet(std::size_t a, std::size_t b) const {
    while (a != b) {
      if (a == kEntry || b == kEntry) return kEntry;
      std::size_t& later = position_[a] > position_[b] ? a : b;
      later = parent_[later];
    }
    return a;
  }

  bool refine(std::size_t block) {
    std::size_t found = is_root_[block] ? kEntry : kNone;
    for (std::size_t before : blocks_[block].predecessors) {
      if (parent_[before] == kNone) continue;
      found = found == kNone ? before : meet(found, before);
    }
    if (found == parent_[block]) return false;
    parent_[block] = found;
    return true;
  }

  const std::vector<Block>& blocks_;
  std::vector<bool> is_root_;
  std::vector<std::size_t> order_, position_, parent_;
};

/// Marks the loop of the branches back from `latches` to `header`.
std::vector<bool> body_of(const std::vector<Block>& blocks, std::size_t header,
                          const std::vector<std::size_t>& latches) {
  std::vector<bool> inside(blocks.size(), false);
  inside[header] = true;
  std::vector<std::size_t> open = latches;
  while (!open.empty()) {
    const std::size_t block = open.back();
    open.pop_back();
    if (inside[block]) continue;
    inside[block] = true;
    open.insert(open.end(), blocks[block].predecessors.begin(), blocks[block].predecessors.end());
  }
  return inside;
}

}  // namespace

std::vector<NaturalLoop> natural_loops(std::span<const Instruction> code) {
  if (code.empty()) return {};
  const std::vector<Block> blocks = blocks_of(code);
  const Dominators dominators(blocks);
  std::vector<NaturalLoop> loops;
  for (std::size_t header = 0; header < blocks.size(); ++header) {
    std::vector<std::size_t> latches;
    for (std::size_t before : blocks[header].predecessors) {
      if (dominators.dominates(header, before)) latches.push_back(before);
    }
    if (latches.empty()) continue;
    NaturalLoop loop{.header = blocks[header].begin, .end = 0, .instructions = {}};
    for (std::size_t latch : latches) loop.end = std::max(loop.end, blocks[latch].end);
    const std::vector<bool> inside = body_of(blocks, header, latches);
    for (std::size_t block : dominators.order()) {
      if (!inside[block]) continue;
      for (std::size_t i = blocks[block].begin; i < blocks[block].end; ++i) loop.instructions.push_back(i);
    }
    loops.push_back(std::move(loop));
  }
  return loops;
}

}  // namespace flashmask::sass
