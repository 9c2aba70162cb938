#pragma once

#include <span>
#include <vector>

#include "flashmask/mask.h"

// Sets of query rows as lists of intervals: non-empty, ascending, with a gap of at least one row between them. Results
// replace what `result` held, so that a loop over columns allocates once.
namespace flashmask {

/// Makes any intervals such a list: sorted, merged (adjacent ones too), empty ones dropped.
void canonicalise(std::vector<RowInterval>& intervals);

void unite(std::span<const RowInterval> a, std::span<const RowInterval> b, std::vector<RowInterval>& result);

void intersect(std::span<const RowInterval> a, std::span<const RowInterval> b, std::vector<RowInterval>& result);

}  // namespace flashmask
