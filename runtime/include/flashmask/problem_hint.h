#pragma once

#include <optional>
#include <string_view>

#include "flashmask/export.h"

namespace flashmask {

/// What is known of the problems to come; it only helps to choose a TileConfig, never what is computed.
struct ProblemHint {
  int seqlen_q = 0;  ///< 0: unknown
  int seqlen_k = 0;
  int heads = 0;       ///< batch * num_heads_q
  double density = 0;  ///< share of the scores that the mask leaves, 0 to 1: PlanCounts::density() is near; 0: unknown
};

/// How much a mask leaves of the scores, coarsely: one configuration serves a class.
enum class DensityClass {
  kUnknown,
  kSparse,  ///< below 1/16: short documents, narrow windows
  kLight,   ///< below 1/4
  kMedium,  ///< below 5/8: a causal mask has 1/2
  kDense,
};
/// Unknown for 0 and below, and for what is no number.
FLASHMASK_API DensityClass density_class(double density);
/// "unknown", "sparse", "light", "medium" or "dense".
FLASHMASK_API std::string_view to_string(DensityClass density);
FLASHMASK_API std::optional<DensityClass> parse_density_class(std::string_view text);

}  // namespace flashmask
