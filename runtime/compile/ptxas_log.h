#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask::compile {

/// What ptxas' -v output says of one kernel.
struct PtxasReport {
  KernelResources resources;  ///< dynamic_shared_bytes is not in the log and stays 0
  bool found = false;         ///< the log speaks of the entry; otherwise the resources mean nothing
  /// Warnings, and remarks with a number in parentheses such as "(C7511)": ptxas prints its most costly findings (wgmma
  /// that it had to serialise) as mere information.
  std::vector<std::string> warnings;
  /// The log without the line of ptxas' own compile time, which differs from run to run.
  std::string text;
};

/// Parses the log of a compilation with --ptxas-options=-v. Pure; any text is accepted.
PtxasReport parse_ptxas_log(std::string_view log, std::string_view entry);

}  // namespace flashmask::compile
