#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "flashmask/sass_order.h"

namespace flashmask::sass {

inline constexpr std::uint64_t kInstructionBytes = 16;

/// Where execution goes on behind an instruction.
enum class Flow {
  kNext,    ///< at the next one; also behind calls, which return
  kBranch,  ///< at `value`, the address of the target
  kAway,    ///< nowhere, or where the instruction alone does not tell (EXIT, RET, branches to a register)
};

struct Instruction {
  std::optional<SassKind> kind;  ///< none: not one of those
  std::int64_t value = 0;
  Flow flow = Flow::kNext;
  bool conditional = false;  ///< the flow; some threads may go on at the next instruction
};

/// Decodes the instruction of sm_90 at `address`. Any bytes are some instruction, or none of interest.
Instruction decode(std::span<const std::byte, kInstructionBytes> bytes, std::uint64_t address);

}  // namespace flashmask::sass
