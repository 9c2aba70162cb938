#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "flashmask/error.h"
#include "flashmask/mask.h"
#include "runtime/mask/form_fit.h"
#include "runtime/mask/interval_sets.h"
#include "runtime/mask/masked_columns.h"

namespace flashmask {
namespace {

std::string extents_text(const MaskExtents& e) {
  return fmt::format("[{}, {}, {}, {}]", e.batch, e.num_heads, e.seqlen_q, e.seqlen_k);
}

/// The extent of two masks together: equal numbers, or a 1 that stands for all; 0 if neither.
int common_extent(int a, int b) {
  if (a == b || b == 1) return a;
  return a == 1 ? b : 0;
}

MaskExtents common_extents(const MaskExtents& a, const MaskExtents& b) {
  const MaskExtents common = {common_extent(a.batch, b.batch), common_extent(a.num_heads, b.num_heads), a.seqlen_q,
                              a.seqlen_k};
  if (common.batch == 0 || common.num_heads == 0 || a.seqlen_q != b.seqlen_q || a.seqlen_k != b.seqlen_k) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("masks of [batch, num_heads, seqlen_q, seqlen_k] = {} and {} cannot be combined: equal "
                            "lengths are needed, and batch and num_heads that are equal or 1",
                            extents_text(a), extents_text(b)));
  }
  return common;
}

using Combine = void (*)(std::span<const RowInterval>, std::span<const RowInterval>, std::vector<RowInterval>&);

Mask combined(const Mask& a, const Mask& b, Combine combine) {
  const MaskExtents extents = common_extents(a.extents(), b.extents());
  const auto column_of = [](const Mask& mask, int batch, int head, int j) {
    return mask.masked_rows(mask.shape().batch == 1 ? 0 : batch, mask.shape().num_heads == 1 ? 0 : head, j);
  };
  MaskedColumns columns(extents);
  std::vector<RowInterval> rows;
  for (int batch = 0; batch < extents.batch; ++batch) {
    for (int head = 0; head < extents.num_heads; ++head) {
      for (int j = 0; j < extents.seqlen_k; ++j) {
        const MaskedRows of_a = column_of(a, batch, head, j);
        const MaskedRows of_b = column_of(b, batch, head, j);
        combine({of_a.begin(), of_a.end()}, {of_b.begin(), of_b.end()}, rows);
        columns.append(rows);
      }
    }
  }
  return hold_tightest(columns);
}

/// Whether two masks hold their vectors alike, so that these can stand side by side.
bool same_form(const MaskShape& a, const MaskShape& b) {
  return a.form == b.form && a.causal_alignment == b.causal_alignment && a.window_left == b.window_left &&
         a.window_right == b.window_right;
}

enum class Axis { kBatch, kHeads };

Mask stacked(std::span<const Mask> masks, Axis axis) {
  if (masks.empty()) throw Error(ErrorCode::kInvalidArgument, "0 masks cannot be stacked: at least 1 is needed");
  const MaskExtents& first = masks[0].extents();
  std::int64_t total = 0;
  bool alike = true;
  for (std::size_t n = 0; n < masks.size(); ++n) {
    const MaskExtents extents = masks[n].extents();
    MaskExtents expected = first;
    (axis == Axis::kBatch ? expected.batch : expected.num_heads) =
        axis == Axis::kBatch ? extents.batch : extents.num_heads;
    if (extents != expected) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("masks 0 and {} of [batch, num_heads, seqlen_q, seqlen_k] = {} and {} cannot be stacked: "
                      "only {} may differ",
                      n, extents_text(first), extents_text(extents), axis == Axis::kBatch ? "batch" : "num_heads"));
    }
    total += axis == Axis::kBatch ? extents.batch : extents.num_heads;
    alike = alike && same_form(masks[0].shape(), masks[n].shape());
  }
  if (total > Mask::kMaxSeqlen) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("masks stacked to {} = {}: at most {} is allowed",
                            axis == Axis::kBatch ? "batch" : "num_heads", total, Mask::kMaxSeqlen));
  }
  MaskShape shape = masks[0].shape();
  (axis == Axis::kBatch ? shape.batch : shape.num_heads) = static_cast<int>(total);
  const int outer = axis == Axis::kBatch ? 1 : shape.batch;

  // A block: what one mask gives to one step of the outer axis.
  std::vector<std::int32_t> values;
  MaskedColumns columns({shape.batch, shape.num_heads, shape.seqlen_q, shape.seqlen_k});
  for (int step = 0; step < outer; ++step) {
    for (const Mask& mask : masks) {
      if (alike) {
        const std::span<const std::int32_t> all = mask.startend_row_indices();
        const std::size_t block = all.size() / static_cast<std::size_t>(outer);
        const auto part = all.subspan(static_cast<std::size_t>(step) * block, block);
        values.insert(values.end(), part.begin(), part.end());
        continue;
      }
      const int batches = axis == Axis::kBatch ? mask.shape().batch : 1;
      for (int batch = 0; batch < batches; ++batch) {
        for (int head = 0; head < mask.shape().num_heads; ++head) {
          for (int j = 0; j < shape.seqlen_k; ++j) {
            const MaskedRows rows = mask.masked_rows(step + batch, head, j);
            columns.append({rows.begin(), rows.end()});
          }
        }
      }
    }
  }
  return alike ? Mask(shape, std::move(values)) : hold_tightest(columns);
}

}  // namespace

Mask both_see(const Mask& a, const Mask& b) {
  return combined(a, b, unite);
}

Mask either_sees(const Mask& a, const Mask& b) {
  return combined(a, b, intersect);
}

Mask stack_batch(std::span<const Mask> masks) {
  return stacked(masks, Axis::kBatch);
}

Mask stack_heads(std::span<const Mask> masks) {
  return stacked(masks, Axis::kHeads);
}

Mask Mask::expanded(int batch, int num_heads) const {
  const bool grows =
      (shape_.batch == batch || shape_.batch == 1) && (shape_.num_heads == num_heads || shape_.num_heads == 1);
  if (!grows || batch < 1 || num_heads < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a mask of [batch, num_heads] = [{}, {}] cannot be expanded to [{}, {}]: a number that is "
                            "not 1 must stay",
                            shape_.batch, shape_.num_heads, batch, num_heads));
  }
  MaskShape shape = shape_;
  shape.batch = batch;
  shape.num_heads = num_heads;
  // Checks the new extents before anything is copied.
  MaskShape bare = shape;
  bare.form = MaskForm::kNone;
  bare.causal_alignment = CausalAlignment::kBottomRight;
  bare.window_left = bare.window_right = -1;
  (void)Mask(bare);
  const std::size_t slice = static_cast<std::size_t>(shape_.seqlen_k) * vectors_per_column(shape_.form);
  std::vector<std::int32_t> values;
  values.reserve(slice * static_cast<std::size_t>(batch) * static_cast<std::size_t>(num_heads));
  for (int b = 0; b < batch && slice > 0; ++b) {
    for (int h = 0; h < num_heads; ++h) {
      const std::size_t source =
          static_cast<std::size_t>(shape_.batch == 1 ? 0 : b) * shape_.num_heads + (shape_.num_heads == 1 ? 0 : h);
      const auto part = startend_row_indices().subspan(source * slice, slice);
      values.insert(values.end(), part.begin(), part.end());
    }
  }
  return Mask(shape, std::move(values));
}

}  // namespace flashmask
