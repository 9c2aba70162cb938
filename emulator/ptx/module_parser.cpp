#include "emulator/ptx/declaration.h"
#include "emulator/ptx/kernel_parser.h"
#include "emulator/ptx/module.h"

namespace flashmask::emulator::ptx {
namespace {

class ModuleParser {
 public:
  explicit ModuleParser(std::string_view text) : tokens_(tokenize(text)) {}

  Module run() {
    if (!tokens_.is_dotted("version")) tokens_.fail("PTX begins with .version");
    while (!tokens_.at_end()) item();
    if (module_.target.empty()) throw ParseError(1, "there is no .target");
    return std::move(module_);
  }

 private:
  void item() {
    if (tokens_.accept(';')) return;
    if (tokens_.peek().kind != Token::Kind::kDotted) tokens_.fail("a directive was expected");
    const Token token = tokens_.take();
    const std::string_view name = token.text;
    if (name == "version") {
      module_.version = std::string(tokens_.take().text);
      tokens_.skip_line(token.line);
    } else if (name == "target") {
      module_.target = std::string(tokens_.expect_name("a target"));
      tokens_.skip_line(token.line);
    } else if (name == "address_size") {
      if (tokens_.expect_integer("an address size") != 64) {
        throw ParseError(token.line, "only 64-bit addresses are known", true);
      }
    } else if (name == "file" || name == "loc") {
      tokens_.skip_line(token.line);
    } else if (name == "section") {
      while (!tokens_.is('{') && !tokens_.at_end()) tokens_.take();
      tokens_.skip_block();
    } else if (name == "visible" || name == "weak" || name == "common") {
      external_ = false;
    } else if (name == "extern") {
      external_ = true;
    } else if (name == "entry") {
      module_.kernels.push_back(parse_kernel(tokens_, module_.variables));
      external_ = false;
    } else if (name == "func") {
      skip_function();
    } else if (name == "global" || name == "const" || name == "shared") {
      for (Variable& variable : parse_variables(tokens_, *space_named(name), true)) {
        variable.external = external_;
        module_.variables.push_back(std::move(variable));
      }
      tokens_.expect(';', "after a declaration");
      external_ = false;
    } else if (name == "pragma" || name == "alias") {
      while (!tokens_.is(';') && !tokens_.at_end()) tokens_.take();
      tokens_.expect(';', "after ." + std::string(name));
    } else {
      throw ParseError(token.line, "the directive ." + std::string(name) + " is not known", true);
    }
  }

  /// Device functions are not run: a call is refused where it stands.
  void skip_function() {
    while (!tokens_.is('{') && !tokens_.is(';') && !tokens_.at_end()) tokens_.take();
    if (tokens_.is('{')) {
      tokens_.skip_block();
    } else {
      tokens_.expect(';', "after a function declaration");
    }
    external_ = false;
  }

  TokenStream tokens_;
  Module module_;
  bool external_ = false;
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
