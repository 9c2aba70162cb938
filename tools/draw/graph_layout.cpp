#include "tools/draw/graph_layout.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace flashmask::draw {
namespace {

constexpr int kUnreachableGap = 16;
constexpr int kLeastRowWidth = 700;  ///< of rows of blocks that are not reachable

/// A block, or a loop as a whole, in the region around it.
struct Item {
  bool is_loop = false;
  std::size_t number = 0;
};

/// The body of a loop, or what lies in no loop.
struct Region {
  std::vector<Item> items;  ///< the block where it is entered first
  std::vector<LayeredEdge> edges;
  LayeredLayout layout;
  Point corner;  ///< of its layout, once that of the region around it is known
};

class GraphPlacer {
 public:
  GraphPlacer(const PtxGraph& graph, const std::vector<BoxSize>& sizes)
      : graph_(graph),
        sizes_(sizes),
        regions_(graph.loops.size() + 1),
        item_of_block_(graph.blocks.size()),
        item_of_loop_(graph.loops.size()) {}

  GraphLayout place() {
    add_items();
    // Loops inside come behind those around them.
    for (std::size_t region = regions_.size(); region-- > 0;) lay_out(region);
    layout_.blocks.resize(graph_.blocks.size());
    layout_.loops.resize(graph_.loops.size());
    for (std::size_t region = 0; region < regions_.size(); ++region) put_down(region);
    layout_.size = {regions_[0].layout.width, regions_[0].layout.height};
    add_routes();
    add_unreachable();
    return std::move(layout_);
  }

 private:
  /// Region 0 is no loop, region n the body of loop n - 1.
  static std::size_t region_of(std::optional<std::size_t> loop) { return loop ? *loop + 1 : 0; }
  std::size_t region_of_block(std::size_t block) const { return region_of(graph_.blocks[block].innermost_loop); }
  std::size_t region_around(std::size_t region) const { return region_of(graph_.loops[region - 1].parent); }

  bool holds(std::size_t region, std::size_t block) const {
    return region == 0 || std::ranges::binary_search(graph_.loops[region - 1].blocks, block);
  }

  void add_items() {
    for (const PtxLoop& loop : graph_.loops) add_block(loop.header);
    if (regions_[0].items.empty()) add_block(0);
    for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
      if (graph_.blocks[i].reachable) add_block(i);
    }
    for (std::size_t i = 0; i < graph_.loops.size(); ++i) {
      Region& around = regions_[region_of(graph_.loops[i].parent)];
      item_of_loop_[i] = around.items.size();
      around.items.push_back({.is_loop = true, .number = i});
    }
    // The picture begins where the entry does, also where that is in a loop.
    std::vector<Item>& items = regions_[0].items;
    const std::size_t first = item_in(0, 0);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i == 0 || i == first)
        (items[i].is_loop ? item_of_loop_ : item_of_block_)[items[i].number] = i == 0 ? first : 0;
    }
    std::swap(items.front(), items[first]);
  }

  void add_block(std::size_t block) {
    if (!added_.insert(block).second) return;
    Region& region = regions_[region_of_block(block)];
    item_of_block_[block] = region.items.size();
    region.items.push_back({.is_loop = false, .number = block});
  }

  /// The item of `region` that a block in it is, or is part of.
  std::size_t item_in(std::size_t region, std::size_t block) const {
    std::size_t at = region_of_block(block);
    if (at == region) return item_of_block_[block];
    while (region_around(at) != region) at = region_around(at);
    return item_of_loop_[at - 1];
  }

  LayeredEdge edge_to(std::size_t region, std::size_t from, std::size_t target) const {
    LayeredEdge edge{.from = from, .to = std::nullopt, .place = target, .exit = std::nullopt};
    if (holds(region, target)) edge.to = item_in(region, target);
    return edge;
  }

  void lay_out(std::size_t number) {
    Region& region = regions_[number];
    std::vector<LayeredBox> boxes;
    for (std::size_t i = 0; i < region.items.size(); ++i) {
      const Item& item = region.items[i];
      if (item.is_loop) {
        boxes.push_back(frame_of(item.number));
        for (const auto& [target, exit] : exits_of(item.number)) {
          LayeredEdge edge = edge_to(number, i, target);
          edge.exit = exit;
          edge_of_loop_[{item.number, target}] = region.edges.size();
          region.edges.push_back(edge);
        }
        continue;
      }
      boxes.push_back(
          {.width = sizes_[item.number].width, .height = sizes_[item.number].height, .entry = std::nullopt});
      const std::vector<PtxEdge>& successors = graph_.blocks[item.number].successors;
      for (std::size_t j = 0; j < successors.size(); ++j) {
        edge_of_block_[{item.number, j}] = region.edges.size();
        region.edges.push_back(edge_to(number, i, successors[j].target));
      }
    }
    region.layout = layered_layout(boxes, region.edges);
  }

  LayeredBox frame_of(std::size_t loop) const {
    const LayeredLayout& inside = regions_[loop + 1].layout;
    return {.width = inside.width + 2 * kLoopPadding,
            .height = inside.height + kLoopCaption + kLoopPadding,
            .entry = inside.entry + kLoopPadding};
  }

  /// Where edges leave the frame of a loop, by the block that they lead to.
  std::map<std::size_t, int> exits_of(std::size_t loop) const {
    const Region& region = regions_[loop + 1];
    std::map<std::size_t, int> exits;
    for (std::size_t i = 0; i < region.edges.size(); ++i) {
      if (!region.edges[i].to) exits[region.edges[i].place] = region.layout.routes[i].back().x + kLoopPadding;
    }
    return exits;
  }

  void put_down(std::size_t number) {
    const Region& region = regions_[number];
    for (std::size_t i = 0; i < region.items.size(); ++i) {
      const Item& item = region.items[i];
      const Point corner = {region.corner.x + region.layout.boxes[i].x, region.corner.y + region.layout.boxes[i].y};
      if (!item.is_loop) {
        layout_.blocks[item.number] = {corner, sizes_[item.number]};
        continue;
      }
      const LayeredBox frame = frame_of(item.number);
      layout_.loops[item.number] = {corner, {frame.width, frame.height}};
      regions_[item.number + 1].corner = {corner.x + kLoopPadding, corner.y + kLoopCaption};
    }
  }

  void append(std::vector<Point>& points, const Region& region, std::size_t edge) const {
    for (const Point& point : region.layout.routes[edge]) {
      const Point moved = {region.corner.x + point.x, region.corner.y + point.y};
      if (points.empty() || points.back() != moved) points.push_back(moved);
    }
  }

  void add_routes() {
    for (std::size_t block = 0; block < graph_.blocks.size(); ++block) {
      if (!graph_.blocks[block].reachable) continue;
      for (std::size_t i = 0; i < graph_.blocks[block].successors.size(); ++i) add_route(block, i);
    }
  }

  /// From region to region outwards, then down to the block.
  void add_route(std::size_t block, std::size_t successor) {
    const std::size_t target = graph_.blocks[block].successors[successor].target;
    EdgeRoute route{.block = block, .successor = successor, .points = {}};
    std::size_t region = region_of_block(block);
    append(route.points, regions_[region], edge_of_block_.at({block, successor}));
    while (!holds(region, target)) {
      const std::size_t loop = region - 1;
      region = region_around(region);
      append(route.points, regions_[region], edge_of_loop_.at({loop, target}));
    }
    const Point end = {route.points.back().x, layout_.blocks[target].corner.y};
    if (route.points.back() != end) route.points.push_back(end);
    layout_.routes.push_back(std::move(route));
  }

  void add_unreachable() {
    int x = 0, row = 0;
    int y = layout_.size.height + kUnreachableGap;
    const int width = std::max(layout_.size.width, kLeastRowWidth);
    for (std::size_t i = 0; i < graph_.blocks.size(); ++i) {
      if (graph_.blocks[i].reachable) continue;
      if (x > 0 && x + sizes_[i].width > width) {
        y += row + kUnreachableGap;
        x = row = 0;
      }
      layout_.blocks[i] = {{x, y}, sizes_[i]};
      x += sizes_[i].width + kUnreachableGap;
      row = std::max(row, sizes_[i].height);
      layout_.size.width = std::max(layout_.size.width, x - kUnreachableGap);
      layout_.size.height = y + row;
    }
  }

  const PtxGraph& graph_;
  const std::vector<BoxSize>& sizes_;
  std::vector<Region> regions_;
  std::set<std::size_t> added_;
  std::vector<std::size_t> item_of_block_, item_of_loop_;                     ///< in the region of each
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> edge_of_block_;  ///< by block and successor
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> edge_of_loop_;   ///< by loop and target
  GraphLayout layout_;
};

}  // namespace

GraphLayout layout_graph(const PtxGraph& graph, const std::vector<BoxSize>& sizes) {
  return GraphPlacer(graph, sizes).place();
}

}  // namespace flashmask::draw
