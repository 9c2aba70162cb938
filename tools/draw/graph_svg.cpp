#include "tools/draw/graph_svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "tools/draw/graph_layout.h"
#include "tools/draw/graph_text.h"
#include "tools/draw/xml.h"

namespace flashmask::draw {
namespace {

// Lengths in pixels.
constexpr int kMargin = 14;
constexpr int kBlockWidth = 218;
constexpr int kBlockPadding = 7;
constexpr int kLineHeight = 13;
constexpr int kBarHeight = 6;
constexpr std::size_t kLineCharacters = 38;  ///< of a line of a block
constexpr std::size_t kLabelCharacters = 18;
constexpr int kCharacterWidth = 6;  ///< about: the font is the viewer's
constexpr int kLegendGap = 12;
constexpr int kArrow = 4;

constexpr std::string_view kFallthroughColor = "#6b7280";
constexpr std::string_view kTakenColor = "#2563eb";
constexpr std::string_view kBackColor = "#c2410c";

constexpr std::string_view color_of(PtxClass ptx_class) {
  switch (ptx_class) {
    case PtxClass::kMatrixProduct:
      return "#dc2626";
    case PtxClass::kAsyncCopy:
      return "#7c3aed";
    case PtxClass::kSharedMemory:
      return "#0891b2";
    case PtxClass::kGlobalMemory:
      return "#1d4ed8";
    case PtxClass::kOtherMemory:
      return "#93c5fd";
    case PtxClass::kBarrier:
      return "#111827";
    case PtxClass::kConversion:
      return "#a16207";
    case PtxClass::kSpecialFunction:
      return "#db2777";
    case PtxClass::kFloat:
      return "#16a34a";
    case PtxClass::kInteger:
      return "#f59e0b";
    case PtxClass::kPredicate:
      return "#fcd34d";
    case PtxClass::kExchange:
      return "#0d9488";
    case PtxClass::kMove:
      return "#d1d5db";
    case PtxClass::kBranch:
      return "#9ca3af";
    case PtxClass::kOther:
      return "#e5e7eb";
  }
  return "#e5e7eb";
}

std::string shortened(const std::string& text, std::size_t most) {
  return text.size() <= most ? text : text.substr(0, most - 2) + "..";
}

/// The lines of a block below its head: its mix, and what ends it.
std::vector<std::string> lines_of(const PtxBlock& block) {
  std::vector<std::string> lines;
  for (const std::string& text : mix_texts(block.mix)) {
    if (lines.empty() || lines.back().size() + 2 + text.size() > kLineCharacters) {
      lines.push_back(text);
    } else {
      lines.back() += ", " + text;
    }
  }
  if (!block.terminator.empty()) lines.push_back(shortened(block.terminator, kLineCharacters));
  return lines;
}

BoxSize size_of(const PtxBlock& block) {
  const int lines = static_cast<int>(lines_of(block).size());
  return {kBlockWidth, 2 * kBlockPadding + kLineHeight + kBarHeight + 2 + lines * kLineHeight};
}

/// Shares of the classes, in their order, without gaps.
std::string bar(const PtxBlock& block, int x, int y) {
  std::string svg;
  const int width = kBlockWidth - 2 * kBlockPadding;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < kPtxClasses; ++i) {
    const auto each = static_cast<PtxClass>(i);
    if (block.mix[each] == 0) continue;
    const double left = static_cast<double>(before) * width / block.instructions;
    before += block.mix[each];
    const double right = static_cast<double>(before) * width / block.instructions;
    svg += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>\n", xml_number(x + left), y,
                       xml_number(right - left), kBarHeight, color_of(each));
  }
  return svg;
}

std::string_view border_of(const PtxBlock& block) {
  if (!block.reachable) return "stroke=\"#9ca3af\" stroke-dasharray=\"4 3\"";
  switch (block.exit) {
    case PtxExit::kNone:
      return "stroke=\"#374151\"";
    case PtxExit::kSome:
      return "stroke=\"#111827\" stroke-width=\"2\" stroke-dasharray=\"6 2\"";
    case PtxExit::kAll:
      return "stroke=\"#111827\" stroke-width=\"2\"";
  }
  return "";
}

std::string block_svg(const PtxBlock& block, std::size_t number, const BoxPlace& place) {
  const int x = place.corner.x + kBlockPadding;
  int y = place.corner.y + kBlockPadding + kLineHeight - 3;
  std::string svg = fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\" fill=\"{}\" {}/>\n",
                                place.corner.x, place.corner.y, place.size.width, place.size.height,
                                block.reachable ? "#ffffff" : "#f3f4f6", border_of(block));
  svg += fmt::format(
      "<text x=\"{}\" y=\"{}\"><tspan font-weight=\"bold\">{}</tspan> <tspan fill=\"#6b7280\">{}</tspan></text>\n", x,
      y, block_name(number), xml_escaped(shortened(block.label, kLabelCharacters)));
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#6b7280\">{}</text>\n",
                     place.corner.x + place.size.width - kBlockPadding, y, lines_text(block));
  svg += bar(block, x, y + 4);
  y += 4 + kBarHeight;
  for (const std::string& line : lines_of(block)) {
    y += kLineHeight;
    svg += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", x, y, xml_escaped(line));
  }
  return svg;
}

std::string loop_svg(const PtxGraph& graph, std::size_t loop, const BoxPlace& place) {
  const int depth = graph.loops[loop].depth;
  std::string svg = fmt::format(
      "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"5\" fill=\"{}\" stroke=\"#93c5fd\"/>\n", place.corner.x,
      place.corner.y, place.size.width, place.size.height, depth % 2 == 1 ? "#eff6ff" : "#dbeafe");
  return svg + fmt::format("<text x=\"{}\" y=\"{}\" fill=\"#1d4ed8\">{}</text>\n", place.corner.x + kLoopPadding,
                           place.corner.y + kLoopCaption - 5, loop_text(graph, loop));
}

std::string_view edge_color(const PtxEdge& edge) {
  if (edge.back) return kBackColor;
  return edge.kind == PtxEdgeKind::kFallthrough ? kFallthroughColor : kTakenColor;
}

std::string route_svg(const EdgeRoute& route, const PtxEdge& edge) {
  std::string data = fmt::format("M{} {}", route.points[0].x, route.points[0].y);
  for (std::size_t i = 1; i < route.points.size(); ++i) {
    const Point& from = route.points[i - 1];
    const Point& to = route.points[i];
    if (from.x != to.x) data += fmt::format("H{}", to.x);
    if (from.y != to.y) data += fmt::format("V{}", to.y);
  }
  const Point& end = route.points.back();
  return fmt::format(
      "<path d=\"{0}\" fill=\"none\" stroke=\"{1}\"{2}/>\n<path d=\"M{3} {4}l-{5} -{6}h{7}z\" fill=\"{1}\"/>\n", data,
      edge_color(edge), edge.back ? " stroke-width=\"2\"" : "", end.x, end.y, kArrow, 2 * kArrow, 2 * kArrow);
}

/// Signs of the classes that the graph has, and of the edges, in lines of the picture's width.
class Legend {
 public:
  explicit Legend(int width) : width_(width) {}

  void add_class(PtxClass ptx_class) {
    const std::string text(to_string(ptx_class));
    advance(text);
    svg_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"9\" height=\"9\" fill=\"{}\"/>\n", x_, y_ - 8,
                        color_of(ptx_class));
    add_text(text, 13);
  }
  void add_edge(std::string_view color, const std::string& text) {
    advance(text);
    svg_ += fmt::format("<path d=\"M{} {}h16\" stroke=\"{}\" stroke-width=\"2\"/>\n", x_, y_ - 3, color);
    add_text(text, 20);
  }
  const std::string& svg() const { return svg_; }
  int bottom() const { return y_; }

 private:
  static int width_of(const std::string& text) { return static_cast<int>(text.size()) * kCharacterWidth; }
  /// To the next line where the text would go beyond the picture.
  void advance(const std::string& text) {
    if (x_ == kMargin || x_ + 20 + width_of(text) <= width_) return;
    x_ = kMargin;
    y_ += kLineHeight + 3;
  }
  void add_text(const std::string& text, int sign) {
    svg_ += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", x_ + sign, y_, text);
    x_ += sign + width_of(text) + kLegendGap;
  }

  int width_;
  int x_ = kMargin, y_ = 60;
  std::string svg_;
};

Legend legend_of(const PtxGraph& graph, int width) {
  Legend legend(width);
  const PtxMix mix = graph.mix();
  for (std::size_t i = 0; i < kPtxClasses; ++i) {
    if (mix[static_cast<PtxClass>(i)] > 0) legend.add_class(static_cast<PtxClass>(i));
  }
  legend.add_edge(kTakenColor, "branch");
  legend.add_edge(kFallthroughColor, "fallthrough");
  legend.add_edge(kBackColor, "back edge");
  return legend;
}

}  // namespace

std::string graph_svg(const PtxGraph& graph) {
  if (graph.blocks.size() > kMostDrawnBlocks) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the entry {} has {} blocks: at most {} are drawn", graph.entry, graph.blocks.size(),
                            kMostDrawnBlocks),
                "write DOT, which has no such limit");
  }
  std::vector<BoxSize> sizes;
  for (const PtxBlock& block : graph.blocks) sizes.push_back(size_of(block));
  const GraphLayout layout = layout_graph(graph, sizes);

  const std::string title = graph.entry + ", " + graph.target, summary = summary_text(graph);
  const int text_width = static_cast<int>(std::max(title.size(), summary.size())) * (kCharacterWidth + 1);
  const int width = std::max(layout.size.width, text_width) + 2 * kMargin;
  const Legend legend = legend_of(graph, width);
  const int top = legend.bottom() + 14;
  const int height = top + layout.size.height + kMargin;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"10.5\" fill=\"#111827\">\n",
      width, height);
  svg += fmt::format("<title>{}</title>\n", xml_escaped(title));
  svg += fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"#ffffff\"/>\n", width, height);
  svg += fmt::format("<text x=\"{}\" y=\"22\" font-size=\"13\" font-weight=\"bold\">{}</text>\n", kMargin,
                     xml_escaped(title));
  svg += fmt::format("<text x=\"{}\" y=\"40\" font-size=\"12\" fill=\"#6b7280\">{}</text>\n", kMargin,
                     xml_escaped(summary));
  svg += legend.svg();
  svg += fmt::format("<g transform=\"translate({} {})\">\n", kMargin, top);
  for (std::size_t i = 0; i < graph.loops.size(); ++i) svg += loop_svg(graph, i, layout.loops[i]);
  for (std::size_t i = 0; i < graph.blocks.size(); ++i) svg += block_svg(graph.blocks[i], i, layout.blocks[i]);
  for (const EdgeRoute& route : layout.routes) {
    svg += route_svg(route, graph.blocks[route.block].successors[route.successor]);
  }
  return svg + "</g>\n</svg>\n";
}

}  // namespace flashmask::draw
