#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/mask.h"
#include "runtime/mask/form_fit.h"
#include "runtime/mask/masked_columns.h"

namespace flashmask {
namespace {

/// The mask whose row n is row r of `mask` with new_row(r) = n, new_row(r) being the number of rows kept below r. A
/// kept interval stays an interval, and two may merge: never more than before.
template <typename NewRow>
Mask selected(const Mask& mask, int rows_kept, const NewRow& new_row) {
  MaskExtents extents = mask.extents();
  extents.seqlen_q = rows_kept;
  MaskedColumns columns(extents);
  std::vector<RowInterval> kept;
  for (int batch = 0; batch < extents.batch; ++batch) {
    for (int head = 0; head < extents.num_heads; ++head) {
      for (int j = 0; j < extents.seqlen_k; ++j) {
        kept.clear();
        for (const RowInterval& rows : mask.masked_rows(batch, head, j)) {
          const RowInterval moved = {new_row(rows.first), new_row(rows.end)};
          if (moved.first == moved.end) continue;
          if (!kept.empty() && kept.back().end == moved.first) {  // the visible rows between them are gone
            kept.back().end = moved.end;
          } else {
            kept.push_back(moved);
          }
        }
        columns.append(kept);
      }
    }
  }
  return hold_tightest(columns);
}

}  // namespace

Mask Mask::slice_rows(int first, int last) const {
  if (first < 0 || first >= last || last > shape_.seqlen_q) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("rows [{}, {}) of a mask: a range that is not empty and lies in [0, {}) is needed", first,
                            last, shape_.seqlen_q));
  }
  return selected(*this, last - first, [&](int row) { return std::clamp(row, first, last) - first; });
}

Mask Mask::select_rows(std::span<const int> rows) const {
  if (rows.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("0 rows selected: at least 1 of the {} rows is needed", shape_.seqlen_q));
  }
  for (std::size_t n = 0; n < rows.size(); ++n) {
    if (rows[n] < 0 || rows[n] >= shape_.seqlen_q) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("rows[{}] = {}: the mask has {} rows, counted from 0", n, rows[n], shape_.seqlen_q));
    }
    if (n > 0 && rows[n] <= rows[n - 1]) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("rows[{}] = {} follows rows[{}] = {}: strictly ascending rows are needed", n, rows[n],
                              n - 1, rows[n - 1]),
                  "sort the rows, and put the queries of the problem into the same order");
    }
  }
  return selected(*this, static_cast<int>(rows.size()), [&](int row) {
    return static_cast<int>(std::lower_bound(rows.begin(), rows.end(), row) - rows.begin());
  });
}

Mask Mask::permute_keys(std::span<const int> order) const {
  const std::size_t keys = static_cast<std::size_t>(shape_.seqlen_k);
  if (order.size() != keys) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("an order of {} keys: the mask has {}", order.size(), keys));
  }
  std::vector<int> place(keys, -1);
  for (std::size_t n = 0; n < keys; ++n) {
    if (order[n] < 0 || order[n] >= shape_.seqlen_k) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("order[{}] = {}: the mask has {} keys, counted from 0", n, order[n], keys));
    }
    int& seen = place[static_cast<std::size_t>(order[n])];
    if (seen >= 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("order[{}] = order[{}] = {}: every key is needed once", seen, n, order[n]));
    }
    seen = static_cast<int>(n);
  }
  MaskedColumns columns(extents());
  for (int batch = 0; batch < shape_.batch; ++batch) {
    for (int head = 0; head < shape_.num_heads; ++head) {
      for (const int j : order) {
        const MaskedRows rows = masked_rows(batch, head, j);
        columns.append({rows.begin(), rows.end()});
      }
    }
  }
  return hold_tightest(columns);
}

}  // namespace flashmask
