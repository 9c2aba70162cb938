#include "emulator/ptx/kernel_parser.h"

#include <string>
#include <unordered_set>

#include "emulator/ptx/declaration.h"
#include "emulator/ptx/quiet_directive.h"
#include "emulator/ptx/symbol_table.h"

namespace flashmask::emulator::ptx {
namespace {

constexpr std::uint32_t kMostDimension = 65535;
constexpr std::size_t kMostModifiers = 32;

class KernelParser {
 public:
  KernelParser(TokenStream& tokens, const VariableNames& module_variables, std::size_t& registers_left)
      : tokens_(tokens),
        registers_left_(registers_left),
        module_variables_(module_variables),
        operands_(tokens, symbols_, module_variables) {}

  Kernel run() {
    const Position position = tokens_.position();
    kernel_.line = position.line;
    kernel_.column = position.column;
    kernel_.name = std::string(tokens_.expect_name("the name of an entry"));
    symbols_.open(position);
    if (tokens_.accept('(')) parameters();
    while (tokens_.peek().kind == Token::Kind::kDotted) performance_directive();
    body();
    for (const auto& [use, symbol] : symbols_.resolved()) resolve(use, symbol);
    return std::move(kernel_);
  }

 private:
  void parameters() {
    while (!tokens_.accept(')')) {
      if (!tokens_.accept_dotted("param")) tokens_.fail("a .param declaration was expected");
      declare_variables(Space::kParam, {}, kernel_.parameters);
      if (!tokens_.is(')')) tokens_.expect(',', "between parameters");
    }
  }

  void declare_variables(Space space, const DeclarationRules& rules, std::vector<Variable>& into) {
    for (Variable& variable : parse_variables(tokens_, space, rules)) {
      const auto [name, fresh] = variable_names_.insert(variable.name);
      symbols_.declare(*name, {Symbol::Kind::kVariable, 0}, variable.position);
      // An instruction knows a variable by its name alone, whatever the block.
      if (!fresh || (space != Space::kParam && module_variables_.contains(*name))) {
        throw ParseError(variable.position,
                         "a second variable called '" + variable.name + "' is not known: rename one of them", true);
      }
      into.push_back(std::move(variable));
    }
  }

  std::array<std::uint32_t, 3> dimensions(std::string_view what) {
    std::array<std::uint32_t, 3> values = {1, 1, 1};
    for (std::uint32_t& value : values) {
      value = tokens_.expect_number(what, 1, kMostDimension);
      if (!tokens_.accept(',')) break;
    }
    return values;
  }

  void performance_directive() {
    if (skip_quiet_directive(tokens_)) return;
    const Token& token = tokens_.take();
    const std::string_view name = token.text;
    if (name == "maxntid") {
      kernel_.maximal_threads = dimensions("a number of threads");
    } else if (name == "reqntid") {
      kernel_.required_threads = dimensions("a number of threads");
    } else if (name == "reqnctapercluster") {
      kernel_.cluster = dimensions("a number of CTAs");
    } else if (name == "explicitcluster") {
      kernel_.explicit_cluster = true;
    } else if (name == "maxclusterrank") {
      kernel_.maximal_cluster_rank = tokens_.expect_number("a number of CTAs", 1, kMostDimension);
    } else if (name == "maxnreg") {
      kernel_.maximal_registers = tokens_.expect_number("a number of registers", 1, kMostDimension);
    } else if (name == "minnctapersm" || name == "maxnctapersm") {
      tokens_.expect_number("a number", 1, kMostDimension);
    } else if (name != "noreturn") {
      throw ParseError(token.position, "the directive ." + std::string(name) + " is not known", true);
    }
  }

  void body() {
    tokens_.expect('{', "at the start of the body");
    // Parameters share the block of the body.
    while (symbols_.is_open()) {
      if (tokens_.at_end()) tokens_.fail("'}' was expected at the end of the body");
      if (tokens_.is('{')) {
        symbols_.open(tokens_.take().position);
      } else if (tokens_.accept('}')) {
        symbols_.close();
      } else if (tokens_.peek().kind == Token::Kind::kDotted) {
        directive();
      } else {
        statement();
      }
    }
  }

  void directive() {
    if (skip_quiet_directive(tokens_)) return;
    const Token& token = tokens_.take();
    const std::string_view name = token.text;
    if (name == "reg") {
      registers();
    } else if (name == "shared" || name == "local") {
      DeclarationRules rules;
      rules.several = true;
      declare_variables(*space_named(name), rules, kernel_.variables);
      tokens_.expect(';', "after a declaration");
    } else if (name == "param") {
      throw ParseError(token.position,
                       "a .param within a body is an argument of a device function, and 'call' is not known", true);
    } else {
      throw ParseError(token.position, "the directive ." + std::string(name) + " is not known in a body", true);
    }
  }

  void registers() {
    if (tokens_.is_dotted("v2") || tokens_.is_dotted("v4")) tokens_.refuse("registers of a vector type are not known");
    const std::optional<Type> type =
        tokens_.peek().kind == Token::Kind::kDotted ? type_named(tokens_.peek().text) : std::nullopt;
    if (!type) tokens_.fail("a register type was expected");
    tokens_.take();
    do {
      const Position position = tokens_.position();
      const std::string_view name = tokens_.expect_name("the name of a register");
      const auto first = static_cast<std::uint32_t>(kernel_.registers.size());
      if (tokens_.accept('<')) {
        const std::uint64_t count = tokens_.expect_integer("a number of registers");
        tokens_.expect('>', "after a number of registers");
        add_registers(name, count, *type, position);
        symbols_.declare_family(name, first, static_cast<std::uint32_t>(count), position);
      } else {
        add_registers(name, 1, *type, position);
        kernel_.registers.back().name = std::string(name);
        symbols_.declare(name, {Symbol::Kind::kRegister, first}, position);
      }
    } while (tokens_.accept(','));
    tokens_.expect(';', "after a register declaration");
  }

  void add_registers(std::string_view stem, std::uint64_t count, Type type, Position position) {
    if (count > registers_left_) {
      throw ParseError(position,
                       "the registers of the module are more than " + std::to_string(kMostRegisters) + " with '" +
                           std::string(stem) + "'",
                       true);
    }
    registers_left_ -= count;
    for (std::uint64_t i = 0; i < count; ++i) {
      kernel_.registers.push_back({std::string(stem) + std::to_string(i), type});
    }
  }

  void statement() {
    if (tokens_.accept(';')) return;
    const Token& behind = tokens_.peek(1);
    if (tokens_.peek().kind == Token::Kind::kName && behind.kind == Token::Kind::kPunctuation && behind.text == ":") {
      label();
    } else {
      instruction();
    }
  }

  void label() {
    const Position position = tokens_.position();
    const std::string_view name = tokens_.take().text;
    tokens_.expect(':', "after a label");
    if (tokens_.accept_dotted("branchtargets")) {
      symbols_.declare(name, {Symbol::Kind::kTargets, branch_targets()}, position);
    } else if (tokens_.is_dotted("calltargets") || tokens_.is_dotted("callprototype")) {
      tokens_.refuse("." + std::string(tokens_.peek().text) + " is not known: device functions and 'call' are not");
    } else {
      const auto here = static_cast<std::uint32_t>(kernel_.instructions.size());
      symbols_.declare(name, {Symbol::Kind::kLabel, here}, position);
      kernel_.labels.push_back({std::string(name), here, position.line});
    }
  }

  /// Returns the index of the list.
  std::uint32_t branch_targets() {
    const auto index = static_cast<std::uint32_t>(kernel_.branch_targets.size());
    std::uint32_t count = 0;
    do {
      const Position position = tokens_.position();
      symbols_.use_label({tokens_.expect_name("a label"), position, true, index, count++});
    } while (tokens_.accept(','));
    tokens_.expect(';', "after a list of branch targets");
    kernel_.branch_targets.emplace_back(count);
    return index;
  }

  void resolve(const LabelUse& use, Symbol symbol) {
    if (!use.in_list) {
      Operand& given = kernel_.instructions[use.container].operands[use.entry];
      given.index = symbol.index;
      if (symbol.kind == Symbol::Kind::kTargets) given.kind = Operand::Kind::kTargets;
    } else if (symbol.kind == Symbol::Kind::kLabel) {
      kernel_.branch_targets[use.container][use.entry] = symbol.index;
    } else {
      throw ParseError(use.position, "'" + std::string(use.name) + "' is a list of branch targets, not a label");
    }
  }

  void guard(Instruction& instruction) {
    if (!tokens_.accept('@')) return;
    instruction.guarded = true;
    instruction.guard_negated = tokens_.accept('!');
    const Position position = tokens_.position();
    const std::string_view name = tokens_.expect_name("a predicate");
    const std::optional<Symbol> found = symbols_.find(name);
    if (!found) throw ParseError(position, "the register " + std::string(name) + " is not declared");
    if (found->kind != Symbol::Kind::kRegister || kernel_.registers[found->index].type != Type::kPred) {
      throw ParseError(position, "'" + std::string(name) + "' is not a predicate");
    }
    instruction.guard = found->index;
  }

  void instruction() {
    Instruction instruction;
    guard(instruction);
    const Position position = tokens_.position();
    instruction.line = position.line;
    instruction.column = position.column;
    instruction.opcode = std::string(tokens_.expect_name("an instruction"));
    if (instruction.opcode == "call") {
      throw ParseError(position, "'call' is not known: device functions have to be inlined into the kernel", true);
    }
    while (tokens_.peek().kind == Token::Kind::kDotted) {
      if (instruction.modifiers.size() == kMostModifiers) {
        tokens_.fail("an instruction has more than " + std::to_string(kMostModifiers) + " modifiers");
      }
      instruction.modifiers.emplace_back(tokens_.take().text);
    }
    if (!tokens_.is(';')) operands(instruction);
    tokens_.expect(';', "at the end of '" + instruction.full_name() + "'");
    kernel_.instructions.push_back(std::move(instruction));
  }

  void operands(Instruction& instruction) {
    const auto here = static_cast<std::uint32_t>(kernel_.instructions.size());
    do {
      const std::string_view text = tokens_.peek().text;
      instruction.operands.push_back(operands_.parse());
      const Operand& given = instruction.operands.back();
      if (given.kind != Operand::Kind::kLabel) continue;
      if (given.negated) throw ParseError(given.position, "a label cannot be negated");
      const auto entry = static_cast<std::uint32_t>(instruction.operands.size() - 1);
      symbols_.use_label({text, given.position, false, here, entry});
    } while (tokens_.accept(','));
  }

  TokenStream& tokens_;
  std::size_t& registers_left_;
  const VariableNames& module_variables_;
  Kernel kernel_;
  SymbolTable symbols_;
  OperandParser operands_;
  std::unordered_set<std::string> variable_names_;
};

}  // namespace

Kernel parse_kernel(TokenStream& tokens, const VariableNames& module_variables, std::size_t& registers_left) {
  return KernelParser(tokens, module_variables, registers_left).run();
}

}  // namespace flashmask::emulator::ptx
