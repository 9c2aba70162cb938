#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask {

/// Every rule that the lengths and heads of a launch break, for a kernel of this configuration: what its workspace
/// follows from. Empty if legal.
std::vector<std::string> broken_extent_rules(const BackwardLaunch& launch, const TileConfig& config);

/// Every rule that the workspace of a launch breaks which itself breaks none; `needed`: bytes that its kernels use,
/// from the workspace's beginning. Empty if legal, and always where nothing is needed. Allocates nothing then.
std::vector<std::string> broken_workspace_rules(const KernelDescriptor& descriptor, const BackwardLaunch& launch,
                                                const Workspace& workspace, std::size_t needed);

}  // namespace flashmask
