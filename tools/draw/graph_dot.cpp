#include "tools/draw/graph_dot.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <vector>

#include "tools/draw/graph_text.h"

namespace flashmask::draw {
namespace {

/// A string of DOT; every line of it stands at the left.
std::string quoted(const std::vector<std::string>& lines) {
  std::string text = "\"";
  for (const std::string& line : lines) {
    for (const char character : line) {
      if (character == '"' || character == '\\') text += '\\';
      text += character < ' ' || character > '~' ? '?' : character;
    }
    if (lines.size() > 1) text += "\\l";
  }
  return text + "\"";
}

std::vector<std::string> lines_of(const PtxBlock& block, std::size_t number) {
  std::string head = block_name(number);
  if (!block.label.empty()) head += " " + block.label;
  std::vector<std::string> lines = {head, fmt::format("{}, {} instructions", lines_text(block), block.instructions)};
  for (std::string& text : mix_texts(block.mix)) lines.push_back(std::move(text));
  if (!block.terminator.empty()) lines.push_back(block.terminator);
  return lines;
}

std::string_view node_style(const PtxBlock& block) {
  if (!block.reachable) return ", style=dashed, color=gray";
  switch (block.exit) {
    case PtxExit::kNone:
      return "";
    case PtxExit::kSome:
      return ", peripheries=2, style=dashed";
    case PtxExit::kAll:
      return ", peripheries=2";
  }
  return "";
}

std::string_view edge_style(const PtxEdge& edge) {
  if (edge.back) return "color=\"#c2410c\", penwidth=2";
  return edge.kind == PtxEdgeKind::kFallthrough ? "color=\"#6b7280\"" : "color=\"#2563eb\"";
}

class DotWriter {
 public:
  explicit DotWriter(const PtxGraph& graph) : graph_(graph), inner_(graph.loops.size()), blocks_(graph.loops.size()) {
    for (std::size_t i = 0; i < graph.loops.size(); ++i) {
      (graph.loops[i].parent ? inner_[*graph.loops[i].parent] : outermost_).push_back(i);
    }
    for (std::size_t i = 0; i < graph.blocks.size(); ++i) {
      if (graph.blocks[i].innermost_loop) blocks_[*graph.blocks[i].innermost_loop].push_back(i);
    }
  }

  std::string write() {
    text_ = fmt::format("digraph {} {{\n", quoted({graph_.entry}));
    text_ += fmt::format("  label={};\n  labelloc=t;\n",
                         quoted({graph_.entry + ", " + graph_.target, summary_text(graph_)}));
    text_ += "  node [shape=box, fontname=\"Helvetica\", fontsize=10];\n  edge [fontname=\"Helvetica\", fontsize=9];\n";
    for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
      if (!graph_.blocks[i].innermost_loop) write_node(i, 1);
    }
    for (std::size_t loop : outermost_) write_loops(loop);
    for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
      for (const PtxEdge& edge : graph_.blocks[i].successors) write_edge(i, edge);
    }
    return text_ + "}\n";
  }

 private:
  void write_node(std::size_t block, int indent) {
    text_ += fmt::format("{:{}}{} [label={}{}];\n", "", 2 * indent, block_name(block),
                         quoted(lines_of(graph_.blocks[block], block)), node_style(graph_.blocks[block]));
  }

  /// One loop with those inside; nested as deep as the text asks, so that calls would be too many.
  void write_loops(std::size_t outermost) {
    struct Step {
      std::size_t loop, next;
    };
    std::vector<Step> way = {{outermost, 0}};
    begin(outermost);
    while (!way.empty()) {
      auto& [loop, next] = way.back();
      if (next == inner_[loop].size()) {
        text_ += fmt::format("{:{}}}}\n", "", 2 * graph_.loops[loop].depth);
        way.pop_back();
        continue;
      }
      const std::size_t inside = inner_[loop][next++];
      begin(inside);
      way.push_back({inside, 0});
    }
  }

  void begin(std::size_t loop) {
    const int depth = graph_.loops[loop].depth;
    text_ += fmt::format("{:{}}subgraph cluster_loop{} {{\n", "", 2 * depth, loop);
    text_ += fmt::format("{:{}}label={};\n", "", 2 * depth + 2, quoted({loop_text(graph_, loop)}));
    text_ += fmt::format("{:{}}style=filled; fillcolor=\"{}\"; color=\"#93c5fd\";\n", "", 2 * depth + 2,
                         depth % 2 == 1 ? "#eff6ff" : "#dbeafe");
    for (std::size_t block : blocks_[loop]) write_node(block, depth + 1);
  }

  void write_edge(std::size_t from, const PtxEdge& edge) {
    text_ += fmt::format("  {} -> {} [label=\"{}\", {}];\n", block_name(from), block_name(edge.target),
                         to_string(edge.kind), edge_style(edge));
  }

  const PtxGraph& graph_;
  std::vector<std::size_t> outermost_;
  std::vector<std::vector<std::size_t>> inner_;   ///< loops, by loop
  std::vector<std::vector<std::size_t>> blocks_;  ///< in no loop further inside, by loop
  std::string text_;
};

}  // namespace

std::string graph_dot(const PtxGraph& graph) {
  return DotWriter(graph).write();
}

}  // namespace flashmask::draw
