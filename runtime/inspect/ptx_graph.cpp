#include "flashmask/ptx_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "emulator/ptx/module.h"
#include "runtime/inspect/flow_graph.h"
#include "runtime/inspect/ptx_blocks.h"

namespace flashmask {
namespace {

constexpr std::size_t kMostBlocks = 4096;
constexpr std::size_t kShownNames = 16;

emulator::ptx::Module parse(std::string_view ptx) {
  try {
    return emulator::ptx::parse_module(ptx);
  } catch (const emulator::ptx::ParseError& error) {
    throw Error(
        error.unsupported() ? ErrorCode::kUnsupported : ErrorCode::kInvalidArgument,
        fmt::format("PTX, line {}, column {}: {}", error.position().line, error.position().column, error.what()));
  }
}

std::string names_of(const std::vector<emulator::ptx::Kernel>& kernels) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kernels.size(), kShownNames); ++i) {
    text += (i == 0 ? "" : ", ") + kernels[i].name;
  }
  return kernels.size() > kShownNames ? fmt::format("{} and {} more", text, kernels.size() - kShownNames) : text;
}

const emulator::ptx::Kernel& choose(const std::vector<emulator::ptx::Kernel>& kernels, const std::string& entry) {
  if (kernels.empty()) throw Error(ErrorCode::kInvalidArgument, "the PTX has no entry");
  if (entry.empty()) {
    if (kernels.size() == 1) return kernels.front();
    throw Error(ErrorCode::kInvalidArgument, "the PTX has several entries: " + names_of(kernels),
                "name the one that is wanted");
  }
  const auto found = std::ranges::find(kernels, entry, &emulator::ptx::Kernel::name);
  if (found != kernels.end()) return *found;
  throw Error(ErrorCode::kNotFound, fmt::format("the PTX has no entry {}: it has {}", entry, names_of(kernels)));
}

FlowGraph flow_of(const std::vector<PtxBlock>& blocks) {
  FlowGraph flow(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (const PtxEdge& edge : blocks[i].successors) flow.connect(i, edge.target);
  }
  return flow;
}

/// The loops as a reader meets them: by header, each followed by those inside of it.
std::vector<std::size_t> reading_order(const std::vector<PtxLoop>& loops) {
  std::vector<std::size_t> by_header(loops.size()), order;
  std::iota(by_header.begin(), by_header.end(), std::size_t{0});
  std::ranges::sort(by_header, std::greater(), [&](std::size_t i) { return loops[i].header; });
  std::vector<std::vector<std::size_t>> inner(loops.size());
  std::vector<std::size_t> open;
  for (std::size_t i : by_header) (loops[i].parent ? inner[*loops[i].parent] : open).push_back(i);
  while (!open.empty()) {
    order.push_back(open.back());
    open.pop_back();
    open.insert(open.end(), inner[order.back()].begin(), inner[order.back()].end());
  }
  return order;
}

/// Fills the loops in, with what they are to the blocks. Of two loops that share a block one holds the other.
void find_loops(PtxGraph& graph, const FlowGraph& flow, const Dominators& dominators) {
  std::vector<PtxLoop> loops;
  for (LoopEnds& ends : loops_of(flow, dominators)) {
    const std::vector<bool> inside = inside_of(flow, dominators, ends);
    PtxLoop& loop = loops.emplace_back();
    loop.header = ends.header;
    loop.latches = std::move(ends.latches);
    for (std::size_t block = 0; block < inside.size(); ++block) {
      if (inside[block]) loop.blocks.push_back(block);
    }
    for (std::size_t latch : loop.latches) {
      for (PtxEdge& edge : graph.blocks[latch].successors) edge.back |= edge.target == loop.header;
    }
  }
  // From the largest to the smallest, so that the last one to claim a block is the innermost.
  std::ranges::stable_sort(loops, std::greater(), [](const PtxLoop& loop) { return loop.blocks.size(); });
  std::vector<std::optional<std::size_t>> innermost(graph.blocks.size());
  for (std::size_t i = 0; i < loops.size(); ++i) {
    loops[i].parent = innermost[loops[i].header];
    loops[i].depth = loops[i].parent ? loops[*loops[i].parent].depth + 1 : 1;
    for (std::size_t block : loops[i].blocks) innermost[block] = i;
  }
  const std::vector<std::size_t> order = reading_order(loops);
  std::vector<std::size_t> number(loops.size());
  for (std::size_t i = 0; i < order.size(); ++i) number[order[i]] = i;
  for (std::size_t i : order) {
    PtxLoop& loop = graph.loops.emplace_back(std::move(loops[i]));
    if (loop.parent) loop.parent = number[*loop.parent];
  }
  for (std::size_t i = 0; i < innermost.size(); ++i) {
    if (innermost[i]) graph.blocks[i].innermost_loop = number[*innermost[i]];
  }
}

/// Strongly connected parts of more than one block in what is reached, back edges left out: Tarjan's search, whose
/// calls are a list because the text may be hostile.
class Cycles {
 public:
  explicit Cycles(const std::vector<PtxBlock>& blocks)
      : blocks_(blocks), number_(blocks.size(), 0), lowest_(blocks.size(), 0), is_open_(blocks.size(), false) {}

  std::vector<std::vector<std::size_t>> find() {
    visit(0);
    std::ranges::sort(found_);
    return std::move(found_);
  }

 private:
  struct Step {
    std::size_t block, next;
  };

  void enter(std::size_t block) {
    number_[block] = lowest_[block] = ++numbers_;
    open_.push_back(block);
    is_open_[block] = true;
    way_.push_back({block, 0});
  }

  void visit(std::size_t root) {
    enter(root);
    while (!way_.empty()) {
      auto& [block, next] = way_.back();
      const std::vector<PtxEdge>& successors = blocks_[block].successors;
      if (next == successors.size()) {
        leave();
        continue;
      }
      const PtxEdge& edge = successors[next++];
      if (edge.back) continue;
      if (number_[edge.target] == 0) {
        enter(edge.target);
      } else if (is_open_[edge.target]) {
        lowest_[block] = std::min(lowest_[block], number_[edge.target]);
      }
    }
  }

  void leave() {
    const std::size_t block = way_.back().block;
    way_.pop_back();
    if (!way_.empty()) lowest_[way_.back().block] = std::min(lowest_[way_.back().block], lowest_[block]);
    if (lowest_[block] != number_[block]) return;
    std::vector<std::size_t> part;
    do {
      part.push_back(open_.back());
      is_open_[open_.back()] = false;
      open_.pop_back();
    } while (part.back() != block);
    if (part.size() == 1) return;
    std::ranges::sort(part);
    found_.push_back(std::move(part));
  }

  const std::vector<PtxBlock>& blocks_;
  std::vector<std::size_t> number_, lowest_;  ///< from 1; 0: not seen
  std::vector<bool> is_open_;
  std::vector<std::size_t> open_;
  std::vector<Step> way_;
  std::vector<std::vector<std::size_t>> found_;
  std::size_t numbers_ = 0;
};

void find_irreducible(PtxGraph& graph, const FlowGraph& flow) {
  for (std::vector<std::size_t>& blocks : Cycles(graph.blocks).find()) {
    PtxIrreducibleRegion& region = graph.irreducible.emplace_back();
    region.blocks = std::move(blocks);
    for (std::size_t block : region.blocks) {
      const bool from_outside =
          block == 0 || std::ranges::any_of(flow.predecessors(block), [&](std::size_t before) {
            return graph.blocks[before].reachable && !std::ranges::binary_search(region.blocks, before);
          });
      if (from_outside) region.entries.push_back(block);
    }
  }
}

}  // namespace

std::string_view to_string(PtxEdgeKind kind) {
  switch (kind) {
    case PtxEdgeKind::kFallthrough:
      return "fallthrough";
    case PtxEdgeKind::kTaken:
      return "taken";
    case PtxEdgeKind::kIndexed:
      return "indexed";
  }
  return "?";
}

PtxMix PtxGraph::mix() const {
  PtxMix sum;
  for (const PtxBlock& block : blocks) {
    for (std::size_t i = 0; i < kPtxClasses; ++i) sum[static_cast<PtxClass>(i)] += block.mix[static_cast<PtxClass>(i)];
  }
  return sum;
}

PtxGraph read_ptx_graph(std::string_view ptx, const std::string& entry) {
  const emulator::ptx::Module module = parse(ptx);
  const emulator::ptx::Kernel& kernel = choose(module.kernels, entry);
  PtxGraph graph;
  graph.entry = kernel.name;
  graph.target = module.target;
  graph.blocks = ptx_blocks(kernel, kMostBlocks);
  const FlowGraph flow = flow_of(graph.blocks);
  const Dominators dominators(flow, FlowRoots::kFirst);
  for (std::size_t i = 0; i < graph.blocks.size(); ++i) {
    graph.blocks[i].reachable = dominators.is_reached(i);
    if (dominators.parent(i) != Dominators::kNone) graph.blocks[i].dominator = dominators.parent(i);
  }
  find_loops(graph, flow, dominators);
  find_irreducible(graph, flow);
  return graph;
}

}  // namespace flashmask
