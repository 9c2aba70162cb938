#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "emulator/machine/core/compiled_kernel.h"
#include "emulator/machine/core/operation.h"

namespace flashmask::emulator {

/// The .global and .const variables of a module by name: their index in CompiledProgram::variables.
using GlobalVariables = std::unordered_map<std::string_view, std::uint64_t>;

/// What the lowering of one kernel shares between its instructions.
class KernelBuilder {
 public:
  /// Everything is borrowed. `program` gets new classes of instructions.
  KernelBuilder(const ptx::Module& module, const ptx::Kernel& kernel, const GlobalVariables& globals,
                CompiledProgram& program);

  /// Lowers all instructions. Throws Fault.
  CompiledKernel build();

  Ref register_ref(std::uint32_t index) const { return register_offsets_[index]; }
  ptx::Type register_type(std::uint32_t index) const { return kernel_.registers[index].type; }
  const std::string& register_name(std::uint32_t index) const { return kernel_.registers[index].name; }
  /// A constant broadcast to all lanes, `size` bytes each; size 0 is a predicate.
  Ref constant(std::uint64_t bits, std::uint32_t size);
  /// A fresh register that the text does not name.
  Ref temporary(std::uint32_t size);
  void emit(const Operation& operation) { compiled_.code.push_back(operation); }
  /// The last operation emitted touches these registers.
  void note_touches(const std::vector<CompiledKernel::Touch>& touches);
  /// Registers must be watched: the kernel has instructions that use them asynchronously.
  void track_registers() { compiled_.tracks_registers = true; }
  /// Keeps the operands of a wgmma.mma_async; returns their number in CompiledKernel::products.
  std::uint64_t add_product(WarpgroupProduct product);
  /// Those of a wmma.mma, in CompiledKernel::warp_products.
  std::uint64_t add_product(WarpProduct product);
  /// What the module was compiled for, "sm_90a".
  const std::string& target() const;
  std::uint16_t class_named(std::string_view name);

  /// What the name of a variable stands for in an instruction.
  struct Symbol {
    ptx::Space space = ptx::Space::kGlobal;
    std::uint64_t offset = 0;  ///< within its space; for global and const the number of the variable
  };
  std::optional<Symbol> find_symbol(const std::string& name) const;

  [[noreturn]] void fail(Fault::Kind kind, ptx::Position position, const std::string& what) const;

 private:
  void place_registers();
  void place_variables();
  bool asks_for_reserved_memory() const;
  void lower_all();
  void name_registers();
  [[noreturn]] void fail_registers() const;

  const ptx::Module& module_;
  const ptx::Kernel& kernel_;
  const GlobalVariables& globals_;
  CompiledProgram& program_;
  CompiledKernel compiled_;
  std::vector<Ref> register_offsets_;
  std::unordered_map<std::string, Symbol> symbols_;
  std::vector<std::byte> constants_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, Ref> known_constants_;
};

/// Lowers one instruction: families ask it for modifiers and operands, and fill in `operation`. Whatever nobody asked
/// for makes the instruction unsupported, so a modifier is never ignored by accident.
class Builder {
 public:
  Builder(KernelBuilder& kernel, const ptx::Instruction& instruction);

  Operation operation;

  const std::string& opcode() const { return instruction_.opcode; }
  /// True, and the modifier is used up, when the instruction has `modifier`.
  bool take(std::string_view modifier);
  /// The position in `choices` of the one that the instruction has, if any.
  std::optional<std::size_t> take_one_of(std::initializer_list<std::string_view> choices);
  /// The same for the one that the text has first, where it may have several.
  std::optional<std::size_t> take_first_of(std::initializer_list<std::string_view> choices);
  /// The next type among the modifiers.
  ptx::Type type();
  std::optional<ptx::Type> optional_type();
  /// What type() would return, without using it up.
  std::optional<ptx::Type> next_type() const;
  /// The state space that the instruction names.
  ptx::Space space_or_generic();
  /// Takes the scope, and fills in how the accesses of the instruction are ordered.
  void take_strength(bool strong, bool acquires, bool releases);
  /// Drops hints about caches and levels, which change no result: .L1::no_allocate, .L2::128B, .cg …
  void take_cache_hints();

  std::size_t operands() const { return instruction_.operands.size(); }
  const ptx::Operand& operand(std::size_t index) const;
  void expect_operands(std::size_t least, std::size_t most);
  void expect_operands(std::size_t exactly) { expect_operands(exactly, exactly); }

  /// A register to write values of `size` bytes to; one that nobody reads for '_'.
  Ref destination(const ptx::Operand& operand, std::uint32_t size);
  Ref destination(std::size_t index, std::uint32_t size) { return destination(operand(index), size); }
  /// A register, constant, special register or address of a variable to read `size` bytes from.
  Ref source(const ptx::Operand& operand, ptx::Type type);
  Ref source(std::size_t index, ptx::Type type) { return source(operand(index), type); }
  Ref predicate_destination(const ptx::Operand& operand);
  Ref predicate_source(const ptx::Operand& operand);
  /// The size in bytes of a register operand; 0 for anything else.
  std::uint32_t register_size(const ptx::Operand& operand) const;
  /// Elements of a vector operand, or the operand itself.
  std::vector<const ptx::Operand*> elements(std::size_t index) const;
  /// A vector operand of exactly `count` elements.
  std::vector<const ptx::Operand*> elements(std::size_t index, std::size_t count) const;
  /// An immediate integer.
  std::uint64_t integer(std::size_t index) const;
  bool is_integer(std::size_t index) const;
  /// Fills in address, wide, immediate from [base + offset]; `space` as the instruction says.
  void address(std::size_t index, ptx::Space space);
  /// The same for [base, {coordinates}], which it returns.
  const std::vector<ptx::Operand>& address_with_coordinates(std::size_t index, ptx::Space space);
  /// Puts the operation into the kernel before the current one (which may then be changed and used up, too).
  void emit(const Operation& ready);
  Ref temporary(std::uint32_t size) { return kernel_.temporary(size); }
  Ref constant(std::uint64_t bits, std::uint32_t size) { return kernel_.constant(bits, size); }
  KernelBuilder& kernel() { return kernel_; }
  void statistics_class(std::string_view name);

  /// The registers are the business of the handler: other instructions' rules about wgmma in flight do not hold.
  void keep_own_registers() {
    touches_.clear();
    keeps_own_registers_ = true;
  }
  const std::vector<CompiledKernel::Touch>& touches() const { return touches_; }

  // Faults of the instruction, or of one of its operands, at its line and column.
  [[noreturn]] void unsupported(const std::string& why) const;
  [[noreturn]] void unsupported(const ptx::Operand& operand, const std::string& why) const;
  [[noreturn]] void malformed(const std::string& why) const;
  [[noreturn]] void malformed(const ptx::Operand& operand, const std::string& why) const;
  /// Complains about modifiers that nobody took.
  void expect_nothing_left() const;

 private:
  Ref symbol_address(const ptx::Operand& operand, std::uint32_t size);
  Ref special(const ptx::Operand& operand, std::uint32_t size);
  void place_address(const ptx::Operand& operand, ptx::Space space);
  /// !p is for predicates that are read.
  void expect_plain(const ptx::Operand& operand) const;
  Ref touch(std::uint32_t index, bool writes);

  KernelBuilder& kernel_;
  const ptx::Instruction& instruction_;
  std::vector<bool> taken_;
  std::vector<CompiledKernel::Touch> touches_;
  bool keeps_own_registers_ = false;
};

/// Lowers one opcode: sets Builder::operation, which is emitted afterwards unless `run` is null.
using Lower = void (*)(Builder&);
using LowerTable = std::unordered_map<std::string_view, Lower>;

/// The opcodes that the machine knows.
const LowerTable& lower_table();

}  // namespace flashmask::emulator
