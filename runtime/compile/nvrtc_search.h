#pragma once

#include <string>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask::compile {

/// One place where NVRTC may be.
struct NvrtcCandidate {
  std::string name;    ///< a path, or a soname for the loader's own search
  std::string origin;  ///< why it is looked for there: "FLASHMASK_NVRTC", "CUDA_HOME", "the loader's search path", …
  bool is_path() const { return name.find('/') != std::string::npos; }
};

/// Every place, in the order in which they are tried. A path named by the policy is the only candidate: what the user
/// named is used or refused, never quietly replaced.
std::vector<NvrtcCandidate> nvrtc_candidates(const Policy& policy);

/// The libnvrtc-builtins libraries in the folder of `library` (symbolic links resolved too), newest name last.
std::vector<std::string> builtins_beside(const std::string& library);

}  // namespace flashmask::compile
