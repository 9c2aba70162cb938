#include "flashmask/mask.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "flashmask/error.h"
#include "runtime/mask/form_fit.h"
#include "runtime/mask/masked_columns.h"
#include "runtime/reference/visibility.h"

namespace flashmask {
namespace {

void check_extents(const MaskShape& shape) {
  std::string broken;
  const auto require = [&](bool kept, const std::string& rule) {
    if (!kept) broken += (broken.empty() ? "" : "; ") + rule;
  };
  for (const auto& [name, length] : {std::pair{"seqlen_q", shape.seqlen_q}, {"seqlen_k", shape.seqlen_k}}) {
    require(length >= 1 && length <= Mask::kMaxSeqlen,
            fmt::format("{} = {}: 1 to {} is needed", name, length, Mask::kMaxSeqlen));
  }
  require(shape.batch >= 1, fmt::format("batch = {}: at least 1 is needed", shape.batch));
  require(shape.num_heads >= 1, fmt::format("num_heads = {}: at least 1 is needed", shape.num_heads));
  if (shape.batch >= 1 && shape.num_heads >= 1) {
    const std::int64_t slices = std::int64_t{shape.batch} * shape.num_heads;
    require(slices <= std::numeric_limits<int>::max(),
            fmt::format("batch * num_heads = {} * {} = {}: at most {} is allowed", shape.batch, shape.num_heads, slices,
                        std::numeric_limits<int>::max()));
  }
  if (!broken.empty()) throw Error(ErrorCode::kInvalidArgument, "a mask is not well formed: " + broken);
}

void check_form(const MaskShape& shape) {
  if (to_string(shape.form) == "invalid") {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("mask form = {}: not a known value; known are none, causal, window, c1, c2, f2, f4",
                            static_cast<int>(shape.form)));
  }
  if (shape.causal_alignment != CausalAlignment::kBottomRight &&
      (shape.causal_alignment != CausalAlignment::kTopLeft || !has_diagonal(shape.form))) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("causal_alignment = {}: form {} allows {}", to_string(shape.causal_alignment),
                            to_string(shape.form),
                            has_diagonal(shape.form) ? "bottom-right and top-left"
                                                     : "bottom-right alone, for it has no diagonal to align"));
  }
  const bool unbounded = shape.window_left == -1 && shape.window_right == -1;
  if (shape.form == MaskForm::kWindow ? shape.window_left < -1 || shape.window_right < -1 : !unbounded) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("window = ({}, {}): form {} needs {}", shape.window_left, shape.window_right, to_string(shape.form),
                    shape.form == MaskForm::kWindow ? "numbers of keys from 0 on, or -1 for no bound"
                                                    : "(-1, -1), for it has no window"));
  }
}

void check_index(const char* name, int index, int extent) {
  if (index >= 0 && index < extent) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{} = {}: the mask has {}, counted from 0", name, index, extent));
}

std::size_t column_number(const MaskShape& shape, int batch, int head, int j) {
  check_index("batch", batch, shape.batch);
  check_index("mask head", head, shape.num_heads);
  check_index("key column", j, shape.seqlen_k);
  const std::int64_t slice = std::int64_t{batch} * shape.num_heads + head;
  return static_cast<std::size_t>(slice * shape.seqlen_k + j);
}

}  // namespace

Mask::Mask(const MaskShape& shape, std::vector<std::int32_t> startend_row_indices)
    : shape_(shape), startend_row_indices_(std::move(startend_row_indices)) {
  check_extents(shape);
  check_form(shape);
  const int vectors = vectors_per_column(shape.form);
  const std::size_t needed = column_count(extents()) * static_cast<std::size_t>(vectors);
  if (startend_row_indices_.size() != needed) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("startend_row_indices has {} elements: form {} needs {}, [batch, num_heads, seqlen_k, "
                            "vectors] = [{}, {}, {}, {}]",
                            startend_row_indices_.size(), to_string(shape.form), needed, shape.batch, shape.num_heads,
                            shape.seqlen_k, vectors));
  }
}

bool Mask::is_visible(int batch, int head, int i, int j) const {
  const std::size_t column = column_number(shape_, batch, head, j);
  check_index("query row", i, shape_.seqlen_q);
  return reference::is_visible(shape_, startend_row_indices_.data() + column * vectors_per_column(shape_.form), i, j);
}

MaskedRows Mask::masked_rows(int batch, int head, int j) const {
  const std::size_t column = column_number(shape_, batch, head, j);
  const std::int32_t* v = startend_row_indices_.data() + column * vectors_per_column(shape_.form);
  MaskedRows rows;
  // Adds [first, end), clamped; keeps the two intervals sorted and merged.
  const auto add = [&](std::int64_t first, std::int64_t end) {
    RowInterval added = {static_cast<int>(std::clamp<std::int64_t>(first, 0, shape_.seqlen_q)),
                         static_cast<int>(std::clamp<std::int64_t>(end, 0, shape_.seqlen_q))};
    if (added.first >= added.end) return;
    RowInterval& known = rows.intervals_[0];
    if (rows.size_ == 0) {
      known = added;
      rows.size_ = 1;
    } else if (added.first <= known.end && known.first <= added.end) {
      known = {std::min(known.first, added.first), std::max(known.end, added.end)};
    } else {
      if (added.first < known.first) std::swap(added, known);
      rows.intervals_[1] = added;
      rows.size_ = 2;
    }
  };

  // The row whose diagonal key this is. Rows above it see only keys to the left.
  const std::int64_t diagonal =
      j - reference::diagonal_offset(shape_.causal_alignment, shape_.seqlen_q, shape_.seqlen_k);
  const std::int64_t last = shape_.seqlen_q;
  switch (shape_.form) {
    case MaskForm::kNone:
      break;
    case MaskForm::kCausal:
      add(0, diagonal);
      break;
    case MaskForm::kWindow:
      if (shape_.window_right >= 0) add(0, diagonal - shape_.window_right);
      if (shape_.window_left >= 0) add(diagonal + shape_.window_left + 1, last);
      break;
    case MaskForm::kC1:
      add(0, diagonal);
      add(v[0], last);
      break;
    case MaskForm::kC2:
      add(0, diagonal);
      add(v[0], v[1]);
      break;
    case MaskForm::kF2:
      add(0, v[1]);
      add(v[0], last);
      break;
    case MaskForm::kF4:
      add(v[0], v[1]);
      add(v[2], v[3]);
      break;
  }
  return rows;
}

Mask Mask::normalised() const {
  return hold_tightest(MaskedColumns(*this));
}

Mask Mask::held_as(MaskForm form, CausalAlignment alignment) const {
  return hold_as(MaskedColumns(*this), form, alignment);
}

}  // namespace flashmask
