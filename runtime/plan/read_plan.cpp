#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>

#include "flashmask/error.h"
#include "flashmask/mask_plan.h"
#include "runtime/plan/layout.h"
#include "templates/mask_plan_types.cuh"

namespace flashmask {
namespace {

/// The layout of a view, which may come from anywhere.
PlanLayout layout_of(const PlanView& plan) {
  const std::vector<std::string> rules = broken_plan_rules(plan.mask, plan.tile);
  if (!rules.empty())
    throw Error(ErrorCode::kInvalidArgument, fmt::format("this is no plan:\n  {}", fmt::join(rules, "\n  ")));
  const PlanLayout layout = plan_layout(plan.mask, plan.tile);
  if (plan.data == 0 || plan.bytes < layout.bytes)
    throw Error(ErrorCode::kInvalidArgument, fmt::format("this is no plan: {} bytes at 0x{:x}, where {} are needed",
                                                         plan.bytes, plan.data, layout.bytes));
  return layout;
}

template <typename Element>
std::vector<Element> copy_array(Device& device, const PlanView& plan, std::size_t offset, std::int64_t count,
                                Stream stream) {
  std::vector<Element> elements(static_cast<std::size_t>(count));
  device.copy_to_host(std::as_writable_bytes(std::span(elements)), plan.data + offset, stream);
  return elements;
}

TileClass class_in(const mask_plan::TileWord& word, std::int64_t bit) {
  if (word.partial >> bit & 1) return TileClass::kPartial;
  return word.full >> bit & 1 ? TileClass::kFull : TileClass::kEmpty;
}

std::vector<TileSummary> summaries(Device& device, const PlanView& plan, std::size_t offset, std::int64_t count,
                                   Stream stream) {
  std::vector<TileSummary> result;
  for (const auto& read : copy_array<mask_plan::Summary>(device, plan, offset, count, stream))
    result.push_back({read.first, read.last, read.partial, read.full});
  return result;
}

std::vector<int> order(Device& device, const PlanView& plan, std::size_t offset, std::int64_t count, Stream stream) {
  std::vector<int> result;
  for (const auto& work : copy_array<mask_plan::Work>(device, plan, offset, count, stream)) result.push_back(work.tile);
  return result;
}

}  // namespace

PlanContent MaskPlan::read(Device& device, const PlanView& plan, Stream stream) {
  const PlanLayout layout = layout_of(plan);
  const std::int64_t heads = layout.mask_heads, rows = layout.row_tiles, keys = layout.key_tiles;
  PlanContent content;
  content.row_tiles = static_cast<int>(rows);
  content.key_tiles = static_cast<int>(keys);
  const auto by_rows =
      copy_array<mask_plan::TileWord>(device, plan, layout.row_classes, heads * rows * layout.key_words, stream);
  const auto by_keys =
      copy_array<mask_plan::TileWord>(device, plan, layout.key_classes, heads * keys * layout.row_words, stream);
  for (std::int64_t head = 0; head < heads; ++head)
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t key = 0; key < keys; ++key) {
        content.row_classes.push_back(
            class_in(by_rows[static_cast<std::size_t>((head * rows + row) * layout.key_words + key / 32)], key % 32));
        content.key_classes.push_back(
            class_in(by_keys[static_cast<std::size_t>((head * keys + key) * layout.row_words + row / 32)], row % 32));
      }
  content.row_summaries = summaries(device, plan, layout.row_summaries, heads * rows, stream);
  content.key_summaries = summaries(device, plan, layout.key_summaries, heads * keys, stream);
  content.row_order = order(device, plan, layout.row_work, heads * rows, stream);
  content.key_order = order(device, plan, layout.key_work, heads * keys, stream);
  return content;
}

PlanCounts count_tiles(Device& device, const PlanView& plan, Stream stream) {
  const PlanLayout layout = layout_of(plan);
  PlanCounts counts;
  for (const TileSummary& row :
       summaries(device, plan, layout.row_summaries, layout.mask_heads * layout.row_tiles, stream)) {
    counts.full += static_cast<std::uint64_t>(row.full);
    counts.partial += static_cast<std::uint64_t>(row.partial);
  }
  counts.empty = static_cast<std::uint64_t>(layout.mask_heads * layout.row_tiles * layout.key_tiles) - counts.full -
                 counts.partial;
  return counts;
}

}  // namespace flashmask
