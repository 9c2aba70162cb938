#include "runtime/manifest/write_manifest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <set>

#include "runtime/manifest/kernel_axes.h"
#include "runtime/manifest/request_order.h"
#include "runtime/manifest/torn_blocks.h"

namespace flashmask {
namespace {

/// A request as one coordinate per axis, each written as TOML writes it and preceded by what orders it.
using Coordinate = std::pair<std::array<int, 2>, std::string>;

enum Axis : std::size_t { kPass, kDtype, kHeadDim, kForm, kAlignment, kDeterministic, kConfig, kTarget, kAxes };

/// A table: a set of coordinates on each axis, which stands for all their combinations.
using Table = std::array<std::set<Coordinate>, kAxes>;

std::string quoted(std::string_view name) {
  return fmt::format("\"{}\"", name);
}

template <typename Named>
Coordinate named(Named value) {
  return {{static_cast<int>(value), 0}, quoted(to_string(value))};
}

std::string written(const HeadDims& head_dims) {
  return head_dims.qk == head_dims.v ? std::to_string(head_dims.qk)
                                     : fmt::format("[{}, {}]", head_dims.qk, head_dims.v);
}

Table table_of(const KernelRequest& request) {
  const KernelDescriptor& descriptor = request.descriptor;
  const Target target = descriptor.target;
  Table table;
  table[kPass] = {named(descriptor.pass)};
  table[kDtype] = {named(descriptor.dtype)};
  table[kHeadDim] = {{{descriptor.head_dim_qk, descriptor.head_dim_v},
                      written(HeadDims{descriptor.head_dim_qk, descriptor.head_dim_v})}};
  table[kForm] = {named(descriptor.mask_form)};
  table[kAlignment] = {named(descriptor.causal_alignment)};
  table[kDeterministic] = {{{descriptor.deterministic, 0}, descriptor.deterministic ? "true" : "false"}};
  table[kConfig] = {{{request.config.has_value(), 0},
                     quoted(request.config ? to_word(*request.config) : std::string(kDefaultConfig))}};
  table[kTarget] = {{{target.compute_capability, target.arch_specific}, quoted(to_string(target))}};
  return table;
}

/// Unites tables that differ on this axis alone. Returns whether there were any.
bool unite(std::vector<Table>& tables, Axis axis) {
  std::map<Table, std::set<Coordinate>> united;
  for (Table& table : tables) {
    std::set<Coordinate> coordinates;
    coordinates.swap(table[axis]);
    united[std::move(table)].merge(coordinates);
  }
  const bool did = united.size() < tables.size();
  tables.clear();
  for (auto& [rest, coordinates] : united) {
    tables.push_back(rest);
    tables.back()[axis] = std::move(coordinates);
  }
  return did;
}

/// Whether the forms of the table are all that each of its passes has.
bool has_all_forms(const Table& table) {
  const auto& forms = table[kForm];
  return forms.size() > 1 && std::all_of(table[kPass].begin(), table[kPass].end(), [&](const Coordinate& pass) {
           const auto all = forms_of(static_cast<Pass>(pass.first[0]));
           return forms.size() == all.size() &&
                  std::all_of(all.begin(), all.end(), [&](MaskForm form) { return forms.contains(named(form)); });
         });
}

std::string line(std::string_view key, const std::set<Coordinate>& coordinates, bool is_list_of_pairs = false) {
  std::vector<std::string_view> texts;
  for (const Coordinate& coordinate : coordinates) texts.push_back(coordinate.second);
  // One pair alone would be read as a list of two.
  const bool is_list = texts.size() > 1 || (is_list_of_pairs && texts.front().front() == '[');
  return fmt::format("{} = {}{}{}\n", key, is_list ? "[" : "", fmt::join(texts, ", "), is_list ? "]" : "");
}

std::string text_of(const Table& table) {
  const auto only = [&](Axis axis, std::string_view text) {
    return table[axis].size() == 1 && table[axis].begin()->second == text;
  };
  const bool attends = is_attention(static_cast<Pass>(table[kPass].begin()->first[0]));
  std::string text = "[[kernels]]\n" + line(kPassKey, table[kPass]);
  if (attends) text += line(kDtypeKey, table[kDtype]) + line(kHeadDimKey, table[kHeadDim], true);
  text += has_all_forms(table) ? fmt::format("{} = \"{}\"\n", kFormKey, kAllForms) : line(kFormKey, table[kForm]);
  if (!only(kAlignment, quoted(to_string(CausalAlignment::kBottomRight))))
    text += line(kAlignmentKey, table[kAlignment]);
  if (!only(kDeterministic, "false")) text += line(kDeterministicKey, table[kDeterministic]);
  if (!only(kConfig, quoted(kDefaultConfig))) text += line(kConfigKey, table[kConfig]);
  return text + line(kTargetKey, table[kTarget]);
}

}  // namespace

std::string manifest_head() {
  return fmt::format("{}\nversion = 1\n", kAppendableMark);
}

std::string to_table(const KernelRequest& request) {
  return text_of(table_of(request));
}

std::string to_text(const std::vector<KernelRequest>& requests) {
  std::vector<KernelRequest> sorted = requests;
  sort_and_collapse(sorted);
  std::vector<Table> tables;
  tables.reserve(sorted.size());
  for (const KernelRequest& request : sorted) tables.push_back(table_of(request));
  for (bool unites = true; unites;) {
    unites = false;
    for (const Axis axis : {kForm, kHeadDim, kDtype, kTarget, kPass, kAlignment, kDeterministic, kConfig})
      unites = unite(tables, axis) || unites;
  }
  std::string text = manifest_head();
  for (const Table& table : tables) text += "\n" + text_of(table);
  return text;
}

}  // namespace flashmask
