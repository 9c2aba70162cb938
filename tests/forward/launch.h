#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "tests/forward/problems.h"

namespace flashmask::forward_tests {

/// How the tensors lie in memory.
enum class Layout {
  kPacked,      ///< [batch, seqlen, heads, head_dim]
  kPadded,      ///< the same with gaps after every row, token and batch entry; strides that nobody uses are odd numbers
  kHeadsFirst,  ///< [batch, heads, seqlen, head_dim]
  kInterleaved,  ///< q, k and v as they lie in one projection: rows of one token far apart
};

struct LaunchChoice {
  Layout layout = Layout::kPacked;
  bool wants_lse = true;
  bool with_plan = true;  ///< of forms with vectors
};

/// What a launch left in memory, packed.
struct LaunchResult {
  std::vector<std::uint16_t> output;  ///< [batch, seqlen_q, heads_q, head_dim_v]
  std::vector<float> lse;             ///< [batch, heads_q, seqlen_q]; empty if not wanted
  std::string overwritten;            ///< what was written outside the output and LSE; empty if nothing
  LaunchStatistics statistics;        ///< of the forward kernel alone
};

/// Runs the kernel. Gaps and surroundings of the inputs hold NaNs; output and LSE hold 0xFF bytes before the launch,
/// and whatever of those surroundings changes is reported.
LaunchResult run_forward(Runtime& runtime, const Kernel& kernel, const TestProblem& problem,
                         const LaunchChoice& choice = {});

/// Runs the kernel and compares with fp64: the bound of the output, of LSE, dead rows, NaNs, surroundings.
testing::AssertionResult is_correct(Runtime& runtime, const Kernel& kernel, const TestProblem& problem,
                                    const LaunchChoice& choice = {});

}  // namespace flashmask::forward_tests
