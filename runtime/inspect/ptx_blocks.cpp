#include "runtime/inspect/ptx_blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/inspect/ptx_class.h"

namespace flashmask {
namespace {

using emulator::ptx::Instruction;
using emulator::ptx::Kernel;
using emulator::ptx::Label;
using emulator::ptx::Operand;

bool is_exit(const Instruction& instruction) {
  return instruction.opcode == "ret" || instruction.opcode == "exit" || instruction.opcode == "trap";
}

bool is_branch(const Instruction& instruction) {
  return instruction.opcode == "bra" || instruction.opcode == "brx";
}

bool ends_block(const Instruction& instruction) {
  return is_branch(instruction) || is_exit(instruction);
}

/// Whether some threads may go on at the next instruction.
bool goes_on(const Instruction& instruction) {
  return !ends_block(instruction) || instruction.guarded;
}

/// The instructions that a branch leads to; their number stands for the end of the text.
std::vector<std::uint32_t> targets_of(const Kernel& kernel, const Instruction& instruction) {
  if (!is_branch(instruction)) return {};
  const bool indexed = instruction.opcode == "brx";
  if (!instruction.operands.empty()) {
    const Operand& last = instruction.operands.back();
    if (!indexed && last.kind == Operand::Kind::kLabel) return {last.index};
    if (indexed && last.kind == Operand::Kind::kTargets) return kernel.branch_targets[last.index];
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("line {}, column {}: '{}' needs {}", instruction.line, instruction.column,
                          instruction.full_name(), indexed ? "a list of branch targets" : "a label"));
}

std::string terminator_of(const Kernel& kernel, const Instruction& instruction) {
  if (!ends_block(instruction)) return "";
  if (!instruction.guarded) return instruction.full_name();
  return fmt::format("@{}{} {}", instruction.guard_negated ? "!" : "", kernel.registers[instruction.guard].name,
                     instruction.full_name());
}

class BlockBuilder {
 public:
  BlockBuilder(const Kernel& kernel, std::size_t most) : kernel_(kernel), most_(most) {}

  std::vector<PtxBlock> build() {
    mark();
    cut();
    name();
    for (PtxBlock& block : blocks_) connect(block);
    return std::move(blocks_);
  }

 private:
  std::size_t size() const { return kernel_.instructions.size(); }

  /// Where blocks begin; behind the last instruction only if something leads there.
  void mark() {
    begins_.assign(size() + 1, false);
    begins_[0] = true;
    for (std::size_t i = 0; i < size(); ++i) {
      const Instruction& instruction = kernel_.instructions[i];
      for (std::uint32_t target : targets_of(kernel_, instruction)) begins_[target] = true;
      if (ends_block(instruction) && i + 1 < size()) begins_[i + 1] = true;
    }
    if (size() > 0 && goes_on(kernel_.instructions.back())) begins_[size()] = true;
    const auto count = static_cast<std::size_t>(std::ranges::count(begins_, true));
    if (count <= most_) return;
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the entry {} has {} blocks: at most {} are known", kernel_.name, count, most_));
  }

  void cut() {
    for (std::size_t i = 0; i <= size(); ++i) {
      if (begins_[i]) {
        blocks_.emplace_back();
        first_.push_back(i);
      }
      block_at_.push_back(blocks_.size() - 1);
      if (i == size()) break;
      const Instruction& instruction = kernel_.instructions[i];
      PtxBlock& block = blocks_.back();
      if (block.instructions++ == 0) block.first_line = instruction.line;
      block.last_line = instruction.line;
      ++block.mix[class_of(instruction)];
    }
  }

  void name() {
    for (const Label& label : kernel_.labels) {
      if (!begins_[label.index]) continue;
      PtxBlock& block = blocks_[block_at_[label.index]];
      if (block.label.empty()) block.label = label.name;
      if (block.instructions == 0 && block.first_line == 0) block.first_line = block.last_line = label.line;
    }
    if (blocks_.back().instructions > 0 || blocks_.back().first_line != 0) return;
    blocks_.back().first_line = blocks_.back().last_line =
        size() == 0 ? kernel_.line : kernel_.instructions.back().line;
  }

  void connect(PtxBlock& block) {
    const auto number = static_cast<std::size_t>(&block - blocks_.data());
    if (block.instructions == 0) {
      block.exit = PtxExit::kAll;
      return;
    }
    const Instruction& last = kernel_.instructions[first_[number] + block.instructions - 1];
    block.terminator = terminator_of(kernel_, last);
    for (std::uint32_t target : targets_of(kernel_, last)) {
      const PtxEdge edge{.target = block_at_[target],
                         .kind = last.opcode == "brx" ? PtxEdgeKind::kIndexed : PtxEdgeKind::kTaken,
                         .back = false};
      const bool known = std::ranges::find(block.successors, edge) != block.successors.end();
      if (!known) block.successors.push_back(edge);
    }
    if (goes_on(last)) {
      block.successors.push_back({.target = number + 1, .kind = PtxEdgeKind::kFallthrough, .back = false});
    }
    if (is_exit(last)) block.exit = last.guarded ? PtxExit::kSome : PtxExit::kAll;
  }

  const Kernel& kernel_;
  std::size_t most_;
  std::vector<bool> begins_;
  std::vector<PtxBlock> blocks_;
  std::vector<std::size_t> first_;     ///< by block, its first instruction
  std::vector<std::size_t> block_at_;  ///< by instruction
};

}  // namespace

std::vector<PtxBlock> ptx_blocks(const emulator::ptx::Kernel& kernel, std::size_t most) {
  return BlockBuilder(kernel, most).build();
}

}  // namespace flashmask
