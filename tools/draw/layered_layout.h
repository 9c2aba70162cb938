#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace flashmask::draw {

/// In pixels, from the upper left corner.
struct Point {
  int x = 0;
  int y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};

/// A box that is to be placed. Edges arrive on its upper side and leave on its lower one.
struct LayeredBox {
  int width = 0;
  int height = 0;
  std::optional<int> entry;  ///< where edges arrive, from its left side; anywhere if it is not given
};

/// A way from one box to another, or out of the picture through its lower side.
struct LayeredEdge {
  std::size_t from = 0;
  std::optional<std::size_t> to;  ///< none: out
  std::size_t place = 0;          ///< of an edge out: edges to the same place leave as one
  std::optional<int> exit;        ///< where it leaves its box, from the left side; chosen if it is not given
};

struct LayeredLayout {
  int width = 0;
  int height = 0;
  int entry = 0;                           ///< the middle of the first box, where a way from outside arrives
  std::vector<Point> boxes;                ///< upper left corners
  std::vector<std::vector<Point>> routes;  ///< by edge: upright and level lines from box to box
  std::vector<bool> climbs;                ///< by edge: it leads back up, along the left side
};

/// Places boxes in layers, each below all that lead to it, and draws edges between the layers, so that no edge crosses
/// a box. Edges that would lead back (in depth-first order from the first box) run up at the left side. Edges to one
/// box, or to one place outside, share their way where they can. Equal input gives equal output.
LayeredLayout layered_layout(const std::vector<LayeredBox>& boxes, const std::vector<LayeredEdge>& edges);

}  // namespace flashmask::draw
