#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "runtime/rule_collector.h"

namespace flashmask {

inline constexpr std::int64_t kRowAlignment = 16;
inline constexpr std::uint64_t kFloatAlignment = 4;

/// One tensor of a launch: its address, and every stride that is ever multiplied by something other than 0.
void check_tensor(RuleCollector& rules, const char* name, const TensorView& tensor, int batch, int seqlen, int heads,
                  int head_dim, bool written);

/// What tensor copies ask of a tensor beyond the rules of all.
void check_boxes(RuleCollector& rules, const char* name, const TensorView& tensor, int batch, int seqlen, int heads);

/// Lengths and heads.
void check_extents(RuleCollector& rules, const ForwardLaunch& launch);

/// A grid must have room for a CTA for each tile of each head and batch entry.
void add_broken_grid_rule(std::vector<std::string>& rules, const char* what, int seqlen, int tile, std::int64_t heads);

/// Adds to what a launch breaks what it breaks for a kernel of this configuration: its tiles must be countable, and
/// those of the plan.
void add_broken_config_rules(std::vector<std::string>& rules, const ForwardLaunch& launch, const TileConfig& config);

/// Whether the workspace has the bytes that the launch needs.
void check_workspace(RuleCollector& rules, const Workspace& workspace, std::size_t needed);

}  // namespace flashmask
