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

class EmulatedForward : public testing::TestWithParam<Family> {};

TEST_P(EmulatedForward, GivesTheSameBitsWhateverTheInterleaving) {
  for (MaskForm form : {MaskForm::kCausal, MaskForm::kF4}) {
    KernelDescriptor descriptor;
    descriptor.head_dim_qk = descriptor.head_dim_v = 64;
    descriptor.mask_form = form;
    descriptor.target = GetParam().target;
    const TestProblem problem(descriptor, {.seqlen_q = 150, .seqlen_k = 210, .heads_q = 2}, {.seed = 8});
    LaunchResult first;
    for (const char* schedule : {"random", "in-order", "reversed", "starved", "late-landings"})
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        Runtime runtime(open_emulated_device({.target = descriptor.target, .seed = seed, .schedule = schedule}),
                        tested_policy());
        const auto kernel = runtime.request(descriptor);
        const LaunchResult result = run_forward(runtime, *kernel, problem);
        if (first.output.empty()) {
          EXPECT_TRUE(is_correct(runtime, *kernel, problem));
          first = result;
        }
        EXPECT_EQ(result.output, first.output) << schedule << ", seed " << seed;
        EXPECT_EQ(result.lse, first.lse) << schedule << ", seed " << seed;
        EXPECT_EQ(result.overwritten, "");
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Family, EmulatedForward, testing::ValuesIn(emulated_families()),
                         [](const auto& test) { return test.param.name; });

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

/// Warp-wide m16n8k16 products of one key tile with the query rows of one warp.
struct TileProducts {
  std::uint64_t scores;
  std::uint64_t values;
};

TileProducts products_of_warp(const KernelDescriptor& descriptor, const TileConfig& config) {
  const auto up16 = [](int head_dim) { return static_cast<std::uint64_t>(head_dim + 15) / 16 * 16; };
  const std::uint64_t rows = config.tile_q / config.warps / 16, keys = config.tile_k;
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
    // A diagonal hides the last tiles, or the last of them from the first warps. The window's bounds are open here.
    const bool is_cut = has_diagonal(descriptor.mask_form) && descriptor.mask_form != MaskForm::kWindow;
    const int offset = !is_cut ? kTiles * config.tile_k
                       : descriptor.causal_alignment == CausalAlignment::kBottomRight
                           ? kTiles * config.tile_k - config.tile_q
                           : 0;
    const int tiles = std::min(kTiles, (config.tile_q + offset + config.tile_k - 1) / config.tile_k);
    const auto warps_that_see = [&](int tile) {
      std::uint64_t warps = 0;
      for (int warp = 1; warp <= config.warps; ++warp)
        if (warp * (config.tile_q / config.warps) - 1 + offset >= tile * config.tile_k) ++warps;
      return warps;
    };
    const LaunchStatistics statistics = run_forward(*runtime, *kernel, problem).statistics;
    const TileProducts of_warp = products_of_warp(descriptor, config);
    std::uint64_t products = 0;
    for (int tile = 0; tile < tiles; ++tile) products += warps_that_see(tile) * (of_warp.scores + of_warp.values);
    EXPECT_EQ(statistics.shared_bank_conflicts, 0u);
    EXPECT_EQ(statistics.matrix_instructions, products);
    // Nothing is left to fetch while the last value tile is multiplied.
    EXPECT_EQ(statistics.matrix_without_copy_in_flight, warps_that_see(tiles - 1) * of_warp.values);
    EXPECT_EQ(statistics.matrix_with_copy_in_flight, products - warps_that_see(tiles - 1) * of_warp.values);
  }
}

std::string name_of_gate(const testing::TestParamInfo<Gate>& test) {
  return fmt::format("{}_d{}_{}", to_string(test.param.dtype), test.param.head_dim, test.param.target);
}

INSTANTIATE_TEST_SUITE_P(Kernel, EmulatedGates,
                         testing::Values(Gate{64, DataType::kFloat16, "sm_80"}, Gate{64, DataType::kBfloat16, "sm_80"},
                                         Gate{128, DataType::kFloat16, "sm_80"},
                                         Gate{128, DataType::kBfloat16, "sm_80"}, Gate{64, DataType::kFloat16, "sm_90"},
                                         Gate{64, DataType::kBfloat16, "sm_90"}, Gate{128, DataType::kFloat16, "sm_90"},
                                         Gate{128, DataType::kBfloat16, "sm_90"}),
                         name_of_gate);

/// The same of forwards that multiply with wgmma.
class EmulatedWarpgroupGates : public EmulatedGates {};

TEST_P(EmulatedWarpgroupGates, DefaultsHaveNoBankConflictAndMostlyACopyInFlight) {
  // The first warp feeds the others, and here does so as soon as it can.
  Runtime runtime(open_emulated_device({.target = parse_target(GetParam().target).value(), .schedule = "in-order"}),
                  tested_policy());
  for (const KernelDescriptor& descriptor : descriptors()) {
    const auto kernel = runtime.request(descriptor);
    const TileConfig& config = kernel->config();
    SCOPED_TRACE(to_string(descriptor) + ", " + to_string(config));
    constexpr int kTiles = 5;
    const TestProblem problem(descriptor, {.seqlen_q = config.tile_q, .seqlen_k = kTiles * config.tile_k},
                              {.intervals = Intervals::kNoneMasked});
    const bool is_cut = has_diagonal(descriptor.mask_form) && descriptor.mask_form != MaskForm::kWindow;
    const bool sees_all = !is_cut || descriptor.causal_alignment == CausalAlignment::kBottomRight;
    const int tiles = sees_all ? kTiles : (config.tile_q + config.tile_k - 1) / config.tile_k;
    const LaunchStatistics statistics = run_forward(runtime, *kernel, problem).statistics;
    // Of a warp: each product is 16 columns of Q and K, or 16 keys of V, at a time.
    const std::uint64_t of_scores = descriptor.head_dim_qk / 16, of_values = config.tile_k / 16;
    EXPECT_EQ(statistics.shared_bank_conflicts, 0u);
    const std::uint64_t products = config.warps * tiles * (of_scores + of_values);
    EXPECT_EQ(statistics.matrix_instructions, products);
    EXPECT_EQ(statistics.matrix_with_copy_in_flight + statistics.matrix_without_copy_in_flight, products);
    // A warpgroup that is ahead of the others has nothing under way when it has used up what the slots hold, and none
    // has when it multiplies the last of the values.
    EXPECT_GE(statistics.matrix_with_copy_in_flight, products / 2);
    EXPECT_GE(statistics.matrix_without_copy_in_flight, config.warps / 4 * of_values);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kernel, EmulatedWarpgroupGates,
    // Panels of 64, 32 and 16 columns.
    testing::Values(Gate{64, DataType::kFloat16, "sm_90a"}, Gate{64, DataType::kBfloat16, "sm_90a"},
                    Gate{128, DataType::kFloat16, "sm_90a"}, Gate{128, DataType::kBfloat16, "sm_90a"},
                    Gate{256, DataType::kFloat16, "sm_90a"}, Gate{96, DataType::kBfloat16, "sm_90a"},
                    Gate{80, DataType::kBfloat16, "sm_90a"}),
    name_of_gate);

}  // namespace
}  // namespace flashmask::forward_tests
