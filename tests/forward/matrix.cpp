#include "tests/forward/matrix.h"

#include <fmt/format.h>

#include <ostream>

namespace flashmask::forward_tests {

std::string name_of(const Column& column) {
  return fmt::format("{}_d{}_{}", to_string(column.dtype), column.head_dim_qk, column.head_dim_v);
}

void PrintTo(const Column& column, std::ostream* stream) {
  *stream << to_string(column.dtype) << " " << column.head_dim_qk << "/" << column.head_dim_v;
}

std::vector<Column> columns() {
  std::vector<Column> all;
  for (DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    for (int head_dim : {32, 64, 72, 80, 96, 128, 192, 256}) all.push_back({dtype, head_dim, head_dim});
    all.push_back({dtype, 192, 128});
    all.push_back({dtype, 64, 128});
  }
  return all;
}

}  // namespace flashmask::forward_tests
