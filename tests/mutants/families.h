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

/// An instruction of some kernels that is there for another reason than order, or as a precaution: a mutant of it need
/// not be noticed.
struct Spare {
  std::string change;
  int number;
  std::vector<std::string> kernels;  ///< how their entries end
};

/// Kernels of one template, and work that reaches every path of them.
struct Family {
  std::string name;
  std::string entries;  ///< how the names of its kernels begin; others that a scenario runs are another family's
  std::vector<Scenario> scenarios;
  std::vector<Spare> spares = {};
};

/// Every family that exists.
std::vector<Family> families();
/// A few tiles each, for exploring orders one by one.
std::vector<Family> tiny_families();

}  // namespace flashmask::mutants
