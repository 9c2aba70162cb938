#include "tools/draw/graph_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace flashmask::draw {
namespace {

constexpr std::size_t kShownBlocks = 8;

std::string counted(std::size_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string names_of(const std::vector<std::size_t>& blocks) {
  std::string text;
  for (std::size_t i = 0; i < std::min(blocks.size(), kShownBlocks); ++i) {
    text += (i == 0 ? "" : ", ") + block_name(blocks[i]);
  }
  return blocks.size() > kShownBlocks ? text + ", ..." : text;
}

}  // namespace

std::string block_name(std::size_t block) {
  return "B" + std::to_string(block);
}

std::string lines_text(const PtxBlock& block) {
  if (block.first_line == block.last_line) return fmt::format("line {}", block.first_line);
  return fmt::format("lines {}-{}", block.first_line, block.last_line);
}

std::vector<std::string> mix_texts(const PtxMix& mix) {
  std::vector<std::pair<std::uint32_t, PtxClass>> counts;
  for (std::size_t i = 0; i < kPtxClasses; ++i) {
    const auto each = static_cast<PtxClass>(i);
    if (each != PtxClass::kBranch && mix[each] > 0) counts.emplace_back(mix[each], each);
  }
  std::ranges::stable_sort(counts, std::ranges::greater(), &std::pair<std::uint32_t, PtxClass>::first);
  std::vector<std::string> texts;
  for (const auto& [count, ptx_class] : counts) texts.push_back(fmt::format("{} {}", count, to_string(ptx_class)));
  return texts;
}

std::string loop_text(const PtxGraph& graph, std::size_t loop) {
  const PtxLoop& found = graph.loops[loop];
  return fmt::format("loop {}, depth {}, header {}, {}", loop, found.depth, block_name(found.header),
                     counted(found.blocks.size(), "block"));
}

std::string summary_text(const PtxGraph& graph) {
  std::size_t unreachable = 0, instructions = 0;
  for (const PtxBlock& block : graph.blocks) {
    unreachable += !block.reachable;
    instructions += block.instructions;
  }
  int deepest = 0;
  for (const PtxLoop& loop : graph.loops) deepest = std::max(deepest, loop.depth);
  std::string text = counted(graph.blocks.size(), "block");
  if (unreachable > 0) text += fmt::format(" ({} unreachable)", unreachable);
  text += graph.loops.empty() ? ", no loop"
                              : fmt::format(", {} up to depth {}", counted(graph.loops.size(), "loop"), deepest);
  text += ", " + counted(instructions, "instruction");
  for (const PtxIrreducibleRegion& region : graph.irreducible) {
    text +=
        fmt::format("; an irreducible cycle of {}, entered at {}", names_of(region.blocks), names_of(region.entries));
  }
  return text;
}

}  // namespace flashmask::draw
