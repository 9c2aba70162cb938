#include "runtime/mask/masked_columns.h"

namespace flashmask {

MaskedColumns::MaskedColumns(const MaskExtents& extents) : extents_(extents), ends_{0} {
  ends_.reserve(column_count(extents) + 1);
}

MaskedColumns::MaskedColumns(const Mask& mask) : MaskedColumns(mask.extents()) {
  for (int batch = 0; batch < extents_.batch; ++batch) {
    for (int head = 0; head < extents_.num_heads; ++head) {
      for (int j = 0; j < extents_.seqlen_k; ++j) {
        const MaskedRows rows = mask.masked_rows(batch, head, j);
        append({rows.begin(), rows.end()});
      }
    }
  }
}

void MaskedColumns::append(std::span<const RowInterval> masked_rows) {
  intervals_.insert(intervals_.end(), masked_rows.begin(), masked_rows.end());
  ends_.push_back(intervals_.size());
}

}  // namespace flashmask
