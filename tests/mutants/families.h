#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "flashmask/runtime.h"

namespace flashmask::mutants {

using Bytes = std::vector<std::byte>;
template <class T>
void append(Bytes& bytes, const std::vector<T>& values) {
  const std::span<const std::byte> added = std::as_bytes(std::span(values));
  bytes.insert(bytes.end(), added.begin(), added.end());
}

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
  std::vector<Scenario> scenarios = {};
  std::vector<Spare> spares = {};
  bool ordered_sums = false;  ///< EmulatorOptions::ordered_sums of all runs
};
void PrintTo(const Family& family, std::ostream* stream);

Family forward_family();
Family wgmma_forward_family();
Family backward_family();
Family wgmma_backward_family();
Family wgmma_deterministic_backward_family();
Family plan_family();
Family mask_family();

/// Writes a mask from the document of each token.
Scenario mask_by_ids(bool causal, std::vector<std::int32_t> ids);

/// Every family that exists.
std::vector<Family> families();
/// A few tiles each, for exploring orders one by one.
std::vector<Family> tiny_families();

}  // namespace flashmask::mutants
