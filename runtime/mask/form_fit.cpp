#include "runtime/mask/form_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "flashmask/error.h"
#include "runtime/reference/visibility.h"

namespace flashmask {
namespace {

using Intervals = std::span<const RowInterval>;

constexpr std::array kForms = {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1,
                               MaskForm::kC2,   MaskForm::kF2,     MaskForm::kF4};

/// A form with its alignment, and what both make of a column.
class Candidate {
 public:
  Candidate(const MaskExtents& extents, MaskForm form, CausalAlignment alignment) : seqlen_q_(extents.seqlen_q) {
    shape_ = {form, alignment, extents.batch, extents.num_heads, extents.seqlen_q, extents.seqlen_k, -1, -1};
    offset_ = reference::diagonal_offset(alignment, extents.seqlen_q, extents.seqlen_k);
  }

  MaskShape& shape() { return shape_; }
  const MaskShape& shape() const { return shape_; }

  /// Rows that lie above the diagonal at key j: [0, end).
  int above_diagonal(std::int64_t j) const { return clamped(j - offset_); }

  /// Whether a closed form masks exactly these rows of key j.
  bool is(Intervals masked, int j) const {
    RowInterval expected[2] = {};
    int count = 0;
    const auto add = [&](std::int64_t first, std::int64_t end) {
      const RowInterval interval = {clamped(first), clamped(end)};
      if (interval.first < interval.end) expected[count++] = interval;
    };
    const std::int64_t diagonal = j - offset_;
    if (shape_.form == MaskForm::kCausal) add(0, diagonal);
    if (shape_.form == MaskForm::kWindow && shape_.window_right >= 0) add(0, diagonal - shape_.window_right);
    if (shape_.form == MaskForm::kWindow && shape_.window_left >= 0) add(diagonal + shape_.window_left + 1, seqlen_q_);
    // The two never touch: the diagonal lies between them, visible where that row exists, and where it does not one of
    // them is empty.
    return std::equal(masked.begin(), masked.end(), expected, expected + count);
  }

  /// The rows of a causal form's column that its vectors must mask, the diagonal taken off; empty optional if a row
  /// above the diagonal is visible. `rest` is storage for the result.
  std::optional<Intervals> below_diagonal(Intervals masked, int j, std::vector<RowInterval>& rest) const {
    const int above = above_diagonal(j);
    if (above > 0 && (masked.empty() || masked[0].first > 0 || masked[0].end < above)) return std::nullopt;
    rest.assign(masked.begin(), masked.end());
    if (above > 0) {
      rest[0].first = above;
      if (rest[0].first == rest[0].end) rest.erase(rest.begin());
    }
    return Intervals(rest);
  }

  /// The column's values in a form with vectors, canonical; false if it does not fit.
  bool encode(Intervals masked, int j, std::vector<RowInterval>& rest, std::int32_t* v) const {
    const int last = seqlen_q_;
    if (shape_.form == MaskForm::kC1 || shape_.form == MaskForm::kC2) {
      const std::optional<Intervals> below = below_diagonal(masked, j, rest);
      if (!below || below->size() > 1) return false;
      const RowInterval interval = below->empty() ? RowInterval{last, last} : below->front();
      v[0] = interval.first;
      if (shape_.form == MaskForm::kC2) v[1] = interval.end;
      return shape_.form == MaskForm::kC2 || interval.end == last;
    }
    if (masked.size() > 2) return false;
    // Upper rows first, as the paper names them: UT the interval at the top of the column, LT the one below it.
    RowInterval lower = {last, last};
    RowInterval upper = {0, 0};
    if (masked.size() == 2) {
      upper = masked[0];
      lower = masked[1];
    } else if (masked.size() == 1) {
      (masked[0].first == 0 && masked[0].end < last ? upper : lower) = masked[0];
    }
    if (shape_.form == MaskForm::kF2) {
      v[0] = lower.first;
      v[1] = upper.end;
      return lower.end == last && upper.first == 0;
    }
    v[0] = lower.first;
    v[1] = lower.end;
    v[2] = upper.first;
    v[3] = upper.end;
    return true;
  }

 private:
  int clamped(std::int64_t row) const { return static_cast<int>(std::clamp<std::int64_t>(row, 0, seqlen_q_)); }

  int seqlen_q_;
  std::int64_t offset_ = 0;
  MaskShape shape_;
};

/// The bounds of the only window that could mask these columns, -1 where a bound cuts nothing; empty if some key that
/// every window shows, that on the diagonal, is masked throughout.
std::optional<std::pair<int, int>> window_bounds(const MaskedColumns& columns, std::int64_t offset) {
  const MaskExtents& extents = columns.extents();
  // Distances key - (row + offset): the least is that of the last row and key 0.
  const std::int64_t least = -(std::int64_t{extents.seqlen_q} - 1) - offset;
  const std::int64_t most = std::int64_t{extents.seqlen_k} - 1 - offset;
  std::int64_t left = most + 1;
  std::int64_t right = least - 1;
  for (std::size_t column = 0; column < columns.size(); ++column) {
    const Intervals masked = columns[column];
    int first = 0;  // first and last visible row
    int last = extents.seqlen_q - 1;
    if (!masked.empty() && masked.front().first == 0) first = masked.front().end;
    if (!masked.empty() && masked.back().end == extents.seqlen_q) last = masked.back().first - 1;
    if (first > last) continue;
    const std::int64_t j = columns.key(column);
    left = std::min(left, j - last - offset);
    right = std::max(right, j - first - offset);
  }
  if (left > 0 || right < 0) return std::nullopt;
  return std::pair(left == least ? -1 : static_cast<int>(-left), right == most ? -1 : static_cast<int>(right));
}

std::optional<Mask> hold(const MaskedColumns& columns, MaskForm form, CausalAlignment alignment) {
  Candidate candidate(columns.extents(), form, alignment);
  std::vector<std::int32_t> values;
  if (form == MaskForm::kNone || form == MaskForm::kCausal || form == MaskForm::kWindow) {
    if (form == MaskForm::kWindow) {
      const auto bounds = window_bounds(
          columns, reference::diagonal_offset(alignment, columns.extents().seqlen_q, columns.extents().seqlen_k));
      if (!bounds) return std::nullopt;
      std::tie(candidate.shape().window_left, candidate.shape().window_right) = *bounds;
    }
    for (std::size_t column = 0; column < columns.size(); ++column) {
      if (!candidate.is(columns[column], columns.key(column))) return std::nullopt;
    }
  } else {
    const std::size_t vectors = static_cast<std::size_t>(vectors_per_column(form));
    values.resize(columns.size() * vectors);
    std::vector<RowInterval> rest;
    for (std::size_t column = 0; column < columns.size(); ++column) {
      if (!candidate.encode(columns[column], columns.key(column), rest, values.data() + column * vectors)) {
        return std::nullopt;
      }
    }
  }
  return Mask(candidate.shape(), std::move(values));
}

std::optional<Mask> tightest(const MaskedColumns& columns) {
  const bool square = columns.extents().seqlen_q == columns.extents().seqlen_k;
  for (const MaskForm form : kForms) {
    for (const CausalAlignment alignment : {CausalAlignment::kBottomRight, CausalAlignment::kTopLeft}) {
      if (alignment == CausalAlignment::kTopLeft && (square || !has_diagonal(form))) continue;
      if (std::optional<Mask> mask = hold(columns, form, alignment)) return mask;
    }
  }
  return std::nullopt;
}

/// As people write it: interval forms in capitals, as in the paper.
std::string title(MaskForm form) {
  std::string name(to_string(form));
  if (vectors_per_column(form) > 0) name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

std::string rows_text(Intervals intervals) {
  if (intervals.empty()) return "no rows";
  std::string text = "rows ";
  for (const RowInterval& interval : intervals) {
    // A long list proves its point with its start.
    if (&interval - intervals.data() == 4) return text + ", …";
    text += fmt::format("{}[{}, {})", &interval == intervals.data() ? "" : ", ", interval.first, interval.end);
  }
  return text;
}

/// Why a column does not fit: "masks rows [2, 4), form …". Empty if it fits.
std::string misfit(const Candidate& candidate, Intervals masked, int j) {
  const MaskForm form = candidate.shape().form;
  const auto count = [&](std::size_t needed, int held, const char* beside) {
    return fmt::format("needs {} intervals{}, form {} holds {}", needed, beside, title(form), held);
  };
  std::vector<RowInterval> rest;
  std::int32_t values[4];
  switch (form) {
    case MaskForm::kNone:
    case MaskForm::kCausal:
    case MaskForm::kWindow: {
      if (candidate.is(masked, j)) return "";
      const MaskedRows held = Mask(candidate.shape()).masked_rows(0, 0, j);
      return fmt::format("masks {}, form {} masks {}", rows_text(masked),
                         form == MaskForm::kWindow ? fmt::format("window ({}, {})", candidate.shape().window_left,
                                                                 candidate.shape().window_right)
                                                   : title(form),
                         rows_text({held.begin(), held.end()}));
    }
    case MaskForm::kC1:
    case MaskForm::kC2: {
      if (candidate.encode(masked, j, rest, values)) return "";
      const std::optional<Intervals> below = candidate.below_diagonal(masked, j, rest);
      if (!below) {
        const int row = masked.empty() || masked[0].first > 0 ? 0 : masked[0].end;
        return fmt::format("shows row {}, which lies above the diagonal and is masked by form {}", row, title(form));
      }
      if (below->size() > 1) return count(below->size(), 1, " below the diagonal");
      return fmt::format("masks {} below the diagonal, form C1 holds rows up to the last, [LTS, {})", rows_text(*below),
                         candidate.shape().seqlen_q);
    }
    case MaskForm::kF2:
    case MaskForm::kF4:
      if (candidate.encode(masked, j, rest, values)) return "";
      if (masked.size() > 2) return count(masked.size(), 2, "");
      return fmt::format("masks {}, form F2 holds rows from the first, [0, UTE), and up to the last, [LTS, {})",
                         rows_text(masked), candidate.shape().seqlen_q);
  }
  return "";
}

/// Describes the first column that does not fit. `instead`: the form that holds them all.
[[noreturn]] void refuse(const MaskedColumns& columns, MaskForm form, CausalAlignment alignment,
                         const std::optional<Mask>& instead) {
  Candidate candidate(columns.extents(), form, alignment);
  std::string message = "cannot be held: ";
  const MaskExtents& extents = columns.extents();
  std::optional<std::pair<int, int>> bounds;
  if (form == MaskForm::kWindow) {
    bounds = window_bounds(columns, reference::diagonal_offset(alignment, extents.seqlen_q, extents.seqlen_k));
    if (bounds) std::tie(candidate.shape().window_left, candidate.shape().window_right) = *bounds;
  }
  if (form == MaskForm::kWindow && !bounds) {
    message += "every key on the diagonal is masked, form window shows at least those";
  } else {
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const std::string why = misfit(candidate, columns[column], columns.key(column));
      if (why.empty()) continue;
      const std::size_t slice = column / static_cast<std::size_t>(extents.seqlen_k);
      const std::size_t heads = static_cast<std::size_t>(extents.num_heads);
      message += fmt::format("key column {} {} (batch entry {}, mask head {})", columns.key(column), why, slice / heads,
                             slice % heads);
      break;
    }
  }
  if (instead) {
    const MaskShape& shape = instead->shape();
    message += fmt::format("; form {}{} would hold the mask", title(shape.form),
                           shape.causal_alignment == CausalAlignment::kTopLeft ? " top-left" : "");
    throw Error(ErrorCode::kInvalidArgument, message);
  }
  throw Error(ErrorCode::kInvalidArgument, message,
              "no form holds this mask: have fewer exceptions among the query rows, or order the queries so that the "
              "rows that a key masks lie together");
}

}  // namespace

Mask hold_tightest(const MaskedColumns& columns) {
  if (std::optional<Mask> mask = tightest(columns)) return *std::move(mask);
  refuse(columns, MaskForm::kF4, CausalAlignment::kBottomRight, std::nullopt);
}

Mask hold_as(const MaskedColumns& columns, MaskForm form, CausalAlignment alignment) {
  // An empty mask of that shape checks form and alignment.
  const MaskExtents& extents = columns.extents();
  const MaskShape shape = {form, alignment, 1, 1, extents.seqlen_q, 1, -1, -1};
  (void)Mask(shape, std::vector<std::int32_t>(static_cast<std::size_t>(vectors_per_column(form))));
  if (std::optional<Mask> mask = hold(columns, form, alignment)) return *std::move(mask);
  refuse(columns, form, alignment, tightest(columns));
}

}  // namespace flashmask
