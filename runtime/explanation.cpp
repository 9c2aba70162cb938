#include "runtime/explanation.h"

#include <fmt/format.h>

#include "generator/kernel_family.h"
#include "runtime/store/kernel_digest.h"

namespace flashmask {

std::string_view to_string(ConfigSource source) {
  switch (source) {
    case ConfigSource::kRequested:
      return "requested";
    case ConfigSource::kTuned:
      return "tuned";
    case ConfigSource::kNearestBucket:
      return "tuned, nearest bucket";
    case ConfigSource::kNearestGpu:
      return "tuned, nearest GPU";
    case ConfigSource::kDefault:
      return "default";
  }
  return "unknown";
}

Explanation explain_source(const generator::KernelSource& source, const std::optional<TileConfig>& asked) {
  Explanation explanation;
  explanation.descriptor = source.descriptor;
  explanation.limits = *limits_of(source.descriptor.target);
  const generator::KernelFamily family = generator::family_of(source.descriptor);
  explanation.family = family.name;
  explanation.family_targets = family.targets;
  explanation.family_note = family.note;

  explanation.default_tile = choose_default_tile(source.descriptor);
  explanation.config = source.config;
  explanation.config_source = asked ? ConfigSource::kRequested : ConfigSource::kDefault;
  const TileConfig& usual = explanation.default_tile.config;
  explanation.config_reason = asked && !(*asked == usual)
                                  ? fmt::format("asked for; the default is {}", to_string(usual))
                                  : explanation.default_tile.reason;
  explanation.resources = estimate_resources(source.descriptor, source.config);
  explanation.entry = source.entry;
  explanation.digest = digest_of(source).hex();
  return explanation;
}

}  // namespace flashmask
