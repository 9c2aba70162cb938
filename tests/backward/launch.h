#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "tests/forward/launch.h"
#include "tests/forward/problems.h"

namespace flashmask::backward_tests {

using forward_tests::Extents;
using forward_tests::Intervals;
using forward_tests::Layout;
using forward_tests::TestProblem;
using forward_tests::Variety;

struct LaunchChoice {
  Layout layout = Layout::kPacked;
  bool with_lse_gradient = true;
  bool with_plan = true;                             ///< of forms with vectors
  void (*change)(BackwardLaunch& launch) = nullptr;  ///< of the launch, before it is given to the kernel
};

/// A backward problem that owns its arrays: a forward problem, what the fp64 forward makes of it, rounded, and dO and
/// dLSE drawn from N(0, 1). In rows that see no key dLSE is NaN or infinite.
class BackwardTestProblem {
 public:
  /// `forward_problem` is drawn for the descriptor of this backward.
  BackwardTestProblem(TestProblem forward_problem, std::uint64_t seed = 1);

  const TestProblem& forward() const { return forward_; }
  /// Spans into this problem.
  reference::BackwardProblem view(const LaunchChoice& choice) const;
  const std::vector<std::uint16_t>& output() const { return output_; }
  const std::vector<float>& lse() const { return lse_; }
  const std::vector<float>& lse_gradient() const { return lse_gradient_; }
  std::vector<std::uint16_t>& output_gradient() { return output_gradient_; }
  const std::vector<std::uint16_t>& output_gradient() const { return output_gradient_; }

 private:
  TestProblem forward_;
  std::vector<std::uint16_t> output_, output_gradient_;
  std::vector<float> lse_, lse_gradient_;
};

/// What a launch left in memory; gradients packed.
struct LaunchResult {
  std::vector<std::uint16_t> query_gradient, key_gradient, value_gradient;
  std::vector<std::byte> workspace;
  std::string overwritten;      ///< what was written outside the gradients and the workspace; empty if nothing
  LaunchStatistics statistics;  ///< of the kernels of the launch
};

/// Runs the kernel. Gaps and surroundings of the inputs hold NaNs; gradients and workspace hold 0xFF bytes before the
/// launch, and whatever of those surroundings changes is reported.
LaunchResult run_backward(Runtime& runtime, const Kernel& kernel, const BackwardTestProblem& problem,
                          const LaunchChoice& choice = {});

/// Compares what run_backward() gave with fp64: the bounds of all gradients, rows and keys that see nothing, NaNs,
/// surroundings.
testing::AssertionResult is_correct(const LaunchResult& result, const Kernel& kernel,
                                    const BackwardTestProblem& problem, const LaunchChoice& choice = {});
/// Runs the kernel and compares.
testing::AssertionResult is_correct(Runtime& runtime, const Kernel& kernel, const BackwardTestProblem& problem,
                                    const LaunchChoice& choice = {});

/// All forms of a backward with the alignments that have a meaning for them.
std::vector<KernelDescriptor> all_forms(DataType dtype, int head_dim_qk, int head_dim_v, const Target& target,
                                        bool deterministic);

}  // namespace flashmask::backward_tests
