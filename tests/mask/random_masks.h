#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "flashmask/mask.h"

namespace flashmask::mask_tests {

/// The same numbers on every machine, unlike the standard library's distributions.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  /// least <= result <= most
  int between(int least, int most);
  bool chance(int percent) { return between(1, 100) <= percent; }

 private:
  std::mt19937_64 engine_;
};

/// A form and an alignment that are legal together.
struct FormChoice {
  MaskForm form;
  CausalAlignment alignment;
};
/// All of them.
const std::vector<FormChoice>& form_choices();

/// Values of one vector element for seqlen_q rows: mostly near the rows, some at -1, 0, Sq and beyond, at the ends of
/// int.
std::int32_t random_row(Random& random, int seqlen_q);

/// A mask of that form with extents up to these; intervals are swapped, empty, negative, too long.
Mask random_mask(Random& random, const FormChoice& choice, int most_rows, int most_keys, int most_slices = 2);

/// The same with the extents given.
Mask random_mask(Random& random, const FormChoice& choice, const MaskExtents& extents);

}  // namespace flashmask::mask_tests
