#pragma once

#include "emulator/ptx/module.h"
#include "flashmask/ptx_graph.h"

namespace flashmask {

/// What an instruction is for, by its opcode and modifiers. An opcode that nobody knows is kOther.
PtxClass class_of(const emulator::ptx::Instruction& instruction);

}  // namespace flashmask
