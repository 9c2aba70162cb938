#include <algorithm>
#include <array>
#include <unordered_set>

#include "emulator/ptx/declaration.h"
#include "emulator/ptx/kernel_parser.h"
#include "emulator/ptx/module.h"
#include "emulator/ptx/quiet_directive.h"

namespace flashmask::emulator::ptx {
namespace {

class ModuleParser {
 public:
  explicit ModuleParser(std::string_view text) : tokens_(tokenize(text)) {}

  Module run() {
    if (!tokens_.is_dotted("version")) tokens_.fail("PTX begins with .version");
    tokens_.take();
    version();
    if (!tokens_.accept_dotted("target")) tokens_.fail(".target was expected after .version");
    target();
    while (!tokens_.at_end()) item();
    check_relocations();
    return std::move(module_);
  }

 private:
  /// 9.0
  void version() {
    if (tokens_.peek().kind != Token::Kind::kDouble) tokens_.fail("a version such as 9.0 was expected");
    module_.version = std::string(tokens_.take().text);
  }

  /// sm_90a, debug
  void target() {
    if (!tokens_.peek().text.starts_with("sm_")) tokens_.fail("a target such as sm_90a was expected");
    module_.target = std::string(tokens_.expect_name("a target"));
    constexpr std::array<std::string_view, 3> kOptions = {"debug", "texmode_unified", "texmode_independent"};
    while (tokens_.accept(',')) {
      const std::string_view option = tokens_.peek().text;
      if (std::find(kOptions.begin(), kOptions.end(), option) == kOptions.end()) {
        tokens_.refuse("the option '" + std::string(option) + "' of .target is not known");
      }
      tokens_.take();
    }
  }

  void item() {
    if (tokens_.accept(';') || skip_quiet_directive(tokens_)) return;
    if (tokens_.peek().kind != Token::Kind::kDotted) tokens_.fail("a directive was expected");
    const Token& token = tokens_.take();
    const std::string_view name = token.text;
    if (name == "address_size") {
      address_size(token.position);
    } else if (name == "section") {
      section();
    } else if (name == "visible" || name == "weak" || name == "common") {
      linked(false);
    } else if (name == "extern") {
      linked(true);
    } else if (is_definition(token)) {
      definition(token, false);
    } else {
      refuse(token);
    }
  }

  [[noreturn]] static void refuse(const Token& directive) {
    const std::string name(directive.text);
    const bool misplaced = name == "version" || name == "target";
    throw ParseError(
        directive.position,
        misplaced ? "the directive ." + name + " stands twice" : "the directive ." + name + " is not known",
        !misplaced);
  }

  void address_size(Position position) {
    if (tokens_.expect_integer("an address size") != 64) {
      throw ParseError(position, "only 64-bit addresses are known", true);
    }
  }

  /// Debugging data.
  void section() {
    while (!tokens_.is('{') && !tokens_.at_end()) tokens_.take();
    tokens_.skip_block();
  }

  static bool is_definition(const Token& token) {
    constexpr std::array<std::string_view, 5> kNames = {"entry", "func", "global", "const", "shared"};
    return token.kind == Token::Kind::kDotted && std::find(kNames.begin(), kNames.end(), token.text) != kNames.end();
  }

  /// What follows .visible and its kin.
  void linked(bool external) {
    if (!is_definition(tokens_.peek())) tokens_.fail(".entry, .func or a state space was expected");
    definition(tokens_.take(), external);
  }

  void definition(const Token& directive, bool external) {
    if (directive.text == "entry") {
      entry();
    } else if (directive.text == "func") {
      function(directive);
    } else {
      variables(directive, external);
    }
  }

  /// Returns a copy of the name that lives as long as this parser.
  std::string_view declare(std::string_view name, Position position) {
    const auto [copy, fresh] = names_.emplace(name);
    if (!fresh) throw ParseError(position, "'" + std::string(name) + "' is declared twice");
    return *copy;
  }

  void entry() {
    const Token& name = tokens_.peek();
    if (module_.kernels.size() == kMostKernels) {
      tokens_.refuse("the module has more than " + std::to_string(kMostKernels) + " entries");
    }
    module_.kernels.push_back(parse_kernel(tokens_, variable_names_, registers_left_));
    declare(name.text, name.position);
  }

  /// A declaration says nothing that is needed; a call is refused where it stands.
  void function(const Token& directive) {
    while (!tokens_.is('{') && !tokens_.is(';') && !tokens_.at_end()) tokens_.take();
    if (tokens_.is('{')) {
      throw ParseError(directive.position,
                       "device functions (.func) are not known: they have to be inlined into the kernel", true);
    }
    tokens_.expect(';', "after a function declaration");
  }

  void variables(const Token& directive, bool external) {
    const Space space = *space_named(directive.text);
    if (external && space != Space::kShared) {
      throw ParseError(directive.position,
                       "a variable of another module (.extern ." + std::string(directive.text) + ") is not known",
                       true);
    }
    DeclarationRules rules;
    rules.several = true;
    rules.external = external;
    if (space != Space::kShared) rules.initial_bytes_left = &initial_bytes_left_;
    for (Variable& variable : parse_variables(tokens_, space, rules)) {
      if (module_.variables.size() == kMostVariables) {
        throw ParseError(variable.position, "the module has more than " + std::to_string(kMostVariables) + " variables",
                         true);
      }
      variable_names_.insert(declare(variable.name, variable.position));
      module_.variables.push_back(std::move(variable));
    }
    tokens_.expect(';', "after a declaration");
  }

  void check_relocations() const {
    std::unordered_set<std::string_view> placed;
    for (const Variable& each : module_.variables) {
      if (each.space != Space::kShared) placed.insert(each.name);
    }
    for (const Variable& variable : module_.variables) {
      for (const Relocation& each : variable.relocations) {
        if (placed.contains(each.symbol)) continue;
        throw ParseError(each.position, "the initial value of '" + variable.name + "' names '" + each.symbol +
                                            "', which is no variable in .global or .const");
      }
    }
  }

  TokenStream tokens_;
  Module module_;
  std::unordered_set<std::string> names_;  ///< of entries and variables
  VariableNames variable_names_;
  std::size_t registers_left_ = kMostRegisters;
  std::uint64_t initial_bytes_left_ = kMostInitialBytes;
};

}  // namespace

std::string Instruction::full_name() const {
  std::string name = opcode;
  for (const std::string& each : modifiers) name += "." + each;
  return name;
}

Module parse_module(std::string_view text) {
  return ModuleParser(text).run();
}

}  // namespace flashmask::emulator::ptx
