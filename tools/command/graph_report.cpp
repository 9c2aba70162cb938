#include "tools/command/graph_report.h"

#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

using nlohmann::ordered_json;

ordered_json number_or_null(const std::optional<std::size_t>& number) {
  return number ? ordered_json(*number) : ordered_json(nullptr);
}

std::string_view name_of(PtxExit exit) {
  switch (exit) {
    case PtxExit::kNone:
      return "none";
    case PtxExit::kSome:
      return "some";
    case PtxExit::kAll:
      return "all";
  }
  return "?";
}

ordered_json mix_json(const PtxMix& mix) {
  ordered_json json = ordered_json::object();
  for (std::size_t i = 0; i < kPtxClasses; ++i) {
    const auto each = static_cast<PtxClass>(i);
    if (mix[each] > 0) json[json_name(to_string(each))] = mix[each];
  }
  return json;
}

ordered_json block_json(const PtxBlock& block) {
  ordered_json successors = ordered_json::array();
  for (const PtxEdge& edge : block.successors) {
    successors.push_back({{"block", edge.target}, {"kind", to_string(edge.kind)}, {"back", edge.back}});
  }
  return {{"label", block.label},
          {"first_line", block.first_line},
          {"last_line", block.last_line},
          {"instructions", block.instructions},
          {"mix", mix_json(block.mix)},
          {"terminator", block.terminator},
          {"successors", std::move(successors)},
          {"exit", name_of(block.exit)},
          {"reachable", block.reachable},
          {"dominator", number_or_null(block.dominator)},
          {"loop", number_or_null(block.innermost_loop)}};
}

}  // namespace

ordered_json graph_json(const PtxGraph& graph) {
  ordered_json blocks = ordered_json::array(), loops = ordered_json::array(), irreducible = ordered_json::array();
  for (const PtxBlock& block : graph.blocks) blocks.push_back(block_json(block));
  for (const PtxLoop& loop : graph.loops) {
    loops.push_back({{"header", loop.header},
                     {"depth", loop.depth},
                     {"parent", number_or_null(loop.parent)},
                     {"blocks", loop.blocks},
                     {"latches", loop.latches}});
  }
  for (const PtxIrreducibleRegion& region : graph.irreducible) {
    irreducible.push_back({{"blocks", region.blocks}, {"entries", region.entries}});
  }
  return {{"entry", graph.entry},        {"target", graph.target},    {"mix", mix_json(graph.mix())},
          {"blocks", std::move(blocks)}, {"loops", std::move(loops)}, {"irreducible", std::move(irreducible)}};
}

}  // namespace flashmask::command
