#pragma once

#include <vector>

#include "emulator/ptx/module.h"
#include "flashmask/ptx_graph.h"

namespace flashmask {

/// The blocks of a kernel with what each leads to, as they stand in the text; what loops and dominators say is not
/// there yet. Where something leads behind the last instruction, an empty block ends them. Throws
/// Error{kInvalidArgument} for a branch without a label, and kUnsupported for more than `most` blocks.
std::vector<PtxBlock> ptx_blocks(const emulator::ptx::Kernel& kernel, std::size_t most);

}  // namespace flashmask
