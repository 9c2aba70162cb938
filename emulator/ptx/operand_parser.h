#pragma once

#include <string_view>
#include <unordered_set>

#include "emulator/ptx/module.h"
#include "emulator/ptx/symbol_table.h"
#include "emulator/ptx/token_stream.h"

namespace flashmask::emulator::ptx {

/// Names of the variables of a module, borrowed.
using VariableNames = std::unordered_set<std::string_view>;

/// Parses operands of instructions. Registers and variables are looked up at once; whatever else a whole operand names
/// is taken for a label, whose index is not known yet.
class OperandParser {
 public:
  /// All three are borrowed.
  OperandParser(TokenStream& tokens, const SymbolTable& symbols, const VariableNames& module_variables)
      : tokens_(tokens), symbols_(symbols), module_variables_(module_variables) {}

  /// One operand, up to the ',' or ';' behind it. Throws ParseError.
  Operand parse();

 private:
  Operand operand(int depth);
  Operand simple(int depth);
  Operand number();
  Operand vector(int depth);
  Operand address(int depth);
  std::uint64_t offsets();
  Operand name();
  Operand special(Operand operand);
  Operand begin(Operand::Kind kind) const;

  TokenStream& tokens_;
  const SymbolTable& symbols_;
  const VariableNames& module_variables_;
};

}  // namespace flashmask::emulator::ptx
