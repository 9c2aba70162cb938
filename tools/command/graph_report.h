#pragma once

#include <nlohmann/json.hpp>

#include "flashmask/ptx_graph.h"

namespace flashmask::command {

/// The blocks, edges and loops of a kernel, with the instructions of each class.
nlohmann::ordered_json graph_json(const PtxGraph& graph);

}  // namespace flashmask::command
