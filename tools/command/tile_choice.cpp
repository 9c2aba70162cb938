#include "tools/command/tile_choice.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

constexpr int kMaxWarps = 12;
constexpr int kMaxStages = 4;
constexpr int kMinStages = 2;
constexpr int kMaxColumnWarps = 2;
constexpr int kMaxQuerySlots = 2;

/// The candidates for a tile, nearest to the default first.
std::vector<TileConfig> candidates(const TileConfig& defaults, const TileShape& tile) {
  std::vector<int> warp_counts = {defaults.warps};
  for (int warps = kMaxWarps; warps >= 1; --warps) {
    if (warps != defaults.warps) warp_counts.push_back(warps);
  }
  std::vector<int> stage_counts = {defaults.stages};
  for (int stages = kMaxStages; stages >= kMinStages; --stages) {
    if (stages != defaults.stages) stage_counts.push_back(stages);
  }
  std::vector<TileConfig> result;
  for (int stages : stage_counts) {
    for (bool in_registers : {defaults.query_in_registers, !defaults.query_in_registers}) {
      for (int column_warps : {defaults.column_warps, kMaxColumnWarps + 1 - defaults.column_warps}) {
        for (int query_slots : {defaults.query_slots, kMaxQuerySlots + 1 - defaults.query_slots}) {
          for (int warps : warp_counts) {
            TileConfig config = defaults;
            config.tile_q = tile.query;
            config.tile_k = tile.key;
            config.warps = warps;
            config.stages = stages;
            config.query_in_registers = in_registers;
            config.column_warps = column_warps;
            config.query_slots = query_slots;
            result.push_back(config);
          }
        }
      }
    }
  }
  return result;
}

TileConfig nearest_with(const KernelDescriptor& descriptor, const TileShape& tile) {
  const TileConfig defaults = default_tile_config(descriptor);
  std::vector<std::string> fewest_rules;
  for (const TileConfig& config : candidates(defaults, tile)) {
    std::vector<std::string> rules = broken_rules(descriptor, config);
    if (rules.empty()) return config;
    if (fewest_rules.empty() || rules.size() < fewest_rules.size()) fewest_rules = std::move(rules);
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("--tile {},{}: no number of warps and stages makes it legal for {}: {}", tile.query, tile.key,
                          to_string(descriptor), fmt::join(fewest_rules, "; ")),
              fmt::format("the default is {}; leave --tile out for it", to_string(defaults)));
}

TileConfig checked(const KernelDescriptor& descriptor, const TileConfig& config) {
  if (const std::vector<std::string> rules = broken_rules(descriptor, config); !rules.empty())
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--config {}: {} cannot have it: {}", to_word(config), to_string(descriptor),
                            fmt::join(rules, "; ")),
                fmt::format("the default is {}; leave --config out for it", to_word(default_tile_config(descriptor))));
  return config;
}

}  // namespace

std::optional<TileConfig> choose_tile(const KernelDescriptor& descriptor, const std::optional<TileWish>& wish) {
  if (!wish) return std::nullopt;
  if (const auto* config = std::get_if<TileConfig>(&*wish)) return checked(descriptor, *config);
  return nearest_with(descriptor, std::get<TileShape>(*wish));
}

void require_supported(const KernelDescriptor& descriptor) {
  const std::vector<std::string> rules = broken_rules(descriptor);
  if (!rules.empty()) throw Error(ErrorCode::kUnsupported, fmt::format("{}", fmt::join(rules, "; ")));
}

}  // namespace flashmask::command
