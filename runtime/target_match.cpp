#include "runtime/target_match.h"

#include <fmt/format.h>

namespace flashmask {

std::optional<std::string> refuse_target(Target code, const DeviceProperties& device) {
  if (device.kind == DeviceKind::kEmulator) return std::nullopt;
  const int have = device.target.compute_capability;
  const bool same_major = code.compute_capability / 10 == have / 10;
  const bool runs =
      code.arch_specific ? code.compute_capability == have : same_major && code.compute_capability <= have;
  if (runs) return std::nullopt;
  return fmt::format("code for {} does not run on {}, which takes sm_{}{} and sm_{}a", to_string(code), device.name,
                     have, have % 10 == 0 ? "" : fmt::format(" (and sm_{}0 to sm_{})", have / 10, have - 1), have);
}

}  // namespace flashmask
