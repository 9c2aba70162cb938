#pragma once

#include <cstddef>
#include <vector>

#include "flashmask/reference.h"

namespace flashmask::reference {

double sum_of_products(const double* a, const double* b, int count);

/// Attention in double in the plainest loops, to test the reference by. Its inputs start as those of the problem and
/// may then be anything; the mask, dO and dLSE are the problem's, whose arrays must outlive it.
class PlainAttention {
 public:
  explicit PlainAttention(const BackwardProblem& problem);

  std::vector<double> query, key, value;

  /// One query row of one head.
  struct Row {
    bool sees = false;                ///< any key
    double lse = 0;                   ///< of a row that sees a key
    std::vector<double> probability;  ///< per key; 0 where masked
    std::vector<double> output;
  };
  Row row(int batch, int head, int i) const;

  /// The row's part of the loss sum(dO o O) + sum(dLSE o LSE); 0 of a row that sees no key.
  double loss(int batch, int head, int i) const;

  /// dO of the row, head_dim_v elements.
  const double* output_gradient(int batch, int head, int i) const;
  /// dLSE of the row; 0 if the problem has none.
  double lse_gradient(int batch, int head, int i) const;

  /// Where the row of a query head lies among the rows of Q, O and their gradients.
  std::size_t query_row(int batch, int head, int i) const;
  /// Where the key that a query head reads lies among the rows of K, V and their gradients.
  std::size_t key_row(int batch, int head, int j) const;
  int heads_per_key_head() const { return p_.num_heads_q / p_.num_heads_kv; }

 private:
  ForwardProblem p_;
  std::vector<double> output_gradient_, lse_gradient_;
};

}  // namespace flashmask::reference
