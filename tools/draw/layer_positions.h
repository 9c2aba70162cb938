#pragma once

#include <vector>

#include "tools/draw/layers.h"

namespace flashmask::draw {

/// The left side of every node, in pixels: nodes of a layer in their order and apart, each as near as that allows to
/// below and above what it is connected with. The least is 0.
std::vector<int> layer_positions(const Layers& layers, const std::vector<LayeredBox>& boxes);

}  // namespace flashmask::draw
