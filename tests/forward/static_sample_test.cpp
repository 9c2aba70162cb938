// A sample of all the kernels that the static gates do not name: any target, head dims, form, dtype, alignment, and now
// and then a configuration that is not the default.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/forward/compiled_gate.h"
#include "tests/generator/all_targets.h"

namespace flashmask::forward_tests {
namespace {

constexpr int kKernelsPerTarget = 4;

/// FLASHMASK_TEST_SEED: another sample than the usual one.
std::uint64_t sample_seed() {
  const char* text = std::getenv("FLASHMASK_TEST_SEED");
  if (text == nullptr || *text == '\0') return 20260301;
  std::uint64_t seed = 0;
  const char* end = text + std::strlen(text);
  if (const auto [stop, error] = std::from_chars(text, end, seed); error != std::errc{} || stop != end)
    throw std::runtime_error(fmt::format("FLASHMASK_TEST_SEED = {}: a number from 0 to 2^64 - 1 is allowed", text));
  return seed;
}

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}

  int below(int end) { return static_cast<int>(random_() % static_cast<std::uint64_t>(end)); }
  bool once_in(int times) { return below(times) == 0; }
  int head_dim() { return 8 * (1 + below(32)); }

  KernelDescriptor descriptor(Target target) {
    KernelDescriptor drawn;
    drawn.target = target;
    drawn.dtype = once_in(2) ? DataType::kFloat16 : DataType::kBfloat16;
    drawn.head_dim_qk = head_dim();
    drawn.head_dim_v = once_in(2) ? head_dim() : drawn.head_dim_qk;
    drawn.mask_form = test::kAllForms[below(std::size(test::kAllForms))];
    if (has_diagonal(drawn.mask_form) && once_in(2)) drawn.causal_alignment = CausalAlignment::kTopLeft;
    return drawn;
  }

  /// A legal one. Not among them: accumulators of more than 512 registers per thread, which spill in any case and keep
  /// ptxas busy for up to a minute.
  TileConfig config(const KernelDescriptor& descriptor) {
    if (descriptor.target == Target{90, true}) return wgmma_config(descriptor);
    for (;;) {
      TileConfig drawn;
      drawn.warps = 1 + below(8);
      drawn.tile_q = 16 * drawn.warps * (1 + below(256 / (16 * drawn.warps)));
      drawn.tile_k = 16 * (1 + below(16));
      drawn.stages = 2 + below(5);
      drawn.query_in_registers = once_in(3);
      const int row_blocks = drawn.tile_q / (16 * drawn.warps);
      const bool is_large = row_blocks * (descriptor.head_dim_v + drawn.tile_k) / 2 > 512;
      if (!is_large && broken_rules(descriptor, drawn).empty()) return drawn;
    }
  }

 private:
  TileConfig wgmma_config(const KernelDescriptor& descriptor) {
    for (;;) {
      TileConfig drawn;
      drawn.warps = 4 * (1 + below(3));
      drawn.tile_q = 16 * drawn.warps;
      drawn.tile_k = 16 * (1 + below(16));
      drawn.stages = 2 + below(5);
      drawn.overlap = once_in(2);
      drawn.turns = once_in(2);
      drawn.query_slots = 1 + below(2);
      if (broken_rules(descriptor, drawn).empty()) return drawn;
    }
  }

  std::mt19937_64 random_;
};

/// By the name of a target.
class StaticSample : public testing::TestWithParam<std::string> {};

TEST_P(StaticSample, CompilesAndFitsAnSmAndDefaultsDoNotSpill) {
  const std::uint64_t seed = sample_seed();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE(fmt::format("FLASHMASK_TEST_SEED={}", seed));
  const Target target = parse_target(GetParam()).value();
  const Target arch_specific{target.compute_capability, true};
  // Each target has its own sample, whatever others there are.
  Draw draw(seed + static_cast<std::uint64_t>(target.compute_capability) * 1'000'003);
  for (int n = 0; n < kKernelsPerTarget; ++n) {
    const bool use_arch_specific = limits_of(arch_specific) && draw.once_in(2);
    const KernelDescriptor descriptor = draw.descriptor(use_arch_specific ? arch_specific : target);
    RequestOptions options;
    if (draw.once_in(4)) options.config = draw.config(descriptor);
    SCOPED_TRACE(to_string(descriptor) + (options.config ? ", tiles " + to_string(*options.config) : ""));
    const CompiledKernel kernel = compiling_runtime().compile(descriptor, options);
    EXPECT_TRUE(can_be_launched(kernel));
    if (options.config) continue;
    EXPECT_TRUE(is_clean(kernel));
    EXPECT_TRUE(keeps_its_promise(kernel));
  }
}

/// Their arch-specific forms are drawn with them.
std::vector<std::string> architectures() {
  std::vector<std::string> names;
  for (const Target& target : test::all_targets())
    if (!target.arch_specific) names.push_back(to_string(target));
  return names;
}

INSTANTIATE_TEST_SUITE_P(Kernels, StaticSample, testing::ValuesIn(architectures()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace flashmask::forward_tests
