#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/ptx_graph.h"

namespace flashmask::draw {

// What the pictures of a graph say of its parts.

/// "B12".
std::string block_name(std::size_t block);
/// "lines 340-402", "line 7".
std::string lines_text(const PtxBlock& block);
/// "16 matrix product", "4 barrier", …, the most frequent first, without branches; empty of a block of branches alone.
std::vector<std::string> mix_texts(const PtxMix& mix);
/// "loop 3, depth 2, header B5, 14 blocks".
std::string loop_text(const PtxGraph& graph, std::size_t loop);
/// "57 blocks (2 unreachable), 9 loops up to depth 3, 1204 instructions"; an irreducible cycle is named with its
/// blocks.
std::string summary_text(const PtxGraph& graph);

}  // namespace flashmask::draw
