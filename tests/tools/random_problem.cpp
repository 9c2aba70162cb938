#include "tests/tools/random_problem.h"

#include <limits>
#include <random>
#include <span>
#include <vector>

#include "flashmask/reference.h"
#include "tools/safetensors/writer.h"

namespace flashmask::test {
namespace {

using safetensors::ElementType;
using Shape = std::vector<std::uint64_t>;

std::vector<std::uint16_t> normal_values(const Shape& shape, DataType dtype, std::mt19937_64& random) {
  std::size_t size = 1;
  for (std::uint64_t extent : shape) size *= extent;
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> values(size);
  for (std::uint16_t& value : values) value = reference::from_float(normal(random), dtype);
  return values;
}

std::int32_t interval_end(int seqlen_q, std::mt19937_64& random) {
  switch (random() % 16) {
    case 0:
      return std::numeric_limits<std::int32_t>::min();
    case 1:
      return std::numeric_limits<std::int32_t>::max();
    case 2:
      return 0;
    case 3:
      return seqlen_q;
    default:
      return std::uniform_int_distribution<std::int32_t>(-3, seqlen_q + 3)(random);
  }
}

}  // namespace

void write_problem(const RandomProblem& problem, const std::filesystem::path& path) {
  std::mt19937_64 random(problem.seed);
  const auto shape = [&](int rows, int heads, int last) {
    return Shape{static_cast<std::uint64_t>(problem.batch), static_cast<std::uint64_t>(rows),
                 static_cast<std::uint64_t>(heads), static_cast<std::uint64_t>(last)};
  };
  const Shape query_shape = shape(problem.seqlen_q, problem.num_heads_q, problem.head_dim_qk);
  const Shape key_shape = shape(problem.seqlen_k, problem.num_heads_kv, problem.head_dim_qk);
  const Shape value_shape = shape(problem.seqlen_k, problem.num_heads_kv, problem.head_dim_v);
  const Shape mask_shape = shape(problem.num_heads_mask, problem.seqlen_k, problem.vectors);
  const auto query = normal_values(query_shape, problem.dtype, random);
  const auto key = normal_values(key_shape, problem.dtype, random);
  const auto value = normal_values(value_shape, problem.dtype, random);
  std::vector<std::int32_t> vectors(static_cast<std::size_t>(problem.batch) * problem.num_heads_mask *
                                    problem.seqlen_k * problem.vectors);
  for (std::int32_t& end : vectors) end = interval_end(problem.seqlen_q, random);

  const ElementType type = problem.dtype == DataType::kFloat16 ? ElementType::kF16 : ElementType::kBF16;
  safetensors::Writer writer;
  writer.add("q", type, query_shape, std::as_bytes(std::span(query)));
  writer.add("k", type, key_shape, std::as_bytes(std::span(key)));
  writer.add("v", type, value_shape, std::as_bytes(std::span(value)));
  if (problem.vectors > 0) {
    writer.add("startend_row_indices", ElementType::kI32, mask_shape, std::as_bytes(std::span(vectors)));
  }
  const Shape output_shape = shape(problem.seqlen_q, problem.num_heads_q, problem.head_dim_v);
  std::vector<std::uint16_t> output_gradient;
  if (problem.output_gradient) {
    output_gradient = normal_values(output_shape, problem.dtype, random);
    writer.add("dout", type, output_shape, std::as_bytes(std::span(output_gradient)));
  }
  const Shape lse_shape = {output_shape[0], output_shape[2], output_shape[1]};
  std::vector<float> lse_gradient(lse_shape[0] * lse_shape[1] * lse_shape[2]);
  if (problem.lse_gradient) {
    std::normal_distribution<float> normal;
    for (float& gradient : lse_gradient) gradient = normal(random);
    writer.add("dlse", ElementType::kF32, lse_shape, std::as_bytes(std::span(lse_gradient)));
  }
  writer.save(path);
}

}  // namespace flashmask::test
