#include "runtime/refusal.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace flashmask {

Error error_of(const KernelDescriptor& descriptor, const generator::InvalidRequest& refusal) {
  const bool is_legal = dynamic_cast<const generator::NoFittingTile*>(&refusal) != nullptr;
  return Error(is_legal ? ErrorCode::kUnsupported : ErrorCode::kInvalidArgument,
               fmt::format("no kernel can be made for \"{}\":\n  {}", to_string(descriptor),
                           fmt::join(refusal.rules(), "\n  ")));
}

}  // namespace flashmask
