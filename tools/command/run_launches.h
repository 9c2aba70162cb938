#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "flashmask/runtime.h"
#include "tools/command/problem.h"
#include "tools/command/run_report.h"

namespace flashmask::command {

struct RunKernels {
  std::shared_ptr<const Kernel> forward;
  std::shared_ptr<const Kernel> backward;  ///< null without --backward
};

/// What the kernels of a run wrote.
struct RunTensors {
  std::vector<std::uint16_t> output;  ///< [B,Sq,Hq,Dv]
  std::vector<float> lse;             ///< [B,Hq,Sq]
  // Empty without --backward.
  std::vector<std::uint16_t> query_gradient;  ///< [B,Sq,Hq,D]
  std::vector<std::uint16_t> key_gradient;    ///< [B,Sk,Hk,D]
  std::vector<std::uint16_t> value_gradient;  ///< [B,Sk,Hk,Dv]
};

/// Uploads the problem, launches the forward and, if there is one, the backward, each with a plan of the mask for its
/// own tiles if the report says that empty tiles are skipped, and downloads what they wrote. Fills the launch figures
/// of the report's kernels. Throws Error.
RunTensors launch(Runtime& runtime, const RunKernels& kernels, const Problem& problem, RunReport& report);

}  // namespace flashmask::command
