#pragma once

#include <string>
#include <vector>

#include "tools/command/exit_code.h"
#include "tools/command/matrix.h"

namespace flashmask::command {

/// What `flashmask compile MANIFEST` did.
struct MatrixRun {
  std::string manifest;  ///< its path
  std::string cache_directory;
  int jobs = 1;
  double seconds = 0;
  std::vector<MatrixKernel> kernels;
};

/// kExitOk when the cache holds all of them, kExitPartly when it holds some, kExitUnsupported when no target can have
/// any, kExitFailed when those that it can have failed; kExitNotCached when any would have to be compiled against the
/// policy.
ExitCode exit_code_of(const MatrixRun& run);

std::string report_text(const MatrixRun& run);
std::string report_json(const MatrixRun& run);

/// The kernels that the cache does not hold, those with one reason together; empty when it holds all.
std::string missing_text(const std::vector<MatrixKernel>& kernels);

}  // namespace flashmask::command
