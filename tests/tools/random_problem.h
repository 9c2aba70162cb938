#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "flashmask/kernel_descriptor.h"

namespace flashmask::test {

/// Sizes of a random input of `flashmask run`. Values and gradients are normal; intervals are fuzzed: swapped, empty,
/// negative and beyond Sq ones among them, and some columns that no row sees.
struct RandomProblem {
  std::string name;
  DataType dtype = DataType::kBfloat16;
  int batch = 1, seqlen_q = 40, seqlen_k = 40, num_heads_q = 2, num_heads_kv = 1, num_heads_mask = 1;
  int head_dim_qk = 32, head_dim_v = 32;
  int vectors = 0;               ///< values per key of startend_row_indices; 0: without
  bool output_gradient = false;  ///< with dout
  bool lse_gradient = false;     ///< with dlse
  std::uint64_t seed = 1;
};

void write_problem(const RandomProblem& problem, const std::filesystem::path& path);

}  // namespace flashmask::test
