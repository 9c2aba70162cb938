#pragma once

#include <cstddef>
#include <vector>

namespace flashmask {

/// Blocks by number, and where each leads to.
class FlowGraph {
 public:
  explicit FlowGraph(std::size_t blocks) : successors_(blocks), predecessors_(blocks) {}

  std::size_t size() const { return successors_.size(); }
  void connect(std::size_t from, std::size_t to) {
    successors_[from].push_back(to);
    predecessors_[to].push_back(from);
  }
  const std::vector<std::size_t>& successors(std::size_t block) const { return successors_[block]; }
  const std::vector<std::size_t>& predecessors(std::size_t block) const { return predecessors_[block]; }

 private:
  std::vector<std::vector<std::size_t>> successors_, predecessors_;
};

/// Where control may come in from outside.
enum class FlowRoots {
  kFirst,      ///< at block 0
  kUnreached,  ///< there, and at the first block that is not reached by then, and so on
};

/// Which blocks are on every way to which, and an order in which each stands behind those that lead to it but for
/// branches back. Borrows the graph.
class Dominators {
 public:
  static constexpr std::size_t kNone = ~std::size_t{0};

  Dominators(const FlowGraph& graph, FlowRoots roots);

  /// The blocks that are reached. Of two successors that nothing else orders, the later in FlowGraph stands first.
  const std::vector<std::size_t>& order() const { return order_; }
  bool is_reached(std::size_t block) const { return position_[block] != kNone; }
  /// The nearest other block on every way to `block`; kNone of a root, of what several roots lead to, and of what is
  /// not reached.
  std::size_t parent(std::size_t block) const { return parent_[block] == kOutside ? kNone : parent_[block]; }
  /// Both have to be reached; a block dominates itself.
  bool dominates(std::size_t above, std::size_t block) const;

 private:
  static constexpr std::size_t kOutside = kNone - 1;  ///< before every root

  void visit(std::size_t root);
  std::size_t meet(std::size_t a, std::size_t b) const;
  bool refine(std::size_t block);

  const FlowGraph& graph_;
  std::vector<bool> is_root_;
  std::vector<std::size_t> order_, position_, parent_;
};

/// A natural loop; several branches back to one header are one loop.
struct LoopEnds {
  std::size_t header = 0;
  std::vector<std::size_t> latches;  ///< ascending: what leads back to the header
};

/// The natural loops of what is reached, by header.
std::vector<LoopEnds> loops_of(const FlowGraph& graph, const Dominators& dominators);

/// By block, whether it lies in the loop; the header does.
std::vector<bool> inside_of(const FlowGraph& graph, const Dominators& dominators, const LoopEnds& loop);

}  // namespace flashmask
