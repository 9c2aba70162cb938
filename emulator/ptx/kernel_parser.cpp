#include "emulator/ptx/kernel_parser.h"

#include <unordered_map>

#include "emulator/ptx/declaration.h"

namespace flashmask::emulator::ptx {
namespace {

constexpr std::size_t kMostRegisters = std::size_t{1} << 20;

/// A family of registers, `%r<8>`: the first index and how many. A single name has no number behind it.
struct RegisterFamily {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct Scope {
  std::uint32_t parent = 0;
  std::unordered_map<std::string, std::uint32_t> names;
  std::unordered_map<std::string, RegisterFamily> families;
  std::unordered_map<std::string, std::uint32_t> labels;
};

/// A use of a label, resolved when the whole body is known. `path` leads to the operand.
struct LabelUse {
  std::string name;
  std::uint32_t scope = 0;
  std::uint32_t instruction = 0;
  std::uint32_t operand = 0;
  std::uint32_t line = 0;
};

struct TargetList {
  std::vector<std::string> names;
  std::uint32_t scope = 0;
  std::uint32_t line = 0;
};

class KernelParser {
 public:
  KernelParser(TokenStream& tokens, const std::vector<Variable>& module_variables)
      : tokens_(tokens), module_variables_(module_variables) {}

  Kernel run() {
    kernel_.line = tokens_.line();
    kernel_.name = std::string(tokens_.expect_name("the name of an entry"));
    if (tokens_.accept('(')) parameters();
    while (tokens_.peek().kind == Token::Kind::kDotted) performance_directive();
    body();
    resolve_labels();
    return std::move(kernel_);
  }

 private:
  void parameters() {
    while (!tokens_.accept(')')) {
      if (!tokens_.accept_dotted("param")) tokens_.fail("a .param declaration was expected");
      for (Variable& variable : parse_variables(tokens_, Space::kParam, false)) {
        kernel_.parameters.push_back(std::move(variable));
      }
      if (!tokens_.is(')')) tokens_.expect(',', "between parameters");
    }
  }

  void performance_directive() {
    const std::string_view name = tokens_.peek().text;
    const bool dimensions = name == "maxntid" || name == "reqntid" || name == "reqnctapercluster";
    if (dimensions) {
      tokens_.take();
      std::array<std::uint32_t, 3> values = {1, 1, 1};
      for (std::size_t i = 0; i < 3; ++i) {
        values[i] = static_cast<std::uint32_t>(tokens_.expect_integer("a number of threads"));
        if (!tokens_.accept(',')) break;
      }
      if (name == "maxntid") kernel_.maximal_threads = values;
      if (name == "reqntid") kernel_.required_threads = values;
    } else if (name == "minnctapersm" || name == "maxnreg" || name == "maxclusterrank") {
      tokens_.take();
      tokens_.expect_integer("a number");
    } else if (name == "explicitcluster" || name == "noreturn" || name == "blocksareclusters") {
      tokens_.take();
    } else if (name == "pragma") {
      pragma();
    } else {
      throw ParseError(tokens_.line(), "the directive ." + std::string(name) + " is not known", true);
    }
  }

  void pragma() {
    tokens_.take();
    do {
      if (tokens_.peek().kind != Token::Kind::kString) tokens_.fail("a string was expected after .pragma");
      tokens_.take();
    } while (tokens_.accept(','));
    tokens_.expect(';', "after .pragma");
  }

  void body() {
    tokens_.expect('{', "at the start of the body");
    scopes_.push_back({});
    scope_ = 0;
    for (std::uint32_t depth = 1; depth > 0;) {
      if (tokens_.at_end()) tokens_.fail("'}' was expected at the end of the body");
      if (tokens_.accept('{')) {
        scopes_.push_back({});
        scopes_.back().parent = scope_;
        scope_ = static_cast<std::uint32_t>(scopes_.size() - 1);
        ++depth;
      } else if (tokens_.accept('}')) {
        scope_ = scopes_[scope_].parent;
        --depth;
      } else if (tokens_.peek().kind == Token::Kind::kDotted) {
        directive();
      } else {
        statement();
      }
    }
  }

  void directive() {
    const Token token = tokens_.take();
    const std::string_view name = token.text;
    if (name == "reg") {
      registers();
    } else if (name == "shared" || name == "local") {
      const bool external = false;
      for (Variable& variable : parse_variables(tokens_, *space_named(name), true)) {
        variable.external = external;
        declare(variable.name, variable.line);
        variables_here_.push_back(variable.name);
        kernel_.variables.push_back(std::move(variable));
      }
      tokens_.expect(';', "after a declaration");
    } else if (name == "loc" || name == "file") {
      tokens_.skip_line(token.line);
    } else if (name == "pragma") {
      do {
        if (tokens_.peek().kind != Token::Kind::kString) tokens_.fail("a string was expected after .pragma");
        tokens_.take();
      } while (tokens_.accept(','));
      tokens_.expect(';', "after .pragma");
    } else {
      throw ParseError(token.line, "the directive ." + std::string(name) + " is not known in a body", true);
    }
  }

  void declare(const std::string& name, std::uint32_t line) {
    Scope& scope = scopes_[scope_];
    if (scope.names.contains(name) || scope.families.contains(name)) {
      throw ParseError(line, "'" + name + "' is declared twice");
    }
  }

  void registers() {
    if (tokens_.peek().kind != Token::Kind::kDotted) tokens_.fail("a register type was expected");
    const std::optional<Type> type = type_named(tokens_.peek().text);
    if (!type) tokens_.fail("a register type was expected");
    tokens_.take();
    do {
      const std::uint32_t line = tokens_.line();
      const std::string name(tokens_.expect_name("the name of a register"));
      declare(name, line);
      const auto first = static_cast<std::uint32_t>(kernel_.registers.size());
      if (tokens_.accept('<')) {
        const std::uint64_t count = tokens_.expect_integer("a number of registers");
        tokens_.expect('>', "after a number of registers");
        if (count > kMostRegisters || first + count > kMostRegisters) throw ParseError(line, "too many registers");
        scopes_[scope_].families[name] = {first, static_cast<std::uint32_t>(count)};
        for (std::uint64_t i = 0; i < count; ++i) kernel_.registers.push_back({name + std::to_string(i), *type});
      } else {
        if (first + 1 > kMostRegisters) throw ParseError(line, "too many registers");
        scopes_[scope_].names[name] = first;
        kernel_.registers.push_back({name, *type});
      }
    } while (tokens_.accept(','));
    tokens_.expect(';', "after a register declaration");
  }

  void statement() {
    if (tokens_.accept(';')) return;
    if (tokens_.peek().kind == Token::Kind::kName && tokens_.peek(1).kind == Token::Kind::kPunctuation &&
        tokens_.peek(1).text == ":") {
      return label();
    }
    instruction();
  }

  void label() {
    const std::uint32_t line = tokens_.line();
    const std::string name(tokens_.take().text);
    tokens_.take();
    if (tokens_.is_dotted("branchtargets")) return branch_targets(name);
    const auto here = static_cast<std::uint32_t>(kernel_.instructions.size());
    if (!scopes_[scope_].labels.emplace(name, here).second) {
      throw ParseError(line, "the label '" + name + "' stands twice in one scope");
    }
  }

  void branch_targets(const std::string& name) {
    TargetList list;
    list.scope = scope_;
    list.line = tokens_.line();
    tokens_.take();
    do {
      list.names.emplace_back(tokens_.expect_name("a label"));
    } while (tokens_.accept(','));
    tokens_.expect(';', "after a list of branch targets");
    scopes_[scope_].labels[name] = static_cast<std::uint32_t>(target_lists_.size());
    target_lists_.push_back(std::move(list));
  }

  void instruction() {
    Instruction instruction;
    instruction.line = tokens_.line();
    if (tokens_.accept('@')) {
      instruction.guarded = true;
      instruction.guard_negated = tokens_.accept('!');
      const std::string name(tokens_.expect_name("a predicate"));
      const std::optional<std::uint32_t> found = find_register(name);
      if (!found || kernel_.registers[*found].type != Type::kPred) {
        throw ParseError(instruction.line, "'" + name + "' is not a predicate");
      }
      instruction.guard = *found;
      instruction.line = tokens_.line();
    }
    instruction.opcode = std::string(tokens_.expect_name("an instruction"));
    while (tokens_.peek().kind == Token::Kind::kDotted) instruction.modifiers.emplace_back(tokens_.take().text);
    if (!tokens_.is(';')) {
      do {
        instruction.operands.push_back(operand(0));
      } while (tokens_.accept(','));
    }
    tokens_.expect(';', "at the end of '" + instruction.full_name() + "'");
    const auto index = static_cast<std::uint32_t>(kernel_.instructions.size());
    for (std::uint32_t i = 0; i < instruction.operands.size(); ++i) {
      const Operand& given = instruction.operands[i];
      if (given.kind != Operand::Kind::kLabel) continue;
      label_uses_.push_back({given.name, scope_, index, i, instruction.line});
    }
    kernel_.instructions.push_back(std::move(instruction));
  }

  Operand operand(int depth) {
    if (depth > 2) tokens_.fail("operands are nested too deeply");
    Operand result = simple_operand(depth);
    if (tokens_.accept('|')) {
      Operand pair;
      pair.kind = Operand::Kind::kPair;
      pair.elements.push_back(std::move(result));
      pair.elements.push_back(simple_operand(depth));
      return pair;
    }
    return result;
  }

  Operand simple_operand(int depth) {
    if (tokens_.accept('{')) return vector(depth);
    if (tokens_.accept('[')) return address();
    if (tokens_.accept('!')) {
      Operand result = name();
      result.negated = true;
      return result;
    }
    if (tokens_.peek().kind == Token::Kind::kName) return name();
    return number();
  }

  Operand number() {
    const bool negative = tokens_.accept('-');
    if (!negative) tokens_.accept('+');
    const Token token = tokens_.peek();
    Operand result;
    result.bits = token.bits;
    switch (token.kind) {
      case Token::Kind::kInteger:
        result.kind = Operand::Kind::kInteger;
        if (negative) result.bits = ~token.bits + 1;
        break;
      case Token::Kind::kSingle:
        result.kind = Operand::Kind::kSingle;
        if (negative) result.bits ^= 0x80000000u;
        break;
      case Token::Kind::kDouble:
        result.kind = Operand::Kind::kDouble;
        if (negative) result.bits ^= std::uint64_t{1} << 63;
        break;
      default:
        tokens_.fail("an operand was expected");
    }
    tokens_.take();
    return result;
  }

  Operand vector(int depth) {
    Operand result;
    result.kind = Operand::Kind::kVector;
    do {
      result.elements.push_back(operand(depth + 1));
      if (result.elements.size() > 512) tokens_.fail("a vector operand is too long");
    } while (tokens_.accept(','));
    tokens_.expect('}', "after a vector operand");
    return result;
  }

  Operand address() {
    Operand result;
    result.kind = Operand::Kind::kAddress;
    if (tokens_.peek().kind == Token::Kind::kName) {
      result.elements.push_back(name());
    } else {
      result.bits = number().bits;
    }
    while (tokens_.is('+') || tokens_.is('-')) {
      const bool negative = tokens_.take().text == "-";
      const bool twice = tokens_.accept('-');
      const std::uint64_t offset = tokens_.expect_integer("an offset");
      result.bits += negative != twice ? ~offset + 1 : offset;
    }
    tokens_.expect(']', "after an address");
    return result;
  }

  /// Registers first, then variables, special registers, and what is left is taken for a label.
  Operand name() {
    Operand result;
    result.name = std::string(tokens_.expect_name("an operand"));
    if (result.name == "_") {
      result.kind = Operand::Kind::kSink;
      return result;
    }
    if (const std::optional<std::uint32_t> found = find_register(result.name)) {
      result.kind = Operand::Kind::kRegister;
      result.index = *found;
      return result;
    }
    if (is_variable(result.name)) {
      result.kind = Operand::Kind::kSymbol;
      return result;
    }
    if (result.name[0] == '%') {
      result.kind = Operand::Kind::kSpecial;
      if (tokens_.peek().kind == Token::Kind::kDotted && !tokens_.peek().spaced) {
        result.name += "." + std::string(tokens_.take().text);
      }
      return result;
    }
    if (result.name == "WARP_SZ") {
      result.kind = Operand::Kind::kInteger;
      result.bits = 32;
      return result;
    }
    result.kind = Operand::Kind::kLabel;
    return result;
  }

  std::optional<std::uint32_t> find_register(const std::string& name) const {
    std::size_t digits = name.size();
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') --digits;
    // Without leading zeros: %r01 is not %r1.
    const std::string number = name.substr(digits);
    const bool numbered = !number.empty() && number.size() < 8 && (number.size() == 1 || number[0] != '0');
    const std::string stem = name.substr(0, digits);
    for (std::uint32_t at = scope_;; at = scopes_[at].parent) {
      const Scope& scope = scopes_[at];
      if (const auto found = scope.names.find(name); found != scope.names.end()) return found->second;
      if (numbered) {
        const auto found = scope.families.find(stem);
        if (found != scope.families.end()) {
          const auto index = static_cast<std::uint32_t>(std::stoul(number));
          if (index < found->second.count) return found->second.first + index;
        }
      }
      if (at == 0) return std::nullopt;
    }
  }

  bool is_variable(const std::string& name) const {
    for (const std::string& each : variables_here_) {
      if (each == name) return true;
    }
    for (const Variable& each : kernel_.parameters) {
      if (each.name == name) return true;
    }
    for (const Variable& each : module_variables_) {
      if (each.name == name) return true;
    }
    return false;
  }

  std::uint32_t find_label(const std::string& name, std::uint32_t from, std::uint32_t line) const {
    for (std::uint32_t at = from;; at = scopes_[at].parent) {
      const auto found = scopes_[at].labels.find(name);
      if (found != scopes_[at].labels.end()) return found->second;
      if (at == 0) throw ParseError(line, "the name '" + name + "' is not declared");
    }
  }

  void resolve_labels() {
    for (const LabelUse& use : label_uses_) {
      Operand& given = kernel_.instructions[use.instruction].operands[use.operand];
      given.index = find_label(use.name, use.scope, use.line);
    }
    for (const TargetList& list : target_lists_) {
      std::vector<std::uint32_t> targets;
      for (const std::string& each : list.names) targets.push_back(find_label(each, list.scope, list.line));
      kernel_.branch_targets.push_back(std::move(targets));
    }
  }

  TokenStream& tokens_;
  const std::vector<Variable>& module_variables_;
  Kernel kernel_;
  std::vector<Scope> scopes_;
  std::uint32_t scope_ = 0;
  std::vector<std::string> variables_here_;
  std::vector<LabelUse> label_uses_;
  std::vector<TargetList> target_lists_;
};

}  // namespace

Kernel parse_kernel(TokenStream& tokens, const std::vector<Variable>& module_variables) {
  return KernelParser(tokens, module_variables).run();
}

}  // namespace flashmask::emulator::ptx
