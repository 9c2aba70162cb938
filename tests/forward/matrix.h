#pragma once

#include <array>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {

// What the matrices of the passes go through: columns, and lists from which each problem takes the next entry.

/// Element type and head dims.
struct Column {
  DataType dtype;
  int head_dim_qk;
  int head_dim_v;
};
/// "bf16_d192_128"
std::string name_of(const Column& column);
void PrintTo(const Column& column, std::ostream* stream);
std::vector<Column> columns();
/// Of the kernels of a family: those that are tested in every form, and others, of which a sample is.
std::vector<Column> columns_of(const Family& family);
std::vector<Column> other_columns_of(const Family& family);

/// A column of a family that runs on the device under test.
struct FamilyColumn {
  Family family;
  Column column;
};
/// "wgmma_bf16_d192_128"
std::string name_of(const FamilyColumn& cell);
void PrintTo(const FamilyColumn& cell, std::ostream* stream);
/// Of all families, those that `columns_of` names.
std::vector<FamilyColumn> cells(std::vector<Column> (*columns_of)(const Family&));

struct HeadCounts {
  int q, kv, mask;
};
inline constexpr HeadCounts kHeadCounts[] = {{2, 1, 2}, {1, 1, 1}, {2, 2, 1}, {3, 1, 1}, {4, 2, 2}};
inline constexpr Layout kLayouts[] = {Layout::kPacked, Layout::kPadded, Layout::kHeadsFirst, Layout::kInterleaved};
inline constexpr Intervals kIntervals[] = {Intervals::kFuzzed, Intervals::kHoles, Intervals::kFuzzed,
                                           Intervals::kDocuments};
/// Left and right.
inline constexpr std::array<std::pair<int, int>, 5> kWindows = {{{17, 0}, {-1, 9}, {5, 70}, {40, -1}, {0, 0}}};

}  // namespace flashmask::forward_tests
