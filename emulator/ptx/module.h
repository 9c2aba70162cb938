#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/ptx/lexer.h"
#include "emulator/ptx/type.h"

namespace flashmask::emulator::ptx {

/// A place in an initialiser that holds the address of another variable.
struct Relocation {
  std::uint64_t offset = 0;
  std::string symbol;
  std::int64_t addend = 0;
  Position position;
};

/// A variable in memory or a kernel parameter.
struct Variable {
  std::string name;
  Space space = Space::kGlobal;
  Type type = Type::kB8;
  std::uint64_t alignment = 1;
  /// Size in bytes; 0 for an array without a bound (dynamic shared memory).
  std::uint64_t bytes = 0;
  bool external = false;
  /// Initial bytes; empty when nothing initialises the variable.
  std::vector<std::uint8_t> initial;
  std::vector<Relocation> relocations;
  Position position;  ///< of its name
};

/// A register of a kernel. `%r<8>` declares eight.
struct Register {
  std::string name;
  Type type = Type::kB32;
};

struct Operand {
  enum class Kind : std::uint8_t {
    kRegister,  ///< `index` into Kernel::registers
    kInteger,   ///< `bits`, two's complement
    kSingle,    ///< `bits` of a float
    kDouble,    ///< `bits` of a double
    kSymbol,    ///< the address of the variable `name`
    kSpecial,   ///< a special register, `name` with the percent sign
    kAddress,   ///< [base + bits]; elements: the base, or nothing; of [base, {…}] the base and a kVector
    kVector,    ///< {elements…}
    kPair,      ///< elements[0] | elements[1]
    kLabel,     ///< `index` of the instruction it stands before
    kTargets,   ///< `index` into Kernel::branch_targets
    kSink,      ///< '_'
  };
  Kind kind = Kind::kInteger;
  bool negated = false;  ///< !p
  std::uint32_t index = 0;
  std::uint64_t bits = 0;
  std::string name;
  std::vector<Operand> elements;
  Position position;
};

struct Instruction {
  std::uint32_t line = 0;
  std::uint32_t column = 0;  ///< of the opcode, behind a guard
  bool guarded = false;
  bool guard_negated = false;
  std::uint32_t guard = 0;  ///< register index
  std::string opcode;       ///< "mma"
  std::vector<std::string> modifiers;
  std::vector<Operand> operands;
  /// "mma.sync.aligned…", as written.
  std::string full_name() const;
};

/// A label of a body; labels of inner blocks may have the same name.
struct Label {
  std::string name;
  std::uint32_t index = 0;  ///< of the instruction it stands before; their number where none follows
  std::uint32_t line = 0;
};

struct Kernel {
  std::string name;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::vector<Variable> parameters;
  std::vector<Variable> variables;  ///< .shared and .local of the body
  std::vector<Register> registers;
  std::vector<Instruction> instructions;
  std::vector<Label> labels;  ///< as they stand in the text
  /// Targets of brx.idx lists: instruction indices.
  std::vector<std::vector<std::uint32_t>> branch_targets;
  /// .reqntid, zero where not given.
  std::array<std::uint32_t, 3> required_threads = {0, 0, 0};
  /// .maxntid, zero where not given.
  std::array<std::uint32_t, 3> maximal_threads = {0, 0, 0};
  /// .maxnreg: registers of a thread at most; zero where not given.
  std::uint32_t maximal_registers = 0;
  /// .reqnctapercluster, zero where not given.
  std::array<std::uint32_t, 3> cluster = {0, 0, 0};
  /// .explicitcluster: a launch must name its cluster.
  bool explicit_cluster = false;
  /// .maxclusterrank: CTAs of a cluster at most; zero where not given.
  std::uint32_t maximal_cluster_rank = 0;
};

struct Module {
  std::string version;
  std::string target;
  std::vector<Variable> variables;
  std::vector<Kernel> kernels;
};

// What one module may declare, so that a short text cannot ask for much memory or time.
constexpr std::size_t kMostRegisters = std::size_t{1} << 20;
constexpr std::uint64_t kMostVariableBytes = std::uint64_t{1} << 32;  ///< of one variable
constexpr std::uint64_t kMostInitialBytes = std::uint64_t{16} << 20;  ///< of all variables with initial values
constexpr std::size_t kMostVariables = std::size_t{1} << 12;
constexpr std::size_t kMostKernels = std::size_t{1} << 10;

/// Parses PTX text: registers, labels and variables are resolved, debugging directives dropped. Instructions are not
/// judged: any opcode but `call` passes. Throws ParseError.
Module parse_module(std::string_view text);

}  // namespace flashmask::emulator::ptx
