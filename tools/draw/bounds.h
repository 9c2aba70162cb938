#pragma once

#include <string_view>
#include <vector>

#include "flashmask/mask.h"

namespace flashmask::draw {

/// Keys first_key <= j < end_key have their bound between the rows `row` - 1 and `row`.
struct BoundStep {
  int first_key = 0;
  int end_key = 0;
  int row = 0;

  friend bool operator==(const BoundStep&, const BoundStep&) = default;
};

/// One bound of a mask over its keys, clamped to [0, seqlen_q]. Keys for which it masks nothing have no step.
struct Bound {
  std::string_view name;  ///< "LTS", "LTE", "UTS", "UTE", "diagonal", "window left" or "window right"
  std::vector<BoundStep> steps;
};

/// The bounds that the mask's form has: its vectors first, then diagonal or window. Longer sequences than `max_steps`
/// keys are sampled: every step then stands for several keys and shows the first of them.
std::vector<Bound> mask_bounds(const Mask& mask, int batch, int head, int max_steps);

}  // namespace flashmask::draw
