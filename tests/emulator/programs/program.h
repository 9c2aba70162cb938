#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/machine/machine.h"
#include "emulator/machine/tensor_map.h"

namespace flashmask::emulator::programs {

using Words = std::vector<std::uint32_t>;

/// A tensor map over one of the inputs, or over the output.
struct MappedTensor {
  TensorMap map;       ///< without its address
  std::size_t buffer;  ///< the input; the number of inputs means the output
};

/// What one launch is given and must give. The parameters of a kernel are its tensor maps, then pointers to the inputs,
/// then the pointer to the output.
struct Data {
  std::vector<MappedTensor> maps = {};
  std::vector<Words> inputs = {};  ///< the kernel may write to them (counters, locks, scratch memory)
  Words initial = {};              ///< of the output; empty: nobody has written it before the launch
  Words expected = {};             ///< of the output
};

/// A mistake that a twin of a right program makes, and by what it is noticed.
struct PlantedFault {
  std::string_view what;           ///< "no barrier between the store and the load"
  std::vector<Fault::Kind> kinds;  ///< a Fault of one of these
  bool wrong_result = false;       ///< or an output that differs from the expected one
};

/// A kernel template of its theme's file, `template <…, int kFault> __global__ void KERNEL(…)`. With kFault = 0 it is
/// right: free of races, the same result under every schedule. With kFault = n it makes the n-th planted fault.
struct TestProgram {
  std::string name;
  std::string_view kernel;
  std::string_view arguments;  ///< of the template, before kFault: "2, true"; may be empty
  LaunchShape shape;
  std::function<Data()> data;
  std::vector<PlantedFault> faults;
  /// Largest difference allowed between an output and its expected value, both floats. 0: equal bit for bit.
  double bound = 0;

  /// "KERNEL<2, true, 1>".
  std::string instance(std::size_t fault) const;
};

/// A file of kernels and the architecture that it is written for.
struct Theme {
  std::string_view name;          ///< "barriers": kernels/barriers.cu
  std::string_view architecture;  ///< "80" or "90a"
  std::span<const TestProgram> programs;
};
std::span<const Theme> all_themes();

/// A launch of `ctas` one-dimensional CTAs.
LaunchShape shape_of(std::uint32_t ctas, std::uint32_t threads, std::size_t dynamic_shared_bytes = 0);
/// The same with clusters of `cluster` CTAs.
LaunchShape clustered(std::uint32_t ctas, std::uint32_t cluster, std::uint32_t threads);

/// n words, word i = function(i).
template <class Function>
Words words(std::size_t n, Function function) {
  Words result(n);
  for (std::size_t i = 0; i < n; ++i) result[i] = static_cast<std::uint32_t>(function(i));
  return result;
}

/// Values without a pattern that a kernel could repeat by accident: a fixed permutation of the 32-bit numbers.
std::uint32_t scrambled(std::size_t i);

/// Rows of `row` scrambled words, and as many rows of the same words in reversed order.
Data reversed_rows(std::size_t rows, std::size_t row);

/// Why `given` is not what the program must give; empty if it is.
std::string difference(const TestProgram& program, const Words& expected, const Words& given);

}  // namespace flashmask::emulator::programs
