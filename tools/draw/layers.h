#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "tools/draw/layered_layout.h"

namespace flashmask::draw {

/// A box in its layer, or a place between boxes that edges of one net pass through.
struct LayerNode {
  std::optional<std::size_t> box;
  std::size_t net = 0;  ///< of a place: what its edges lead to
  std::size_t layer = 0;
};

/// A piece of one edge or of several from a layer to the next.
struct LayerStep {
  std::size_t upper = 0;  ///< node
  std::size_t lower = 0;
  std::size_t net = 0;
  std::optional<int> exit;  ///< of the box above, where it is fixed
};

/// Boxes and places in layers, from left to right, and the steps between them. The last layer holds only the places
/// where edges leave the picture.
struct Layers {
  std::vector<LayerNode> nodes;  ///< the boxes first, with their numbers
  std::vector<std::vector<std::size_t>> order;
  std::vector<LayerStep> steps;
  std::vector<std::vector<std::size_t>> ways;  ///< by edge: its steps from above; empty of an edge that climbs
  std::vector<bool> climbs;                    ///< by edge
};

/// Assigns layers by the longest way to a box, and orders each so that few steps cross.
Layers make_layers(std::size_t boxes, const std::vector<LayeredEdge>& edges);

}  // namespace flashmask::draw
