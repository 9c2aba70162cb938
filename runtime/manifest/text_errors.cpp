#include "runtime/manifest/text_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "flashmask/error.h"

namespace flashmask {
namespace {

constexpr std::size_t kMostToldErrors = 20;

}  // namespace

void TextErrors::raise() const {
  if (errors_.empty()) return;
  std::vector<TextError> sorted = errors_;
  std::sort(sorted.begin(), sorted.end(), [](const TextError& a, const TextError& b) {
    return std::tie(a.place.line, a.place.column, a.what) < std::tie(b.place.line, b.place.column, b.what);
  });
  std::string message;
  for (std::size_t i = 0; i < sorted.size() && i < kMostToldErrors; ++i) {
    const TextError& error = sorted[i];
    message +=
        fmt::format("{}{}:{}:{}: {}", i == 0 ? "" : "\n  ", name_, error.place.line, error.place.column, error.what);
  }
  if (sorted.size() > kMostToldErrors)
    message += fmt::format("\n  and {} more of this kind", sorted.size() - kMostToldErrors);
  throw Error(ErrorCode::kInvalidArgument, message);
}

}  // namespace flashmask
