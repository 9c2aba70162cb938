// What only the emulator can show: interleavings, other architectures, bank conflicts, copies in flight. These tests
// run on emulated devices whatever the device under test is.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>

#include "tests/forward/launch.h"
#include "tests/forward/problems.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

TEST(EmulatedForward, GivesTheSameBitsWhateverTheInterleaving) {
  for (MaskForm form : {MaskForm::kCausal, MaskForm::kF4}) {
    KernelDescriptor descriptor;
    descriptor.head_dim_qk = descriptor.head_dim_v = 64;
    descriptor.mask_form = form;
    const TestProblem problem(descriptor, {.seqlen_q = 150, .seqlen_k = 210, .heads_q = 2}, {.seed = 8});
    LaunchResult first;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      const auto runtime = emulated_runtime(Target{}, seed);
      const auto kernel = runtime->request(descriptor);
      const LaunchResult result = run_forward(*runtime, *kernel, problem);
      if (seed == 0) {
        EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
        first = result;
      }
      EXPECT_EQ(result.output, first.output) << "seed " << seed;
      EXPECT_EQ(result.lse, first.lse) << "seed " << seed;
      EXPECT_EQ(result.overwritten, "");
    }
  }
}

class EmulatedTargets : public testing::TestWithParam<const char*> {};

TEST_P(EmulatedTargets, HaveCodeThatIsWithinTheBound) {
  const Target target = parse_target(GetParam()).value();
  const auto runtime = emulated_runtime(target, 4);
  for (MaskForm form : {MaskForm::kNone, MaskForm::kC1, MaskForm::kF4}) {
    for (int head_dim : {64, 192}) {
      KernelDescriptor descriptor;
      descriptor.dtype = head_dim == 64 ? DataType::kFloat16 : DataType::kBfloat16;
      descriptor.head_dim_qk = descriptor.head_dim_v = head_dim;
      descriptor.mask_form = form;
      descriptor.target = target;
      const auto kernel = runtime->request(descriptor);
      const TestProblem problem(descriptor, {.seqlen_q = kernel->config().tile_q + 1, .seqlen_k = 130});
      EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Target, EmulatedTargets,
                         testing::Values("sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120"),
                         [](const auto& test) { return std::string(test.param); });

struct Gate {
  int head_dim;
  DataType dtype;
  const char* target;
};
void PrintTo(const Gate& gate, std::ostream* stream) {
  *stream << to_string(gate.dtype) << " " << gate.head_dim << " " << gate.target;
}

class EmulatedGates : public testing::TestWithParam<Gate> {
 protected:
  std::vector<KernelDescriptor> descriptors() const {
    return all_forms(GetParam().dtype, GetParam().head_dim, GetParam().head_dim,
                     parse_target(GetParam().target).value());
  }
};

TEST_P(EmulatedGates, DefaultsDoNotSpillAndKeepTheLocalMemoryEmpty) {
  const auto runtime = emulated_runtime(parse_target(GetParam().target).value());
  for (const KernelDescriptor& descriptor : descriptors()) {
    const CompiledKernel kernel = runtime->compile(descriptor);
    SCOPED_TRACE(to_string(descriptor) + ", " + to_string(kernel.config));
    EXPECT_GT(kernel.resources.registers, 0) << kernel.log;
    EXPECT_EQ(kernel.resources.spill_store_bytes, 0) << kernel.log;
    EXPECT_EQ(kernel.resources.spill_load_bytes, 0) << kernel.log;
    EXPECT_EQ(kernel.resources.stack_bytes, 0) << kernel.log;
  }
}

/// Warp-wide m16n8k16 products of one key tile with the query rows of a whole CTA.
struct TileProducts {
  std::uint64_t scores;
  std::uint64_t values;
};

TileProducts products_of_tile(const KernelDescriptor& descriptor, const TileConfig& config) {
  const auto up16 = [](int head_dim) { return static_cast<std::uint64_t>(head_dim + 15) / 16 * 16; };
  const std::uint64_t rows = config.tile_q / 16, keys = config.tile_k;
  return {rows * (keys / 8) * (up16(descriptor.head_dim_qk) / 16),
          rows * (up16(descriptor.head_dim_v) / 8) * (keys / 16)};
}

TEST_P(EmulatedGates, DefaultsHaveNoBankConflictAndACopyInFlightAtEveryMultiplyButTheLast) {
  const auto runtime = emulated_runtime(parse_target(GetParam().target).value(), 2);
  for (const KernelDescriptor& descriptor : descriptors()) {
    const auto kernel = runtime->request(descriptor);
    const TileConfig& config = kernel->config();
    SCOPED_TRACE(to_string(descriptor) + ", " + to_string(config));
    // One row tile, several whole key tiles, all of them visited: unmasked, and rows that reach the last key.
    constexpr int kTiles = 4;
    const TestProblem problem(descriptor, {.seqlen_q = config.tile_q, .seqlen_k = kTiles * config.tile_k},
                              {.intervals = Intervals::kNoneMasked});
    // A top-left diagonal ends at the row's own number: this row tile sees as many keys as it has rows.
    const bool short_diagonal = descriptor.causal_alignment == CausalAlignment::kTopLeft &&
                                descriptor.mask_form != MaskForm::kWindow;  // whose bounds are open here
    const int tiles = short_diagonal ? std::min(kTiles, (config.tile_q + config.tile_k - 1) / config.tile_k) : kTiles;
    const LaunchStatistics statistics = run_forward(*runtime, *kernel, problem).statistics;
    const TileProducts products = products_of_tile(descriptor, config);
    EXPECT_EQ(statistics.shared_bank_conflicts, 0u);
    EXPECT_EQ(statistics.matrix_instructions, tiles * (products.scores + products.values));
    // Nothing is left to fetch while the last value tile is multiplied.
    EXPECT_EQ(statistics.matrix_without_copy_in_flight, products.values);
    EXPECT_EQ(statistics.matrix_with_copy_in_flight, statistics.matrix_instructions - products.values);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernel, EmulatedGates,
                         testing::Values(Gate{64, DataType::kFloat16, "sm_80"}, Gate{64, DataType::kBfloat16, "sm_80"},
                                         Gate{128, DataType::kFloat16, "sm_80"},
                                         Gate{128, DataType::kBfloat16, "sm_80"}, Gate{64, DataType::kFloat16, "sm_90"},
                                         Gate{64, DataType::kBfloat16, "sm_90"}, Gate{128, DataType::kFloat16, "sm_90"},
                                         Gate{128, DataType::kBfloat16, "sm_90"}),
                         [](const testing::TestParamInfo<Gate>& test) {
                           return fmt::format("{}_d{}_{}", to_string(test.param.dtype), test.param.head_dim,
                                              test.param.target);
                         });

}  // namespace
}  // namespace flashmask::forward_tests
