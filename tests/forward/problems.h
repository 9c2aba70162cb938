#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "flashmask/kernel_descriptor.h"
#include "flashmask/reference.h"

namespace flashmask::forward_tests {

/// Extents of a test problem.
struct Extents {
  int batch = 1;
  int seqlen_q = 1;
  int seqlen_k = 1;
  int heads_q = 1;
  int heads_kv = 1;
  int heads_mask = 1;
};

/// How the vectors of a mask are drawn. Forms without vectors ignore it.
enum class Intervals {
  kFuzzed,      ///< anything: swapped, empty, negative, beyond Sq, at the ends of int
  kDocuments,   ///< packed documents: a row sees the keys of its own document only
  kEdges,       ///< bounds at multiples of 16 rows, or a row beside
  kHoles,       ///< fuzzed, with runs of keys that no row sees and a run of rows that see no key
  kAllMasked,   ///< no row sees any key
  kNoneMasked,  ///< the vectors mask nothing
};

/// What else describes a problem.
struct Variety {
  Intervals intervals = Intervals::kFuzzed;
  int window_left = -1;
  int window_right = -1;
  float softmax_scale = 0;  ///< 0: 1 / sqrt(head_dim_qk)
  float magnitude = 1;      ///< standard deviation of q, k and v
  std::uint64_t seed = 1;
};

/// A forward problem that owns its arrays: q, k, v drawn from N(0, magnitude²), all packed.
class TestProblem {
 public:
  TestProblem(const KernelDescriptor& descriptor, const Extents& extents, const Variety& variety = {});

  const KernelDescriptor& descriptor() const { return descriptor_; }
  const Extents& extents() const { return extents_; }
  /// Spans into this problem.
  const reference::ForwardProblem& view() const { return view_; }
  /// The vectors, for a test that wants its own: [batch, heads_mask, seqlen_k, vectors].
  std::vector<std::int32_t>& intervals() { return intervals_; }
  std::vector<std::uint16_t>& query() { return query_; }
  std::vector<std::uint16_t>& key() { return key_; }
  std::vector<std::uint16_t>& value() { return value_; }
  /// The variety in words.
  const std::string& note() const { return note_; }

  TestProblem(TestProblem&&) = default;
  TestProblem(const TestProblem&) = delete;

 private:
  KernelDescriptor descriptor_;
  Extents extents_;
  std::vector<std::uint16_t> query_, key_, value_;
  std::vector<std::int32_t> intervals_;
  reference::ForwardProblem view_;
  std::string note_;
};

/// One line: the descriptor, the extents and the variety, to repeat a failure by.
std::string describe(const TestProblem& problem);

/// All forms with the alignments that have a meaning for them.
std::vector<KernelDescriptor> all_forms(DataType dtype, int head_dim_qk, int head_dim_v, const Target& target);

/// Lengths around every edge of a tile: 1, tile ± 1, tile, 2 tile ± 1, ….
std::vector<int> lengths_around(int tile);

}  // namespace flashmask::forward_tests
