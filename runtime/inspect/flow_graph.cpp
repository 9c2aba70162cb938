#include "runtime/inspect/flow_graph.h"

#include <algorithm>

namespace flashmask {

Dominators::Dominators(const FlowGraph& graph, FlowRoots roots)
    : graph_(graph), is_root_(graph.size()), position_(graph.size(), kNone), parent_(graph.size(), kNone) {
  for (std::size_t i = 0; i < graph.size(); ++i) {
    if (position_[i] == kNone && (i == 0 || roots == FlowRoots::kUnreached)) visit(i);
  }
  std::ranges::reverse(order_);
  for (std::size_t i = 0; i < order_.size(); ++i) position_[order_[i]] = i;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t block : order_) changed |= refine(block);
  }
}

bool Dominators::dominates(std::size_t above, std::size_t block) const {
  while (position_[block] > position_[above]) {
    if (parent_[block] == kOutside) return false;
    block = parent_[block];
  }
  return block == above;
}

/// Appends what is reached from `root`, the last first.
void Dominators::visit(std::size_t root) {
  struct Step {
    std::size_t block, next;
  };
  is_root_[root] = true;
  std::vector<Step> way = {{root, 0}};
  position_[root] = 0;
  while (!way.empty()) {
    auto& [block, next] = way.back();
    const std::vector<std::size_t>& successors = graph_.successors(block);
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
std::size_t Dominators::meet(std::size_t a, std::size_t b) const {
  while (a != b) {
    if (a == kOutside || b == kOutside) return kOutside;
    std::size_t& later = position_[a] > position_[b] ? a : b;
    later = parent_[later];
  }
  return a;
}

bool Dominators::refine(std::size_t block) {
  std::size_t found = is_root_[block] ? kOutside : kNone;
  for (std::size_t before : graph_.predecessors(block)) {
    if (parent_[before] == kNone) continue;
    found = found == kNone ? before : meet(found, before);
  }
  if (found == parent_[block]) return false;
  parent_[block] = found;
  return true;
}

std::vector<LoopEnds> loops_of(const FlowGraph& graph, const Dominators& dominators) {
  std::vector<LoopEnds> loops;
  for (std::size_t header = 0; header < graph.size(); ++header) {
    if (!dominators.is_reached(header)) continue;
    LoopEnds loop{.header = header, .latches = {}};
    for (std::size_t before : graph.predecessors(header)) {
      if (dominators.is_reached(before) && dominators.dominates(header, before)) loop.latches.push_back(before);
    }
    if (loop.latches.empty()) continue;
    std::ranges::sort(loop.latches);
    loop.latches.erase(std::ranges::unique(loop.latches).begin(), loop.latches.end());
    loops.push_back(std::move(loop));
  }
  return loops;
}

std::vector<bool> inside_of(const FlowGraph& graph, const Dominators& dominators, const LoopEnds& loop) {
  std::vector<bool> inside(graph.size(), false);
  inside[loop.header] = true;
  std::vector<std::size_t> open = loop.latches;
  while (!open.empty()) {
    const std::size_t block = open.back();
    open.pop_back();
    if (inside[block] || !dominators.is_reached(block)) continue;
    inside[block] = true;
    open.insert(open.end(), graph.predecessors(block).begin(), graph.predecessors(block).end());
  }
  return inside;
}

}  // namespace flashmask
