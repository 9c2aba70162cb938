#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/mask.h"
#include "runtime/mask/form_fit.h"
#include "runtime/mask/masked_columns.h"

namespace flashmask {
namespace {

/// Number of elements; checks the extents and the limit of dense masks.
std::size_t dense_size(const MaskExtents& e) {
  (void)Mask({MaskForm::kNone, CausalAlignment::kBottomRight, e.batch, e.num_heads, e.seqlen_q, e.seqlen_k, -1, -1});
  // batch * num_heads < 2^31 and lengths <= 2^29: the product of three fits 64 bits, that of four is compared first.
  const std::int64_t columns = std::int64_t{e.batch} * e.num_heads * e.seqlen_k;
  if (columns > Mask::kMaxDenseElements / e.seqlen_q) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a dense mask of [batch, num_heads, seqlen_q, seqlen_k] = [{}, {}, {}, {}] has {:.4g} "
                            "elements: at most {} are handled",
                            e.batch, e.num_heads, e.seqlen_q, e.seqlen_k,
                            static_cast<double>(columns) * static_cast<double>(e.seqlen_q), Mask::kMaxDenseElements),
                "use masked_rows(), classify_tiles() or a slice of the rows");
  }
  return static_cast<std::size_t>(columns) * static_cast<std::size_t>(e.seqlen_q);
}

/// Columns that are scanned together, so that a row of them is one cache line.
constexpr int kColumnGroup = 64;

MaskedColumns columns_of(const MaskExtents& e, std::span<const std::uint8_t> visible) {
  const std::size_t needed = dense_size(e);
  if (visible.size() != needed) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a dense mask has {} elements: {} are needed, [batch, num_heads, seqlen_q, seqlen_k] = "
                            "[{}, {}, {}, {}]",
                            visible.size(), needed, e.batch, e.num_heads, e.seqlen_q, e.seqlen_k));
  }
  MaskedColumns columns(e);
  std::array<std::vector<RowInterval>, kColumnGroup> found;
  const std::int64_t slices = std::int64_t{e.batch} * e.num_heads;
  for (std::int64_t slice = 0; slice < slices; ++slice) {
    const std::uint8_t* dense = visible.data() + slice * e.seqlen_q * e.seqlen_k;
    for (int group = 0; group < e.seqlen_k; group += kColumnGroup) {
      const int width = std::min(kColumnGroup, e.seqlen_k - group);
      for (auto& rows : found) rows.clear();
      for (int i = 0; i < e.seqlen_q; ++i) {
        const std::uint8_t* row = dense + std::int64_t{i} * e.seqlen_k + group;
        for (int x = 0; x < width; ++x) {
          if (row[x] != 0) continue;
          if (!found[x].empty() && found[x].back().end == i) {
            ++found[x].back().end;
          } else {
            found[x].push_back({i, i + 1});
          }
        }
      }
      for (int x = 0; x < width; ++x) columns.append(found[x]);
    }
  }
  return columns;
}

}  // namespace

std::vector<std::uint8_t> Mask::to_dense() const {
  std::vector<std::uint8_t> visible(dense_size(extents()), 1);
  std::uint8_t* dense = visible.data();
  for (int batch = 0; batch < shape_.batch; ++batch) {
    for (int head = 0; head < shape_.num_heads; ++head) {
      for (int j = 0; j < shape_.seqlen_k; ++j) {
        for (const RowInterval& rows : masked_rows(batch, head, j)) {
          for (std::int64_t i = rows.first; i < rows.end; ++i) dense[i * shape_.seqlen_k + j] = 0;
        }
      }
      dense += std::int64_t{shape_.seqlen_q} * shape_.seqlen_k;
    }
  }
  return visible;
}

Mask Mask::from_dense(const MaskExtents& extents, std::span<const std::uint8_t> visible) {
  return hold_tightest(columns_of(extents, visible));
}

Mask Mask::from_dense(const MaskExtents& extents, std::span<const std::uint8_t> visible, MaskForm form,
                      CausalAlignment alignment) {
  return hold_as(columns_of(extents, visible), form, alignment);
}

}  // namespace flashmask
