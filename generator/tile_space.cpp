#include "flashmask/tile_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <tuple>

#include "generator/backward_layout.h"
#include "generator/forward_layout.h"
#include "generator/invalid_request.h"
#include "generator/kernel_family.h"
#include "generator/resource_model.h"

namespace flashmask {
namespace {

// What each parameter is tried with. More slots than four hide nothing that four do not.
constexpr int kStages[] = {2, 3, 4};
constexpr bool kNoYes[] = {false, true};
constexpr int kKeyStep = 16;
constexpr int kMostKeys = 256;

/// Every combination for forwards that multiply with wgmma: 64 rows for each warpgroup.
std::vector<TileConfig> wgmma_forward_combinations() {
  std::vector<TileConfig> configs;
  for (const int warps : {4, 8, 12})
    for (int keys = kKeyStep; keys <= kMostKeys; keys += kKeyStep)
      for (const int stages : kStages)
        for (const bool overlap : kNoYes)
          for (const bool turns : kNoYes)
            for (const int query_slots : {1, 2})
              configs.push_back({16 * warps, keys, warps, stages, false, 1, overlap, turns, query_slots});
  return configs;
}

std::vector<TileConfig> wgmma_backward_combinations() {
  std::vector<TileConfig> configs;
  for (const int column_warps : {1, 2})
    for (const int rows : {64, 128})
      for (const int stages : kStages) configs.push_back({rows, 128 / column_warps, 8, stages, false, column_warps});
  return configs;
}

std::vector<TileConfig> mma_forward_combinations() {
  std::vector<TileConfig> configs;
  for (const int warps : {2, 4, 8})
    for (const int row_blocks : {1, 2, 4})
      for (int keys = kKeyStep; keys <= kMostKeys; keys += kKeyStep)
        for (const int stages : kStages)
          for (const bool in_registers : kNoYes)
            configs.push_back({16 * warps * row_blocks, keys, warps, stages, in_registers});
  return configs;
}

std::vector<TileConfig> mma_backward_combinations() {
  std::vector<TileConfig> configs;
  for (const int warps : {2, 4, 8})
    for (const int column_warps : {1, 2})
      for (const int key_blocks : {1, 2, 4})
        for (const int rows : {16, 32, 64, 128})
          for (const int stages : kStages)
            configs.push_back({rows, 16 * warps * key_blocks / column_warps, warps, stages, false, column_warps});
  return configs;
}

std::vector<TileConfig> combinations_for(const KernelDescriptor& descriptor) {
  const bool is_backward = descriptor.pass == Pass::kBackward;
  if (generator::uses_wgmma(descriptor))
    return is_backward ? wgmma_backward_combinations() : wgmma_forward_combinations();
  return is_backward ? mma_backward_combinations() : mma_forward_combinations();
}

/// What stands beside the accumulators of a wgmma forward's thread: addresses, maxima and sums, by ptxas' logs.
constexpr int kRegistersBesideAccumulators = 32;

/// Why a legal forward with wgmma is not worth a trial.
std::optional<std::string> prune_wgmma_forward(const KernelDescriptor& descriptor, const TileConfig& config) {
  const int output = generator::padded_head_dim(descriptor.head_dim_v) / 2;
  const int scores = config.tile_k / 2;
  const int probabilities = config.tile_k / 4;
  const int needed = output + scores + probabilities + kRegistersBesideAccumulators;
  const int given = generator::register_shares(descriptor, config).consumer;
  if (needed > given)
    return fmt::format("output, scores and probabilities take about {} registers of a thread that has {}", needed,
                       given);
  if (config.warps == 4) return "one warpgroup leaves the matrix units idle during its softmax: two share an SM's";
  constexpr int kLeastKeys = 64;
  const bool has_wide_output = generator::padded_head_dim(descriptor.head_dim_v) > 128;
  if (config.tile_k < (has_wide_output ? kLeastKeys / 2 : kLeastKeys))
    return fmt::format("a step of {} keys is too short for what every step costs", config.tile_k);
  if (config.stages > 3) return "a fourth slot of keys and values hides no more than a third";
  if (!config.overlap && !config.turns) return "nothing keeps products beside its softmax: neither overlap nor turns";
  return std::nullopt;
}

/// The same of kernels that multiply with mma.sync.
std::optional<std::string> prune_mma(const KernelDescriptor& descriptor, const TileConfig& config,
                                     const ResourceEstimate& resources, const ResourceEstimate& of_default,
                                     int tile_q_of_default) {
  const int most = limits_of(descriptor.target).value_or(TargetLimits{}).registers_per_thread;
  if (resources.registers_per_thread >= most)
    return fmt::format("its accumulators take all {} registers that a thread can have, and spill", most);
  const int warps = resources.ctas_per_sm * resources.warps_per_cta;
  const int warps_of_default = of_default.ctas_per_sm * of_default.warps_per_cta;
  if (2 * warps < warps_of_default)
    return fmt::format("an SM holds {} warps of it, of the default {}", warps, warps_of_default);
  constexpr int kLeastRows = 64;
  if (descriptor.pass == Pass::kForward && config.tile_q < kLeastRows && tile_q_of_default >= kLeastRows)
    return fmt::format("its {} rows bring all keys and values from L2, which {} rows do as well", config.tile_q,
                       tile_q_of_default);
  if (config.stages > 3 && resources.ctas_per_sm > 1)
    return "the other CTAs of its SM hide copies as well as a fourth slot";
  constexpr int kLeastKeys = 32;
  const bool is_wide = generator::padded_head_dim(descriptor.head_dim_v) > 128;
  if (descriptor.pass == Pass::kForward && config.tile_k < kLeastKeys && !is_wide)
    return fmt::format("a step of {} keys is too short for what every step costs", config.tile_k);
  const int work = config.tile_q * config.tile_k;
  constexpr int kLeastWork = 32 * 32;
  if (work < kLeastWork) return fmt::format("a step of {} scores is too short for what every step costs", work);
  return std::nullopt;
}

auto parameters_of(const TileConfig& config) {
  return std::tuple(config.tile_q, config.tile_k, config.warps, config.stages, config.query_in_registers,
                    config.column_warps, config.overlap, config.turns, config.query_slots);
}

}  // namespace

int parameters_apart(const TileConfig& a, const TileConfig& b) {
  const bool same_rows_per_warp = a.tile_q * b.warps == b.tile_q * a.warps;
  // Rows that follow from the warps are no parameter of their own.
  const bool rows_differ = a.warps == b.warps ? a.tile_q != b.tile_q : !same_rows_per_warp;
  return static_cast<int>(rows_differ) + static_cast<int>(a.warps != b.warps) +
         std::abs(a.tile_k - b.tile_k) / kKeyStep + static_cast<int>(a.stages != b.stages) +
         static_cast<int>(a.query_in_registers != b.query_in_registers) +
         static_cast<int>(a.column_warps != b.column_warps) + static_cast<int>(a.overlap != b.overlap) +
         static_cast<int>(a.turns != b.turns) + static_cast<int>(a.query_slots != b.query_slots);
}

TileSpace tile_space(const KernelDescriptor& descriptor) {
  const TileConfig chosen = default_tile_config(descriptor);
  if (!is_attention(descriptor.pass))
    throw generator::InvalidRequest(
        {fmt::format("{}: kernels of masks have no tiles to choose", to_string(descriptor))});
  const ResourceEstimate of_default = estimate_resources(descriptor, chosen);
  const std::vector<TileConfig> combinations = combinations_for(descriptor);
  TileSpace space;
  space.combinations = combinations.size();
  space.members.push_back({chosen, of_default});
  for (const TileConfig& config : combinations) {
    if (!broken_rules(descriptor, config).empty()) continue;
    ++space.legal;
    if (config == chosen) continue;
    const ResourceEstimate resources = estimate_resources(descriptor, config);
    std::optional<std::string> reason;
    if (!generator::uses_wgmma(descriptor))
      reason = prune_mma(descriptor, config, resources, of_default, chosen.tile_q);
    else if (descriptor.pass == Pass::kForward)
      reason = prune_wgmma_forward(descriptor, config);
    if (reason)
      space.pruned.push_back({config, *reason});
    else
      space.members.push_back({config, resources});
  }
  std::stable_sort(space.members.begin(), space.members.end(), [&](const SpaceMember& a, const SpaceMember& b) {
    return std::tuple(parameters_apart(a.config, chosen), parameters_of(a.config)) <
           std::tuple(parameters_apart(b.config, chosen), parameters_of(b.config));
  });
  return space;
}

}  // namespace flashmask
