#include "tests/forward/problems.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace flashmask::forward_tests {
namespace {

using Random = std::mt19937_64;

int between(Random& random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(random);
}

/// A row number as a careless producer of masks might write it.
int fuzzed_row(Random& random, int seqlen_q) {
  switch (between(random, 0, 9)) {
    case 0:
      return between(random, -2 * seqlen_q - 1, 0);
    case 1:
      return between(random, seqlen_q, 3 * seqlen_q);
    case 2:
      return std::numeric_limits<std::int32_t>::min();
    case 3:
      return std::numeric_limits<std::int32_t>::max();
    case 4:
      return 0;
    case 5:
      return seqlen_q;
    default:
      return between(random, 0, seqlen_q);
  }
}

/// Vectors of one mask head, column by column.
class MaskHead {
 public:
  MaskHead(MaskForm form, std::int32_t* columns, int seqlen_q, int seqlen_k, Random& random)
      : form_(form), columns_(columns), seqlen_q_(seqlen_q), seqlen_k_(seqlen_k), random_(random) {}

  void draw(Intervals intervals) {
    switch (intervals) {
      case Intervals::kFuzzed:
        return fuzz();
      case Intervals::kDocuments:
        return documents();
      case Intervals::kEdges:
        return edges();
      case Intervals::kHoles:
        fuzz();
        return holes();
      case Intervals::kAllMasked:
        for (int j = 0; j < seqlen_k_; ++j) mask_rows(j, 0, seqlen_q_);
        return;
      case Intervals::kNoneMasked:
        for (int j = 0; j < seqlen_k_; ++j) mask_rows(j, seqlen_q_, seqlen_q_);
        return;
    }
  }

 private:
  std::int32_t* column(int j) { return columns_ + static_cast<std::int64_t>(j) * vectors_per_column(form_); }

  void fuzz() {
    const std::int64_t values = static_cast<std::int64_t>(seqlen_k_) * vectors_per_column(form_);
    for (std::int64_t n = 0; n < values; ++n) columns_[n] = fuzzed_row(random_, seqlen_q_);
  }

  void edges() {
    const std::int64_t values = static_cast<std::int64_t>(seqlen_k_) * vectors_per_column(form_);
    for (std::int64_t n = 0; n < values; ++n)
      columns_[n] = 16 * between(random_, 0, (seqlen_q_ + 15) / 16) + between(random_, -1, 1);
  }

  /// Masks exactly the rows [start, end) of column j by its vectors. C1 and F2 name open-ended intervals: C1 masks from
  /// `start` on, F2 too unless the rows begin at 0.
  void mask_rows(int j, int start, int end) {
    std::int32_t* v = column(j);
    switch (form_) {
      case MaskForm::kC1:
        v[0] = start;
        return;
      case MaskForm::kC2:
        v[0] = start;
        v[1] = end;
        return;
      case MaskForm::kF2:
        v[0] = start == 0 ? seqlen_q_ : start;
        v[1] = start == 0 ? end : 0;
        return;
      case MaskForm::kF4:
        v[0] = start;
        v[1] = end;
        v[2] = v[3] = 0;
        return;
      default:
        return;
    }
  }

  /// Documents share the keys and the rows in the same proportions, so that Sq and Sk may differ.
  void documents() {
    const auto row_of = [&](int key) { return static_cast<int>(std::int64_t{key} * seqlen_q_ / seqlen_k_); };
    for (int start = 0; start < seqlen_k_;) {
      const int end = std::min(seqlen_k_, start + between(random_, 1, std::max(1, seqlen_k_ / 2)));
      for (int j = start; j < end; ++j) {
        std::int32_t* v = column(j);
        const int first_row = row_of(start), end_row = row_of(end);
        if (form_ == MaskForm::kC1) {
          v[0] = end_row;
        } else if (form_ == MaskForm::kC2) {
          v[0] = end_row;
          v[1] = seqlen_q_;
        } else if (form_ == MaskForm::kF2) {
          v[0] = end_row;
          v[1] = first_row;
        } else if (j % 2 == 0) {  // F4: the two intervals in either order
          v[0] = end_row;
          v[1] = seqlen_q_;
          v[2] = 0;
          v[3] = first_row;
        } else {
          v[0] = 0;
          v[1] = first_row;
          v[2] = end_row;
          v[3] = seqlen_q_;
        }
      }
      start = end;
    }
  }

  void holes() {
    for (int j = 0; j < seqlen_k_; ++j) {
      if (j / 17 % 2 == 0) mask_rows(j, 0, seqlen_q_);  // a run of 17 keys that no row sees
    }
    // From `dead` on no row sees any key: every column masks at least those rows.
    const int dead = seqlen_q_ - std::max(1, seqlen_q_ / 3);
    for (int j = 0; j < seqlen_k_; ++j) {
      std::int32_t* v = column(j);
      if (form_ == MaskForm::kC1) {
        v[0] = std::min(v[0], dead);
      } else if (form_ == MaskForm::kF2) {
        v[0] = std::min(v[0], dead);
      } else if (j / 17 % 2 != 0) {
        mask_rows(j, between(random_, 0, dead), seqlen_q_);
      }
    }
  }

  MaskForm form_;
  std::int32_t* columns_;
  int seqlen_q_, seqlen_k_;
  Random& random_;
};

const char* name_of(Intervals intervals) {
  const char* names[] = {"fuzzed", "documents", "edges", "holes", "all masked", "none masked"};
  return names[static_cast<int>(intervals)];
}

}  // namespace

TestProblem::TestProblem(const KernelDescriptor& descriptor, const Extents& extents, const Variety& variety)
    : descriptor_(descriptor), extents_(extents) {
  Random random(variety.seed);
  std::normal_distribution<float> normal(0, variety.magnitude);
  const auto draw = [&](std::vector<std::uint16_t>& bits, int seqlen, int heads, int head_dim) {
    bits.resize(static_cast<std::size_t>(extents.batch) * seqlen * heads * head_dim);
    for (std::uint16_t& element : bits) element = reference::from_float(normal(random), descriptor.dtype);
  };
  draw(query_, extents.seqlen_q, extents.heads_q, descriptor.head_dim_qk);
  draw(key_, extents.seqlen_k, extents.heads_kv, descriptor.head_dim_qk);
  draw(value_, extents.seqlen_k, extents.heads_kv, descriptor.head_dim_v);

  const int vectors = vectors_per_column(descriptor.mask_form);
  const std::size_t per_head = static_cast<std::size_t>(extents.seqlen_k) * vectors;
  intervals_.resize(per_head * extents.batch * extents.heads_mask);
  if (vectors > 0) {
    for (int slice = 0; slice < extents.batch * extents.heads_mask; ++slice) {
      MaskHead(descriptor.mask_form, intervals_.data() + slice * per_head, extents.seqlen_q, extents.seqlen_k, random)
          .draw(variety.intervals);
    }
  }

  view_.dtype = descriptor.dtype;
  view_.mask_form = descriptor.mask_form;
  view_.causal_alignment = descriptor.causal_alignment;
  view_.batch = extents.batch;
  view_.seqlen_q = extents.seqlen_q;
  view_.seqlen_k = extents.seqlen_k;
  view_.num_heads_q = extents.heads_q;
  view_.num_heads_kv = extents.heads_kv;
  view_.num_heads_mask = extents.heads_mask;
  view_.head_dim_qk = descriptor.head_dim_qk;
  view_.head_dim_v = descriptor.head_dim_v;
  view_.window_left = variety.window_left;
  view_.window_right = variety.window_right;
  view_.softmax_scale =
      variety.softmax_scale > 0 ? variety.softmax_scale : 1 / std::sqrt(static_cast<float>(descriptor.head_dim_qk));
  view_.query = query_;
  view_.key = key_;
  view_.value = value_;
  view_.startend_row_indices = intervals_;
  note_ = fmt::format("{}, window {},{}, magnitude {}, seed {}", name_of(variety.intervals), variety.window_left,
                      variety.window_right, variety.magnitude, variety.seed);
}

std::string describe(const TestProblem& problem) {
  const Extents& e = problem.extents();
  return fmt::format("{}: batch {}, Sq {}, Sk {}, heads {}/{}/{} (q/kv/mask), scale {}, {}",
                     to_string(problem.descriptor()), e.batch, e.seqlen_q, e.seqlen_k, e.heads_q, e.heads_kv,
                     e.heads_mask, problem.view().softmax_scale, problem.note());
}

std::vector<KernelDescriptor> all_forms(DataType dtype, int head_dim_qk, int head_dim_v, const Target& target) {
  std::vector<KernelDescriptor> descriptors;
  for (MaskForm form : {MaskForm::kNone, MaskForm::kCausal, MaskForm::kWindow, MaskForm::kC1, MaskForm::kC2,
                        MaskForm::kF2, MaskForm::kF4}) {
    for (CausalAlignment alignment : {CausalAlignment::kBottomRight, CausalAlignment::kTopLeft}) {
      if (alignment == CausalAlignment::kTopLeft && !has_diagonal(form)) continue;
      KernelDescriptor descriptor;
      descriptor.dtype = dtype;
      descriptor.head_dim_qk = head_dim_qk;
      descriptor.head_dim_v = head_dim_v;
      descriptor.mask_form = form;
      descriptor.causal_alignment = alignment;
      descriptor.target = target;
      descriptors.push_back(descriptor);
    }
  }
  return descriptors;
}

std::vector<int> lengths_around(int tile) {
  return {1, tile - 1, tile, tile + 1, 2 * tile - 1, 2 * tile, 2 * tile + 1, 3 * tile + 5};
}

}  // namespace flashmask::forward_tests
