#include "flashmask/tile_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "generator/resource_model.h"

namespace flashmask {

std::vector<std::string> broken_rules(const KernelDescriptor& descriptor, const TileConfig& config) {
  std::vector<std::string> rules = broken_rules(descriptor);
  const bool legal_descriptor = rules.empty();
  if (!is_attention(descriptor.pass)) {
    if (!(config == TileConfig{}))
      rules.push_back(fmt::format("{}: {}; leave the configuration at its default", to_string(config),
                                  descriptor.pass == Pass::kMaskPlan
                                      ? "the tiles of a mask plan are arguments of its launches"
                                      : "a mask is built without tiles"));
    return rules;
  }
  if (config.warps < 1 || config.warps > 8)
    rules.push_back(fmt::format("warps = {}: 1 to 8 are allowed", config.warps));
  const int row_step = 16 * std::clamp(config.warps, 1, 8);
  if (config.tile_q < row_step || config.tile_q > 256 || config.tile_q % row_step != 0)
    rules.push_back(fmt::format("tile_q = {}: a multiple of {} (16 rows for each of {} warps) up to 256 is needed",
                                config.tile_q, row_step, row_step / 16));
  if (config.tile_k < 16 || config.tile_k > 256 || config.tile_k % 16 != 0)
    rules.push_back(fmt::format("tile_k = {}: a multiple of 16 up to 256 is needed", config.tile_k));
  if (config.stages < 2 || config.stages > 6)
    rules.push_back(fmt::format("stages = {}: 2 to 6 are allowed", config.stages));
  if (!legal_descriptor || !rules.empty()) return rules;

  const TargetLimits limits = *limits_of(descriptor.target);
  for (const std::string& broken :
       broken_limits(generator::needs_of(descriptor, config, limits), limits, to_string(descriptor.target)))
    rules.push_back(fmt::format("{}: {}; use smaller tiles or fewer stages", to_string(config), broken));
  return rules;
}

std::string to_string(const TileConfig& config) {
  if (config == TileConfig{}) return "any tile";
  return fmt::format("{}x{} w{} s{}{}", config.tile_q, config.tile_k, config.warps, config.stages,
                     config.query_in_registers ? " qreg" : "");
}

}  // namespace flashmask
