#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask::mutants {

using Bytes = std::vector<std::byte>;

/// Work that runs kernels, and everything that they wrote. The same bits whatever the order of warps.
using Scenario = std::function<Bytes(Runtime&)>;

/// Kernels of one template, and work that reaches every path of them.
struct Family {
  std::string name;
  std::string entries;  ///< how the names of its kernels begin; others that a scenario runs are another family's
  std::vector<Scenario> scenarios;
};

/// Every family that exists.
std::vector<Family> families();
/// A few tiles each, for exploring orders one by one.
std::vector<Family> tiny_families();

}  // namespace flashmask::mutants
