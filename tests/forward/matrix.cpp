#include "tests/forward/matrix.h"

#include <fmt/format.h>

#include <ostream>

namespace flashmask::forward_tests {
namespace {

std::vector<Column> in_both_types(const std::vector<std::pair<int, int>>& head_dims) {
  std::vector<Column> all;
  for (const DataType dtype : {DataType::kFloat16, DataType::kBfloat16})
    for (const auto& [head_dim_qk, head_dim_v] : head_dims) all.push_back({dtype, head_dim_qk, head_dim_v});
  return all;
}

}  // namespace

std::string name_of(const Column& column) {
  return fmt::format("{}_d{}_{}", to_string(column.dtype), column.head_dim_qk, column.head_dim_v);
}

void PrintTo(const Column& column, std::ostream* stream) {
  *stream << to_string(column.dtype) << " " << column.head_dim_qk << "/" << column.head_dim_v;
}

std::vector<Column> columns() {
  return in_both_types(
      {{32, 32}, {64, 64}, {72, 72}, {80, 80}, {96, 96}, {128, 128}, {192, 192}, {256, 256}, {192, 128}, {64, 128}});
}

std::vector<Column> columns_of(const Family& family) {
  if (family.name != "wgmma") return columns();
  return in_both_types({{64, 64}, {96, 96}, {128, 128}, {192, 192}, {256, 256}, {192, 128}});
}

std::vector<Column> other_columns_of(const Family& family) {
  if (family.name != "wgmma") return {};
  return in_both_types(
      {{8, 8}, {40, 40}, {72, 72}, {80, 80}, {112, 112}, {160, 160}, {224, 224}, {128, 64}, {64, 256}});
}

std::string name_of(const FamilyColumn& cell) {
  return fmt::format("{}_{}", cell.family.name, name_of(cell.column));
}

void PrintTo(const FamilyColumn& cell, std::ostream* stream) {
  *stream << cell.family.name << " ";
  PrintTo(cell.column, stream);
}

std::vector<FamilyColumn> cells(std::vector<Column> (*columns_of)(const Family&)) {
  std::vector<FamilyColumn> all;
  for (const Family& family : tested_families())
    for (const Column& column : columns_of(family)) all.push_back({family, column});
  return all;
}

}  // namespace flashmask::forward_tests
