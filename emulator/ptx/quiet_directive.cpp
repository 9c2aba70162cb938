#include "emulator/ptx/quiet_directive.h"

namespace flashmask::emulator::ptx {
namespace {

void skip_string(TokenStream& tokens, std::string_view directive) {
  if (tokens.peek().kind != Token::Kind::kString) tokens.fail("a string was expected after " + std::string(directive));
  tokens.take();
}

void skip_place(TokenStream& tokens) {
  tokens.expect_integer("the number of a file");
  tokens.expect_integer("a line");
  tokens.expect_integer("a column");
}

/// .loc 1 6 0, function_name $L__info_string0 + 4, inlined_at 1 15 3
void skip_loc(TokenStream& tokens) {
  skip_place(tokens);
  while (tokens.accept(',')) {
    const std::string_view attribute = tokens.expect_name("function_name or inlined_at");
    if (attribute == "function_name") {
      tokens.expect_name("a label");
      if (tokens.accept('+')) tokens.expect_integer("an offset");
    } else if (attribute == "inlined_at") {
      skip_place(tokens);
    } else {
      tokens.fail("function_name or inlined_at was expected before");
    }
  }
}

/// .file 1 "kernel.cu", 1700000000, 4096
void skip_file(TokenStream& tokens) {
  tokens.expect_integer("the number of a file");
  skip_string(tokens, ".file");
  while (tokens.accept(',')) tokens.expect_integer("a time or a size");
}

/// .pragma "nounroll", "used_bytes_mask 1";
void skip_pragma(TokenStream& tokens) {
  do {
    skip_string(tokens, ".pragma");
  } while (tokens.accept(','));
  tokens.expect(';', "after .pragma");
}

}  // namespace

bool skip_quiet_directive(TokenStream& tokens) {
  if (tokens.accept_dotted("loc")) {
    skip_loc(tokens);
  } else if (tokens.accept_dotted("file")) {
    skip_file(tokens);
  } else if (tokens.accept_dotted("pragma")) {
    skip_pragma(tokens);
  } else {
    return false;
  }
  return true;
}

}  // namespace flashmask::emulator::ptx
