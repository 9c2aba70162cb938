#pragma once

#include <string>

#include "flashmask/ptx_graph.h"

namespace flashmask::draw {

/// More blocks than a picture shows in a way that can be read.
inline constexpr std::size_t kMostDrawnBlocks = 1024;

/// A picture of a graph as an SVG file: blocks with their lines and a bar of their mix of instructions, loops as nested
/// frames, edges back at their left sides. Equal graphs give equal text. Characters that XML or ASCII does not have
/// become '?'. Throws Error{kUnsupported} for more than kMostDrawnBlocks blocks.
std::string graph_svg(const PtxGraph& graph);

}  // namespace flashmask::draw
