#pragma once

#include <string>

#include "flashmask/ptx_graph.h"

namespace flashmask::draw {

/// A graph in the language of Graphviz: a node per block with its lines and its mix of instructions, a cluster per
/// loop, within that of the loop around it. Equal graphs give equal text. Characters that ASCII does not have become
/// '?'.
std::string graph_dot(const PtxGraph& graph);

}  // namespace flashmask::draw
