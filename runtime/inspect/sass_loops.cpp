#include "runtime/inspect/sass_loops.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "runtime/inspect/flow_graph.h"

namespace flashmask::sass {
namespace {

/// Instructions from `begin` to `end`, entered at the first and left behind the last.
struct Block {
  std::size_t begin = 0, end = 0;
  std::vector<std::size_t> successors;  ///< of higher address first
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
    if (begins[i]) blocks.push_back({.begin = i, .end = i, .successors = {}});
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
  return blocks;
}

}  // namespace

std::vector<NaturalLoop> natural_loops(std::span<const Instruction> code) {
  if (code.empty()) return {};
  const std::vector<Block> blocks = blocks_of(code);
  FlowGraph graph(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (std::size_t next : blocks[i].successors) graph.connect(i, next);
  }
  const Dominators dominators(graph, FlowRoots::kUnreached);
  std::vector<NaturalLoop> loops;
  for (const LoopEnds& found : loops_of(graph, dominators)) {
    NaturalLoop loop{.header = blocks[found.header].begin, .end = 0, .instructions = {}};
    for (std::size_t latch : found.latches) loop.end = std::max(loop.end, blocks[latch].end);
    const std::vector<bool> inside = inside_of(graph, dominators, found);
    for (std::size_t block : dominators.order()) {
      if (!inside[block]) continue;
      for (std::size_t i = blocks[block].begin; i < blocks[block].end; ++i) loop.instructions.push_back(i);
    }
    loops.push_back(std::move(loop));
  }
  return loops;
}

}  // namespace flashmask::sass
