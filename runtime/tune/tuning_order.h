#pragma once

#include "flashmask/tuning.h"

namespace flashmask::tune {

/// One fixed, total order of keys: of the report, of an export and of TuningDatabase::records().
bool precedes(const TuningKey& a, const TuningKey& b);

}  // namespace flashmask::tune
