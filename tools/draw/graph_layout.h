#pragma once

#include <cstddef>
#include <vector>

#include "flashmask/ptx_graph.h"
#include "tools/draw/layered_layout.h"

namespace flashmask::draw {

struct BoxSize {
  int width = 0;
  int height = 0;
};

struct BoxPlace {
  Point corner;  ///< the upper left one
  BoxSize size;
};

/// The way of an edge from the lower side of its block to the upper side of its target.
struct EdgeRoute {
  std::size_t block = 0;
  std::size_t successor = 0;  ///< of PtxBlock::successors
  std::vector<Point> points;
};

/// Where everything of a graph lies.
struct GraphLayout {
  BoxSize size;
  std::vector<BoxPlace> blocks;
  std::vector<BoxPlace> loops;    ///< each around its blocks and the loops inside
  std::vector<EdgeRoute> routes;  ///< of what is reachable
};

/// Space in the frame of a loop.
inline constexpr int kLoopCaption = 18;  ///< above, for a line of text
inline constexpr int kLoopPadding = 8;   ///< at the other sides

/// Places the blocks of a graph, whose boxes have the given sizes: each loop in a frame of its own, blocks below what
/// leads to them, edges back at the left side; what is not reachable in rows at the bottom.
GraphLayout layout_graph(const PtxGraph& graph, const std::vector<BoxSize>& sizes);

}  // namespace flashmask::draw
