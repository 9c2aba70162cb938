#include "tests/mask/random_masks.h"

#include <limits>

namespace flashmask::mask_tests {

int Random::between(int least, int most) {
  const std::uint64_t span = static_cast<std::uint64_t>(std::int64_t{most} - least) + 1;
  return static_cast<int>(least + static_cast<std::int64_t>((engine_() >> 32) * span >> 32));
}

const std::vector<FormChoice>& form_choices() {
  static const std::vector<FormChoice> choices = [] {
    std::vector<FormChoice> all;
    for (const MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                                MaskForm::kF2, MaskForm::kF4}) {
      all.push_back({form, CausalAlignment::kBottomRight});
      if (has_diagonal(form)) all.push_back({form, CausalAlignment::kTopLeft});
    }
    return all;
  }();
  return choices;
}

std::int32_t random_row(Random& random, int seqlen_q) {
  switch (random.between(0, 15)) {
    case 0:
      return std::numeric_limits<std::int32_t>::min();
    case 1:
      return std::numeric_limits<std::int32_t>::max();
    case 2:
      return 0;
    case 3:
      return seqlen_q;
    default:
      return random.between(-2, seqlen_q + 2);
  }
}

Mask random_mask(Random& random, const FormChoice& choice, const MaskExtents& e) {
  MaskShape shape = {choice.form, choice.alignment, e.batch, e.num_heads, e.seqlen_q, e.seqlen_k, -1, -1};
  if (choice.form == MaskForm::kWindow) {
    const auto bound = [&] {
      return random.chance(5) ? std::numeric_limits<int>::max() : random.between(-1, e.seqlen_q + e.seqlen_k);
    };
    shape.window_left = random.chance(20) ? -1 : bound();
    shape.window_right = random.chance(20) ? -1 : bound();
  }
  const std::size_t columns = static_cast<std::size_t>(e.batch) * e.num_heads * e.seqlen_k;
  std::vector<std::int32_t> values(columns * vectors_per_column(choice.form));
  for (std::int32_t& value : values) value = random_row(random, e.seqlen_q);
  return Mask(shape, std::move(values));
}

Mask random_mask(Random& random, const FormChoice& choice, int most_rows, int most_keys, int most_slices) {
  return random_mask(random, choice,
                     {random.between(1, most_slices), random.between(1, most_slices), random.between(1, most_rows),
                      random.between(1, most_keys)});
}

}  // namespace flashmask::mask_tests
