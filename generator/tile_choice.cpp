#include "generator/tile_choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <span>
#include <utility>

#include "generator/forward_layout.h"
#include "generator/kernel_family.h"
#include "generator/resource_model.h"

namespace flashmask {
namespace generator {
namespace {

/// Configurations for one class of descriptors, best first.
struct Candidates {
  std::span<const TileConfig> configs;
  int wanted_ctas;  ///< per SM; the first candidate with fewer is taken only where none has as many
};

// Best first, by measurement on an H100 (head dims 64 and 128) and by ptxas' spills. Four warps with 32 rows each
// read every K and V fragment for two row blocks, which halves the traffic of shared memory; from 128 output columns
// on their accumulators no longer fit the registers, and eight warps with 16 rows take over. Two CTAs on an SM hide
// each other's barriers; where they do not fit, one must do.
constexpr TileConfig kNarrow[] = {{128, 64, 4, 3, true}, {128, 64, 4, 2, true}, {64, 64, 4, 2}, {64, 32, 4, 2}};
constexpr TileConfig kMiddle[] = {{128, 64, 4, 2}, {128, 48, 4, 2}, {128, 32, 4, 2}, {64, 64, 4, 2}, {64, 32, 4, 2}};
constexpr TileConfig kSlimMiddle[] = {{128, 48, 4, 2}, {128, 32, 4, 2}, {64, 64, 4, 2}, {64, 32, 4, 2}};
constexpr TileConfig kWide[] = {{128, 64, 8, 2}, {64, 64, 4, 2}, {64, 32, 4, 2}, {64, 16, 4, 2}};

/// Whether ptxas 13.0 spills a few bytes of 128x64 with 128 output columns: for sm_100 and its kin; and for sm_90 where
/// no column is tested and the queries are of another width.
bool spills_middle(const KernelDescriptor& descriptor) {
  if (descriptor.target.compute_capability >= 100) return true;
  return descriptor.target.compute_capability == 90 && vectors_per_column(descriptor.mask_form) == 0 &&
         padded_head_dim(descriptor.head_dim_v) == 128 && padded_head_dim(descriptor.head_dim_qk) != 128;
}

// Of backwards, best first, by measurement on an H100 (head dims 64 and 128). Up to 64 columns, four warps with 32 keys
// each leave room for two CTAs on an SM. Beyond, two warps share 32 keys, and each holds half of the columns of dK and
// dV: they read every operand for two blocks of keys, which halves the traffic of shared memory.
constexpr TileConfig kBackwardNarrow[] = {{64, 128, 4, 2}, {32, 128, 4, 2}, {32, 64, 4, 2}, {32, 32, 2, 2}};
constexpr TileConfig kBackwardMiddle[] = {
    {64, 128, 8, 2, false, 2}, {64, 128, 8, 2}, {32, 128, 8, 2, false, 2}, {64, 64, 4, 2}, {32, 64, 4, 2}};
constexpr TileConfig kBackwardWide[] = {
    {64, 64, 8, 2, false, 2}, {32, 64, 8, 2, false, 2}, {32, 32, 4, 2, false, 2}, {32, 16, 2, 2, false, 2}};

/// Whether ptxas 13.0 spills a few bytes where warps share 32 keys, with 128 columns: below sm_90, where no column is
/// tested but a diagonal is.
bool spills_shared_keys(const KernelDescriptor& descriptor) {
  return descriptor.target.compute_capability < 90 && vectors_per_column(descriptor.mask_form) == 0 &&
         has_diagonal(descriptor.mask_form) && !descriptor.deterministic &&
         padded_head_dim(std::max(descriptor.head_dim_qk, descriptor.head_dim_v)) == 128;
}

// Of backwards with wgmma. Beyond 128 columns the warpgroups share 64 keys, and each holds half of the columns of dK
// and dV.
constexpr TileConfig kWgmmaBackwardNarrow[] = {{128, 128, 8, 2}, {64, 128, 8, 2}};
constexpr TileConfig kWgmmaBackwardMiddle[] = {{64, 128, 8, 2}};
constexpr TileConfig kWgmmaBackwardWide[] = {{64, 64, 8, 2, false, 2}};

Candidates backward_candidates_for(const KernelDescriptor& descriptor) {
  if (uses_wgmma(descriptor)) {
    const int columns = padded_head_dim(std::max(descriptor.head_dim_qk, descriptor.head_dim_v));
    if (columns <= 64) return {kWgmmaBackwardNarrow, 1};
    return columns <= 128 ? Candidates{kWgmmaBackwardMiddle, 1} : Candidates{kWgmmaBackwardWide, 1};
  }
  const int width = padded_head_dim(std::max(descriptor.head_dim_qk, descriptor.head_dim_v));
  if (width <= 64) return {kBackwardNarrow, 2};
  if (width > 128) return {kBackwardWide, 1};
  const std::span<const TileConfig> middle = kBackwardMiddle;
  return {spills_shared_keys(descriptor) ? middle.subspan(1) : middle, 1};
}

// Of forwards with wgmma, best first, by measurement on an H100 (head dims 64, 128 and 256): the widest key tiles whose
// scores, probabilities and output fit the registers of two or three warpgroups. A second slot for queries is worth
// more than a wider tile where rows are short.
constexpr TileConfig wgmma(int tile_q, int tile_k, int query_slots, bool turns) {
  constexpr int kStages = 2;
  return {tile_q, tile_k, tile_q / 16, kStages, false, 1, true, turns, query_slots};
}
constexpr TileConfig kWgmmaNarrow[] = {wgmma(192, 128, 2, true), wgmma(128, 128, 2, true)};
// With 112 keys ptxas has no registers to begin the exponentials before the product with V is done.
constexpr TileConfig kWgmmaMiddle[] = {wgmma(192, 96, 2, true), wgmma(128, 96, 2, true)};
constexpr TileConfig kWgmmaClosedWide[] = {wgmma(128, 128, 2, false), wgmma(128, 128, 1, false)};
constexpr TileConfig kWgmmaWide[] = {wgmma(128, 128, 2, true), wgmma(128, 128, 1, true)};
constexpr TileConfig kWgmmaWideKeys[] = {wgmma(128, 128, 1, false), wgmma(128, 96, 1, false)};
constexpr TileConfig kWgmmaWider[] = {wgmma(128, 112, 1, false), wgmma(128, 80, 1, false)};
constexpr TileConfig kWgmmaWidest[] = {wgmma(128, 80, 1, false), wgmma(128, 64, 1, false)};

Candidates wgmma_candidates_for(const KernelDescriptor& descriptor) {
  const int width_v = padded_head_dim(descriptor.head_dim_v);
  const int width = std::max(padded_head_dim(descriptor.head_dim_qk), width_v);
  if (width <= 64) return {kWgmmaNarrow, 1};
  if (width <= 96) return {kWgmmaMiddle, 1};
  // Without a mask, or with a mere diagonal, warpgroups that drift apart are better than turns.
  const bool is_plain = descriptor.mask_form == MaskForm::kNone || descriptor.mask_form == MaskForm::kCausal;
  if (width <= 128) return is_plain ? Candidates{kWgmmaClosedWide, 1} : Candidates{kWgmmaWide, 1};
  if (width > 192) return {kWgmmaWidest, 1};
  return width_v <= 128 ? Candidates{kWgmmaWideKeys, 1} : Candidates{kWgmmaWider, 1};
}

Candidates candidates_for(const KernelDescriptor& descriptor) {
  if (descriptor.pass == Pass::kBackward) return backward_candidates_for(descriptor);
  if (uses_wgmma(descriptor)) return wgmma_candidates_for(descriptor);
  if (padded_head_dim(descriptor.head_dim_v) > 128) return {kWide, 1};
  const int width = padded_head_dim(std::max(descriptor.head_dim_qk, descriptor.head_dim_v));
  if (width <= 64) return {kNarrow, 2};
  return spills_middle(descriptor) ? Candidates{kSlimMiddle, 2} : Candidates{kMiddle, 2};
}

const TileConfig* pick(const Candidates& candidates, const KernelDescriptor& descriptor, const TargetLimits& limits) {
  for (const int least_ctas : {candidates.wanted_ctas, 1})
    for (const TileConfig& config : candidates.configs)
      if (estimate_resources(descriptor, config, limits).ctas_per_sm >= least_ctas) return &config;
  return nullptr;
}

std::string count_of_ctas(int count) {
  return fmt::format("{} CTA{}", count, count == 1 ? "" : "s");
}

[[noreturn]] void refuse(const Candidates& candidates, const KernelDescriptor& descriptor, const TargetLimits& limits) {
  const std::string target = to_string(descriptor.target);
  std::vector<std::string> rules(1);
  std::set<SmLimit> exceeded;
  for (const TileConfig& config : candidates.configs) {
    const CtaNeeds needs = needs_of(descriptor, config, limits);
    rules.push_back(fmt::format("{}: {}", to_string(config), fmt::join(broken_limits(needs, limits, target), "; ")));
    exceeded.merge(exceeded_limits(estimate_occupancy(needs, limits)));
  }
  std::vector<std::string_view> names;
  for (const SmLimit limit : exceeded) names.push_back(to_string(limit));
  rules.front() = fmt::format(
      "{}: none of the {} tile configurations fits {}, which is short of {}; ask for smaller head dims or another "
      "target",
      to_string(descriptor), candidates.configs.size(), target, fmt::join(names, " and "));
  throw NoFittingTile(std::move(rules));
}

/// Why the chosen configuration stands before this one, which fits too.
std::string why_passed_over(const TileCandidate& passed, const TileCandidate& chosen, bool is_preferred) {
  if (!is_preferred) return fmt::format("it fits; {} comes first", to_string(chosen.config));
  return fmt::format("{} per SM, limited by {}; with {} there are {}, which hide each other's barriers",
                     count_of_ctas(passed.resources.ctas_per_sm), to_string(limit_of(passed.resources.occupancy)),
                     to_string(chosen.config), chosen.resources.ctas_per_sm);
}

std::string why_chosen(const Candidates& candidates, int chosen_ctas) {
  const std::size_t count = candidates.configs.size();
  if (candidates.wanted_ctas == 1) return fmt::format("the first of {} candidates that fits an SM", count);
  if (chosen_ctas >= candidates.wanted_ctas)
    return fmt::format("the first of {} candidates of which {} fit an SM", count,
                       count_of_ctas(candidates.wanted_ctas));
  return fmt::format("the first of {} candidates that fits an SM; of none do {}", count,
                     count_of_ctas(candidates.wanted_ctas));
}

}  // namespace

TileConfig default_tile_config(const KernelDescriptor& descriptor, const TargetLimits& limits) {
  if (!is_attention(descriptor.pass)) return {};
  const Candidates candidates = candidates_for(descriptor);
  if (const TileConfig* chosen = pick(candidates, descriptor, limits)) return *chosen;
  refuse(candidates, descriptor, limits);
}

TileChoice choose_default_tile(const KernelDescriptor& descriptor, const TargetLimits& limits) {
  if (descriptor.pass == Pass::kMaskPlan) return {{}, "the tiles of a mask plan are arguments of its launches", {}};
  if (descriptor.pass == Pass::kMaskBuild) return {{}, "a mask is built without tiles", {}};
  const Candidates candidates = candidates_for(descriptor);
  const TileConfig* picked = pick(candidates, descriptor, limits);
  if (picked == nullptr) refuse(candidates, descriptor, limits);
  TileCandidate chosen{*picked, estimate_resources(descriptor, *picked, limits), TileVerdict::kChosen, {}};
  TileChoice choice{*picked, why_chosen(candidates, chosen.resources.ctas_per_sm), {}};
  for (const TileConfig& config : candidates.configs) {
    if (&config == picked) {
      choice.candidates.push_back(chosen);
      continue;
    }
    TileCandidate other{config, estimate_resources(descriptor, config, limits), TileVerdict::kRefused, {}};
    other.reasons = broken_limits(needs_of(descriptor, config, limits), limits, to_string(descriptor.target));
    if (other.reasons.empty()) {
      other.verdict = TileVerdict::kPassedOver;
      other.reasons.push_back(why_passed_over(other, chosen, &config < picked));
    }
    choice.candidates.push_back(std::move(other));
  }
  return choice;
}

}  // namespace generator

namespace {

TargetLimits limits_for_legal(const KernelDescriptor& descriptor) {
  if (std::vector<std::string> rules = broken_rules(descriptor); !rules.empty())
    throw generator::InvalidRequest(std::move(rules));
  return *limits_of(descriptor.target);
}

}  // namespace

std::string_view to_string(TileVerdict verdict) {
  switch (verdict) {
    case TileVerdict::kChosen:
      return "chosen";
    case TileVerdict::kRefused:
      return "refused";
    case TileVerdict::kPassedOver:
      return "passed over";
  }
  return "unknown";
}

TileConfig default_tile_config(const KernelDescriptor& descriptor) {
  return generator::default_tile_config(descriptor, limits_for_legal(descriptor));
}

TileChoice choose_default_tile(const KernelDescriptor& descriptor) {
  return generator::choose_default_tile(descriptor, limits_for_legal(descriptor));
}

}  // namespace flashmask
