#include "runtime/mask/interval_sets.h"

#include <algorithm>

namespace flashmask {

void canonicalise(std::vector<RowInterval>& intervals) {
  std::erase_if(intervals, [](const RowInterval& interval) { return interval.first >= interval.end; });
  std::sort(intervals.begin(), intervals.end(),
            [](const RowInterval& a, const RowInterval& b) { return a.first < b.first; });
  std::size_t kept = 0;
  for (std::size_t n = 0; n < intervals.size(); ++n) {
    if (kept > 0 && intervals[n].first <= intervals[kept - 1].end) {
      intervals[kept - 1].end = std::max(intervals[kept - 1].end, intervals[n].end);
    } else {
      intervals[kept++] = intervals[n];
    }
  }
  intervals.resize(kept);
}

void unite(std::span<const RowInterval> a, std::span<const RowInterval> b, std::vector<RowInterval>& result) {
  result.assign(a.begin(), a.end());
  result.insert(result.end(), b.begin(), b.end());
  canonicalise(result);
}

void intersect(std::span<const RowInterval> a, std::span<const RowInterval> b, std::vector<RowInterval>& result) {
  result.clear();
  std::size_t m = 0;
  std::size_t n = 0;
  while (m < a.size() && n < b.size()) {
    const RowInterval common = {std::max(a[m].first, b[n].first), std::min(a[m].end, b[n].end)};
    // Two of them never touch: between them one of the lists has its gap.
    if (common.first < common.end) result.push_back(common);
    a[m].end < b[n].end ? ++m : ++n;
  }
}

}  // namespace flashmask
