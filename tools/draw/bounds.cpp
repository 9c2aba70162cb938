#include "tools/draw/bounds.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

namespace flashmask::draw {
namespace {

/// The bounds of one key, as Bounds of the mask are ordered; empty where one masks nothing.
using KeyBounds = std::vector<std::optional<int>>;

std::vector<std::string_view> bound_names(MaskForm form) {
  switch (form) {
    case MaskForm::kNone:
      return {};
    case MaskForm::kCausal:
      return {"diagonal"};
    case MaskForm::kWindow:
      return {"window left", "window right"};
    case MaskForm::kC1:
      return {"LTS", "diagonal"};
    case MaskForm::kC2:
      return {"LTS", "LTE", "diagonal"};
    case MaskForm::kF2:
      return {"LTS", "UTE"};
    case MaskForm::kF4:
      return {"LTS", "LTE", "UTS", "UTE"};
  }
  return {};
}

class BoundsOfKeys {
 public:
  BoundsOfKeys(const Mask& mask, int batch, int head) : shape_(mask.shape()) {
    const auto vectors = static_cast<std::size_t>(vectors_per_column(shape_.form));
    const std::size_t values = static_cast<std::size_t>(shape_.seqlen_k) * vectors;
    const std::size_t slice =
        static_cast<std::size_t>(batch) * static_cast<std::size_t>(shape_.num_heads) + static_cast<std::size_t>(head);
    values_ = mask.startend_row_indices().subspan(slice * values, values);
  }

  KeyBounds at(int key) const {
    switch (shape_.form) {
      case MaskForm::kNone:
        return {};
      case MaskForm::kCausal:
        return {diagonal(key)};
      case MaskForm::kWindow:
        return {window_left(key), window_right(key)};
      case MaskForm::kC1:
        return {lower(value(key, 0)), diagonal(key)};
      case MaskForm::kC2: {
        const KeyBounds interval = pair(value(key, 0), value(key, 1));
        return {interval[0], interval[1], diagonal(key)};
      }
      case MaskForm::kF2:
        return {lower(value(key, 0)), upper(value(key, 1))};
      case MaskForm::kF4: {
        const KeyBounds low = pair(value(key, 0), value(key, 1)), high = pair(value(key, 2), value(key, 3));
        return {low[0], low[1], high[0], high[1]};
      }
    }
    return {};
  }

 private:
  std::int64_t value(int key, int vector) const {
    const auto vectors = static_cast<std::size_t>(vectors_per_column(shape_.form));
    return values_[static_cast<std::size_t>(key) * vectors + static_cast<std::size_t>(vector)];
  }
  int clamped(std::int64_t row) const { return static_cast<int>(std::clamp<std::int64_t>(row, 0, shape_.seqlen_q)); }
  /// Masks the rows below it.
  std::optional<int> lower(std::int64_t row) const {
    return row < shape_.seqlen_q ? std::optional(clamped(row)) : std::nullopt;
  }
  /// Masks the rows above it.
  std::optional<int> upper(std::int64_t row) const { return row > 0 ? std::optional(clamped(row)) : std::nullopt; }
  /// Both ends of an interval.
  KeyBounds pair(std::int64_t start, std::int64_t end) const {
    if (clamped(start) >= clamped(end)) return {std::nullopt, std::nullopt};
    return {clamped(start), clamped(end)};
  }
  /// The row whose own key this is; it may lie outside of the mask.
  std::int64_t own_row(int key) const {
    return shape_.causal_alignment == CausalAlignment::kTopLeft ? key : key - (shape_.seqlen_k - shape_.seqlen_q);
  }
  std::optional<int> diagonal(int key) const { return upper(own_row(key)); }
  std::optional<int> window_left(int key) const {
    if (shape_.window_left < 0) return std::nullopt;
    return lower(std::max<std::int64_t>(0, own_row(key) + shape_.window_left + 1));
  }
  std::optional<int> window_right(int key) const {
    if (shape_.window_right < 0) return std::nullopt;
    return upper(own_row(key) - shape_.window_right);
  }

  const MaskShape& shape_;
  std::span<const std::int32_t> values_;
};

void append(std::vector<BoundStep>& steps, const BoundStep& step) {
  if (!steps.empty() && steps.back().end_key == step.first_key && steps.back().row == step.row) {
    steps.back().end_key = step.end_key;
  } else {
    steps.push_back(step);
  }
}

}  // namespace

std::vector<Bound> mask_bounds(const Mask& mask, int batch, int head, int max_steps) {
  std::vector<Bound> bounds;
  for (const std::string_view name : bound_names(mask.shape().form)) bounds.push_back({name, {}});
  const BoundsOfKeys bounds_of_keys(mask, batch, head);
  const int seqlen_k = mask.shape().seqlen_k;
  const std::int64_t steps = std::min(seqlen_k, max_steps);
  for (std::int64_t step = 0; step < steps; ++step) {
    const int key = static_cast<int>(step * seqlen_k / steps), end = static_cast<int>((step + 1) * seqlen_k / steps);
    const KeyBounds rows = bounds_of_keys.at(key);
    for (std::size_t n = 0; n < bounds.size(); ++n) {
      if (rows[n]) append(bounds[n].steps, {key, end, *rows[n]});
    }
  }
  return bounds;
}

}  // namespace flashmask::draw
