#pragma once

#include <string_view>
#include <vector>

#include "flashmask/mask_builders.h"
#include "flashmask/mask_kinds.h"

namespace flashmask {

/// The parameters of one request, read as what the kind declares them to be. Members throw Error{kInvalidArgument} for
/// text that is not of that type, naming the parameter, its text and the syntax.
class ArgumentReader {
 public:
  /// Refuses arguments that the kind does not have, and the lack of those that it requires. Both must outlive this.
  ArgumentReader(const MaskKind& kind, const MaskArguments& arguments);

  int integer(std::string_view name) const;
  bool flag(std::string_view name) const;
  CausalAlignment alignment(std::string_view name) const;
  std::vector<int> integers(std::string_view name) const;
  std::vector<masks::TokenSpan> spans(std::string_view name) const;
  std::vector<std::vector<int>> groups(std::string_view name) const;

 private:
  std::string_view text(std::string_view name) const;
  [[noreturn]] void refuse(std::string_view name, std::string_view syntax) const;

  const MaskKind& kind_;
  const MaskArguments& arguments_;
};

}  // namespace flashmask
