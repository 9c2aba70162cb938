#include "flashmask/tile_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "generator/kernel_family.h"
#include "generator/resource_model.h"

namespace flashmask {
namespace {

void check_forward_tile(std::vector<std::string>& rules, const TileConfig& config) {
  const int row_step = 16 * std::clamp(config.warps, 1, 8);
  if (config.tile_q < row_step || config.tile_q > 256 || config.tile_q % row_step != 0)
    rules.push_back(fmt::format("tile_q = {}: a multiple of {} (16 rows for each of {} warps) up to 256 is needed",
                                config.tile_q, row_step, row_step / 16));
  if (config.tile_k < 16 || config.tile_k > 256 || config.tile_k % 16 != 0)
    rules.push_back(fmt::format("tile_k = {}: a multiple of 16 up to 256 is needed", config.tile_k));
  if (config.column_warps != 1)
    rules.push_back(
        fmt::format("column_warps = {}: the warps of a forward share no rows; leave it at 1", config.column_warps));
}

void check_wgmma_tile(std::vector<std::string>& rules, const KernelDescriptor& descriptor, const TileConfig& config) {
  const bool has_warpgroups = config.warps == 4 || config.warps == 8 || config.warps == 12;
  if (!has_warpgroups)
    rules.push_back(fmt::format("warps = {}: 4, 8 or 12 (whole warpgroups) are allowed", config.warps));
  if (has_warpgroups && config.tile_q != 16 * config.warps)
    rules.push_back(fmt::format("tile_q = {}: {} (16 rows for each of {} warps) is needed", config.tile_q,
                                16 * config.warps, config.warps));
  if (config.tile_k < 16 || config.tile_k > 256 || config.tile_k % 16 != 0)
    rules.push_back(fmt::format("tile_k = {}: a multiple of 16 up to 256 is needed", config.tile_k));
  if (config.query_in_registers)
    rules.emplace_back("query_in_registers = true: wgmma reads queries from shared memory; leave it false");
  if (config.column_warps != 1)
    rules.push_back(
        fmt::format("column_warps = {}: the warps of a forward share no rows; leave it at 1", config.column_warps));
  if (config.query_slots < 1 || config.query_slots > 2)
    rules.push_back(fmt::format("query_slots = {}: 1 or 2 are allowed", config.query_slots));
  // With more, the registers of one instruction are more than ptxas gives a thread of four warpgroups.
  constexpr int kMostColumns = 192;
  if (config.warps == 12 && (config.tile_k > kMostColumns || descriptor.head_dim_v > kMostColumns))
    rules.push_back(
        fmt::format("warps = 12: products of up to {} columns fit the registers, tile_k = {} and "
                    "head_dim_v = {}; use 8 warps",
                    kMostColumns, config.tile_k, descriptor.head_dim_v));
}

void check_nothing_of_wgmma_forwards(std::vector<std::string>& rules, const TileConfig& config) {
  if (config.overlap) rules.emplace_back("overlap = true: only a forward for sm_90a has this schedule; leave it false");
  if (config.turns) rules.emplace_back("turns = true: only a forward for sm_90a has this schedule; leave it false");
  if (config.query_slots != 1)
    rules.push_back(
        fmt::format("query_slots = {}: only a forward for sm_90a goes on to further query tiles; leave it at 1",
                    config.query_slots));
}

void check_wgmma_backward_tile(std::vector<std::string>& rules, const TileConfig& config) {
  if (config.warps != 8) rules.push_back(fmt::format("warps = {}: 8 (two warpgroups) are needed", config.warps));
  if (config.column_warps != 1 && config.column_warps != 2) {
    rules.push_back(fmt::format("column_warps = {}: 1 or 2 are allowed", config.column_warps));
  } else {
    const int keys = 128 / config.column_warps;
    if (config.tile_k != keys)
      rules.push_back(fmt::format(
          "tile_k = {}: {} (64 keys for each warpgroup, or for both where they share) is needed", config.tile_k, keys));
    if (config.tile_q != 64 && (config.tile_q != 128 || config.column_warps != 1))
      rules.push_back(fmt::format("tile_q = {}: 64{} is allowed", config.tile_q,
                                  config.column_warps == 1 ? " or 128" : " (the warpgroups share their keys)"));
  }
  if (config.query_in_registers)
    rules.emplace_back("query_in_registers = true: query tiles stream through a backward; leave it false");
  check_nothing_of_wgmma_forwards(rules, config);
}

void check_backward_tile(std::vector<std::string>& rules, const TileConfig& config) {
  const bool can_share = config.column_warps == 1 || (config.column_warps == 2 && config.warps % 2 == 0);
  if (!can_share)
    rules.push_back(fmt::format("column_warps = {}: 1, or 2 of an even number of warps, is allowed ({} warps)",
                                config.column_warps, config.warps));
  const int sharing = can_share ? config.column_warps : 1;
  const int key_step = 16 * std::clamp(config.warps, 1, 8) / sharing;
  if (config.tile_k < key_step || config.tile_k > 256 || config.tile_k % key_step != 0)
    rules.push_back(fmt::format(
        "tile_k = {}: a multiple of {} (16 keys for each of {}) up to 256 is needed", config.tile_k, key_step,
        sharing == 1 ? fmt::format("{} warps", key_step / 16) : fmt::format("{} pairs of warps", key_step / 16)));
  const int row_step = 16 * sharing;
  if (config.tile_q < row_step || config.tile_q > 128 || config.tile_q % row_step != 0)
    rules.push_back(fmt::format("tile_q = {}: a multiple of {} up to 128 is needed", config.tile_q, row_step));
  if (config.query_in_registers)
    rules.emplace_back("query_in_registers = true: query tiles stream through a backward; leave it false");
}

/// Takes the number that the text begins with.
bool take_number(std::string_view& text, int& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

}  // namespace

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
  if (legal_descriptor && generator::uses_wgmma(descriptor)) {
    if (descriptor.pass == Pass::kBackward) {
      check_wgmma_backward_tile(rules, config);
    } else {
      check_wgmma_tile(rules, descriptor, config);
    }
  } else {
    if (config.warps < 1 || config.warps > 8)
      rules.push_back(fmt::format("warps = {}: 1 to 8 are allowed", config.warps));
    if (descriptor.pass == Pass::kBackward) {
      check_backward_tile(rules, config);
    } else {
      check_forward_tile(rules, config);
    }
    check_nothing_of_wgmma_forwards(rules, config);
  }
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
  return fmt::format("{}x{} w{} s{}{}{}{}{}{}", config.tile_q, config.tile_k, config.warps, config.stages,
                     config.query_in_registers ? " qreg" : "",
                     config.column_warps == 1 ? "" : fmt::format(" c{}", config.column_warps),
                     config.overlap ? " overlap" : "", config.turns ? " turns" : "",
                     config.query_slots == 1 ? "" : fmt::format(" q{}", config.query_slots));
}

std::string to_word(const TileConfig& config) {
  std::string word = to_string(config);
  std::ranges::replace(word, ' ', ',');
  return word;
}

std::optional<TileConfig> parse_tile_config(std::string_view text) {
  std::string spaced(text);
  if (spaced.find(' ') == std::string::npos) std::ranges::replace(spaced, ',', ' ');
  std::string_view left = spaced;
  TileConfig config;
  if (!take_number(left, config.tile_q) || !take(left, "x") || !take_number(left, config.tile_k)) return std::nullopt;
  if (!take(left, " w") || !take_number(left, config.warps)) return std::nullopt;
  if (!take(left, " s") || !take_number(left, config.stages)) return std::nullopt;
  config.query_in_registers = take(left, " qreg");
  if (take(left, " c") && !take_number(left, config.column_warps)) return std::nullopt;
  config.overlap = take(left, " overlap");
  config.turns = take(left, " turns");
  if (take(left, " q") && !take_number(left, config.query_slots)) return std::nullopt;
  // What is left over, a zero in front or a word for what goes without saying: another text.
  if (to_string(config) != spaced) return std::nullopt;
  return config;
}

}  // namespace flashmask
