#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "flashmask/tuning.h"

namespace flashmask::tune {

/// Answers for a GPU that was measured, as `flashmask tune export` wrote them: a file of runtime/tune/shipped/.
struct ShippedFile {
  std::string_view name;
  std::string_view text;
};
std::span<const ShippedFile> shipped_files();

/// All of their records, read by the first call; thread-safe. What a file has that is no longer legal is left out.
const std::vector<TuningRecord>& shipped_records();

}  // namespace flashmask::tune
