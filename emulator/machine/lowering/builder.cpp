#include "emulator/machine/lowering/builder.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "emulator/machine/core/warp.h"
#include "emulator/machine/handlers/families.h"

namespace flashmask::emulator {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

Builder::Builder(KernelBuilder& kernel, const ptx::Instruction& instruction)
    : kernel_(kernel), instruction_(instruction), taken_(instruction.modifiers.size(), false) {
  operation.line = instruction.line;
  if (instruction.guarded) {
    operation.guard = kernel.register_ref(instruction.guard) | (instruction.guard_negated ? kNegatedBit : 0);
  }
  statistics_class("int");
}

void Builder::statistics_class(std::string_view name) {
  operation.statistics_class = kernel_.class_named(name);
}

bool Builder::take(std::string_view modifier) {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (!taken_[i] && instruction_.modifiers[i] == modifier) {
      taken_[i] = true;
      return true;
    }
  }
  return false;
}

std::optional<std::size_t> Builder::take_one_of(std::initializer_list<std::string_view> choices) {
  std::size_t position = 0;
  for (const std::string_view choice : choices) {
    if (take(choice)) return position;
    ++position;
  }
  return std::nullopt;
}

std::optional<std::size_t> Builder::take_first_of(std::initializer_list<std::string_view> choices) {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    const auto found = std::find(choices.begin(), choices.end(), instruction_.modifiers[i]);
    if (taken_[i] || found == choices.end()) continue;
    taken_[i] = true;
    return static_cast<std::size_t>(found - choices.begin());
  }
  return std::nullopt;
}

std::optional<Type> Builder::optional_type() {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (taken_[i]) continue;
    if (const std::optional<Type> found = ptx::type_named(instruction_.modifiers[i])) {
      taken_[i] = true;
      return found;
    }
  }
  return std::nullopt;
}

std::optional<Type> Builder::next_type() const {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (taken_[i]) continue;
    if (const std::optional<Type> found = ptx::type_named(instruction_.modifiers[i])) return found;
  }
  return std::nullopt;
}

Type Builder::type() {
  const std::optional<Type> found = optional_type();
  if (!found) malformed("a type is missing");
  return *found;
}

Space Builder::space_or_generic() {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (taken_[i]) continue;
    if (const std::optional<Space> found = ptx::space_named(instruction_.modifiers[i])) {
      taken_[i] = true;
      return *found;
    }
  }
  return Space::kGeneric;
}

void Builder::take_strength(bool strong, bool acquires, bool releases) {
  const auto named = take_one_of({"cta", "cluster", "gpu", "sys"});
  if (!strong) return;
  // Without a scope: of the GPU, and volatile of the system.
  const Scope scope = !named ? Scope::kGpu : *named == 0 ? Scope::kCta : *named == 1 ? Scope::kCluster : Scope::kGpu;
  operation.access |= static_cast<std::uint8_t>(kStrong | static_cast<std::uint32_t>(scope) << kScopeShift);
  operation.order = static_cast<std::uint8_t>((acquires ? kAcquires : 0) | (releases ? kReleases : 0));
}

void Builder::take_cache_hints() {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    const std::string& name = instruction_.modifiers[i];
    const bool level = name.starts_with("L1::") || (name.starts_with("L2::") && name != "L2::cache_hint");
    const bool plain =
        name == "ca" || name == "cg" || name == "cs" || name == "lu" || name == "cv" || name == "wb" || name == "wt";
    if (level || plain) taken_[i] = true;
  }
}

const Operand& Builder::operand(std::size_t index) const {
  if (index >= instruction_.operands.size()) malformed("an operand is missing");
  return instruction_.operands[index];
}

void Builder::expect_operands(std::size_t least, std::size_t most) {
  const std::size_t given = operands();
  if (given >= least && given <= most) return;
  malformed(least == most ? fmt::format("{} operands are given, {} are needed", given, least)
                          : fmt::format("{} operands are given, {} to {} are needed", given, least, most));
}

std::uint32_t Builder::register_size(const Operand& given) const {
  if (given.kind != Operand::Kind::kRegister) return 0;
  return ptx::size_of(kernel_.register_type(given.index));
}

Ref Builder::destination(const Operand& given, std::uint32_t size) {
  expect_plain(given);
  if (given.kind == Operand::Kind::kSink) return temporary(size);
  if (given.kind == Operand::Kind::kSpecial && !special_register_named(given.name)) {
    malformed(given, "the register " + given.name + " is not declared");
  }
  if (given.kind != Operand::Kind::kRegister) malformed(given, "a register to write to was expected");
  if (register_size(given) != size) {
    malformed(given, fmt::format("the register {} has {} bits, {} are written", kernel_.register_name(given.index),
                                 register_size(given) * 8, size * 8));
  }
  return touch(given.index, true);
}

Ref Builder::touch(std::uint32_t index, bool writes) {
  const Ref ref = kernel_.register_ref(index);
  if (!keeps_own_registers_) touches_.push_back({ref, writes});
  return ref;
}

Ref Builder::source(const Operand& given, Type type) {
  expect_plain(given);
  const std::uint32_t size = ptx::size_of(type);
  switch (given.kind) {
    case Operand::Kind::kRegister:
      if (register_size(given) != size) {
        malformed(given, fmt::format("the register {} has {} bits, {} are read", kernel_.register_name(given.index),
                                     register_size(given) * 8, size * 8));
      }
      return touch(given.index, false);
    case Operand::Kind::kInteger: {
      if (type == Type::kF32) return constant(std::bit_cast<std::uint32_t>(static_cast<float>(given.bits)), 4);
      if (type == Type::kF64) return constant(std::bit_cast<std::uint64_t>(static_cast<double>(given.bits)), 8);
      const std::uint64_t bits = size >= 8 ? given.bits : given.bits & ((std::uint64_t{1} << (8 * size)) - 1);
      return constant(bits, size);
    }
    case Operand::Kind::kSingle:
      if (size == 8)
        return constant(
            std::bit_cast<std::uint64_t>(double{std::bit_cast<float>(static_cast<std::uint32_t>(given.bits))}), 8);
      if (size != 4) malformed(given, "a 32-bit constant does not fit the type");
      return constant(given.bits, 4);
    case Operand::Kind::kDouble: {
      const double value = std::bit_cast<double>(given.bits);
      if (size == 8) return constant(given.bits, 8);
      if (size == 4) return constant(std::bit_cast<std::uint32_t>(static_cast<float>(value)), 4);
      malformed(given, "a 64-bit constant does not fit the type");
    }
    case Operand::Kind::kSymbol:
      return symbol_address(given, size);
    case Operand::Kind::kSpecial:
      return special(given, size);
    case Operand::Kind::kLabel:
      malformed(given, "the name '" + given.name + "' is not declared");
    default:
      malformed(given, "a register or a constant was expected");
  }
}

Ref Builder::symbol_address(const Operand& given, std::uint32_t size) {
  const std::optional<KernelBuilder::Symbol> symbol = kernel_.find_symbol(given.name);
  if (!symbol) malformed(given, "the name '" + given.name + "' is not declared");
  if (size != 4 && size != 8) malformed(given, "an address has 32 or 64 bits");
  if (symbol->space != Space::kGlobal) return constant(symbol->offset, size);
  if (size != 8) malformed(given, "a global address has 64 bits");
  Operation load;
  load.run = variable_address_handler();
  load.line = instruction_.line;
  load.statistics_class = kernel_.class_named("int");
  load.immediate = symbol->offset;
  load.r[0] = temporary(8);
  kernel_.emit(load);
  return load.r[0];
}

Ref Builder::special(const Operand& given, std::uint32_t size) {
  Operation load;
  load.run = special_register_handler();
  load.line = instruction_.line;
  load.statistics_class = kernel_.class_named("int");
  const std::optional<SpecialRegister> which = special_register_named(given.name);
  if (!which) {
    unsupported(given, "'" + given.name + "' is neither a declared register nor a special register that is known");
  }
  load.mode = static_cast<std::uint8_t>(*which);
  load.size = static_cast<std::uint8_t>(size);
  if (size != 2 && size != 4 && size != 8) malformed(given, "a special register has 16, 32 or 64 bits");
  load.r[0] = temporary(size);
  kernel_.emit(load);
  return load.r[0];
}

Ref Builder::predicate_destination(const Operand& given) {
  expect_plain(given);
  if (given.kind == Operand::Kind::kSink) return temporary(4);
  if (given.kind != Operand::Kind::kRegister || kernel_.register_type(given.index) != Type::kPred) {
    malformed(given, "a predicate to write to was expected");
  }
  return kernel_.register_ref(given.index);
}

Ref Builder::predicate_source(const Operand& given) {
  if (given.kind == Operand::Kind::kInteger) return constant((given.bits != 0) != given.negated ? kAllLanes : 0, 0);
  if (given.kind != Operand::Kind::kRegister || kernel_.register_type(given.index) != Type::kPred) {
    malformed(given, "a predicate was expected");
  }
  return kernel_.register_ref(given.index) | (given.negated ? kNegatedBit : 0);
}

void Builder::expect_plain(const Operand& given) const {
  if (given.negated) malformed(given, "only a predicate that is read can be negated");
}

std::vector<const Operand*> Builder::elements(std::size_t index) const {
  const Operand& given = operand(index);
  if (given.kind != Operand::Kind::kVector) return {&given};
  std::vector<const Operand*> result;
  for (const Operand& each : given.elements) result.push_back(&each);
  return result;
}

std::vector<const Operand*> Builder::elements(std::size_t index, std::size_t count) const {
  std::vector<const Operand*> result = elements(index);
  if (result.size() != count) {
    malformed(operand(index), fmt::format("a vector operand has {} elements, not {}", result.size(), count));
  }
  return result;
}

bool Builder::is_integer(std::size_t index) const {
  return index < operands() && operand(index).kind == Operand::Kind::kInteger;
}

std::uint64_t Builder::integer(std::size_t index) const {
  if (operand(index).kind != Operand::Kind::kInteger) malformed(operand(index), "an integer constant was expected");
  return operand(index).bits;
}

void Builder::address(std::size_t index, Space space) {
  const Operand& given = operand(index);
  if (given.kind != Operand::Kind::kAddress) malformed(given, "an address in brackets was expected");
  if (given.elements.size() > 1) malformed(given.elements[1], "coordinates cannot stand here");
  place_address(given, space);
}

const std::vector<Operand>& Builder::address_with_coordinates(std::size_t index, Space space) {
  const Operand& given = operand(index);
  if (given.kind != Operand::Kind::kAddress || given.elements.size() != 2) {
    malformed(given, "an address with coordinates, [base, {x, y}], was expected");
  }
  place_address(given, space);
  return given.elements[1].elements;
}

void Builder::place_address(const Operand& given, Space space) {
  operation.space = space;
  operation.immediate = given.bits;
  if (given.elements.empty()) {
    operation.wide = 1;
    operation.address = constant(0, 8);
    return;
  }
  const Operand& base = given.elements[0];
  if (base.kind == Operand::Kind::kRegister) {
    const std::uint32_t size = register_size(base);
    if (size != 4 && size != 8) malformed(base, "an address register has 32 or 64 bits");
    operation.wide = size == 8;
    operation.address = touch(base.index, false);
    return;
  }
  if (base.kind == Operand::Kind::kSpecial && !special_register_named(base.name)) {
    malformed(base, "the register " + base.name + " is not declared");
  }
  if (base.kind != Operand::Kind::kSymbol) malformed(base, "the base of an address is a register or a variable");
  const std::optional<KernelBuilder::Symbol> symbol = kernel_.find_symbol(base.name);
  if (!symbol) malformed(base, "the name '" + base.name + "' is not declared");
  const Space actual = space == Space::kConst           ? Space::kGlobal
                       : space == Space::kSharedCluster ? Space::kShared
                                                        : space;
  if (symbol->space != actual) {
    malformed(base, fmt::format("the variable '{}' is not in the space .{}", base.name, ptx::name_of(space)));
  }
  operation.wide = 1;
  operation.address = symbol_address(base, 8);
}

void Builder::emit(const Operation& ready) {
  kernel_.emit(ready);
}

void Builder::expect_nothing_left() const {
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    if (!taken_[i]) unsupported("the modifier '." + instruction_.modifiers[i] + "' is not known here");
  }
}

void Builder::unsupported(const std::string& why) const {
  kernel_.fail(Fault::Kind::kUnsupported, {instruction_.line, instruction_.column},
               instruction_.full_name() + ": " + why);
}

void Builder::unsupported(const Operand& given, const std::string& why) const {
  kernel_.fail(Fault::Kind::kUnsupported, given.position, instruction_.full_name() + ": " + why);
}

void Builder::malformed(const std::string& why) const {
  kernel_.fail(Fault::Kind::kSyntax, {instruction_.line, instruction_.column}, instruction_.full_name() + ": " + why);
}

void Builder::malformed(const Operand& given, const std::string& why) const {
  kernel_.fail(Fault::Kind::kSyntax, given.position, instruction_.full_name() + ": " + why);
}

}  // namespace flashmask::emulator
