// What only the emulator can show of a backward: other architectures, bank conflicts, copies in flight. These tests run
// on emulated devices whatever the device under test is.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/launch_counter.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::emulated_runtime;

class EmulatedBackwardTargets : public testing::TestWithParam<const char*> {};

TEST_P(EmulatedBackwardTargets, HaveCodeThatIsWithinTheBound) {
  const Target target = parse_target(GetParam()).value();
  const auto runtime = emulated_runtime(target, 4);
  for (MaskForm form : {MaskForm::kNone, MaskForm::kF4}) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.dtype = form == MaskForm::kF4 ? DataType::kFloat16 : DataType::kBfloat16;
    descriptor.head_dim_qk = form == MaskForm::kF4 ? 64 : 192;
    descriptor.head_dim_v = 64;
    descriptor.mask_form = form;
    descriptor.target = target;
    descriptor.deterministic = form == MaskForm::kF4;
    const auto kernel = runtime->request(descriptor);
    const BackwardTestProblem problem(TestProblem(
        descriptor,
        {.seqlen_q = 2 * kernel->config().tile_q + 1, .seqlen_k = 2 * kernel->config().tile_k + 1, .heads_q = 2}));
    EXPECT_TRUE(is_correct(*runtime, *kernel, problem));
  }
}

INSTANTIATE_TEST_SUITE_P(Target, EmulatedBackwardTargets,
                         testing::Values("sm_86", "sm_90", "sm_90a", "sm_100", "sm_120"),
                         [](const auto& test) { return std::string(test.param); });

/// Default kernels of one case.
struct Gate {
  const char* target;
  DataType dtype;
  int head_dim;
  bool deterministic;
  bool every_form;  ///< else causal, C1 and F4
};
std::string name_of(const Gate& gate) {
  return fmt::format("{}_{}_d{}{}", gate.target, to_string(gate.dtype), gate.head_dim,
                     gate.deterministic ? "_deterministic" : "");
}
void PrintTo(const Gate& gate, std::ostream* stream) {
  *stream << name_of(gate);
}

class EmulatedBackwardGates : public testing::TestWithParam<Gate> {
 protected:
  static std::vector<KernelDescriptor> descriptors() {
    const Gate& gate = GetParam();
    std::vector<KernelDescriptor> all =
        all_forms(gate.dtype, gate.head_dim, gate.head_dim, parse_target(gate.target).value(), gate.deterministic);
    std::erase_if(all, [&](const KernelDescriptor& descriptor) {
      const MaskForm form = descriptor.mask_form;
      // The alignment of a diagonal is an argument of the launch.
      return descriptor.causal_alignment == CausalAlignment::kTopLeft ||
             (!gate.every_form && form != MaskForm::kCausal && form != MaskForm::kC1 && form != MaskForm::kF4);
    });
    return all;
  }
};

/// Warp-wide m16n8k16 products of a tile that all warps see.
std::uint64_t products_of_tile(const KernelDescriptor& descriptor, const TileConfig& config) {
  const auto blocks = static_cast<std::uint64_t>(config.tile_q / 16 * (config.tile_k / 16));
  // The scores, dK and dQ; dP and dV.
  return blocks * 2 * static_cast<std::uint64_t>(3 * descriptor.head_dim_qk / 16 + 2 * descriptor.head_dim_v / 16);
}

TEST_P(EmulatedBackwardGates, DefaultsHaveNoBankConflictAndACopyInFlightAtEveryMultiplyButTheLast) {
  const auto device = std::make_shared<forward_tests::LaunchCounter>(
      open_emulated_device({.target = parse_target(GetParam().target).value(), .seed = 2}));
  Runtime runtime(device, forward_tests::tested_policy());
  for (const KernelDescriptor& descriptor : descriptors()) {
    const auto kernel = runtime.request(descriptor);
    const TileConfig& config = kernel->config();
    SCOPED_TRACE(to_string(descriptor) + ", " + to_string(config));
    // Whole tiles, several rows of them for each of two key tiles. A diagonal hides some from each; nothing else does.
    constexpr int kRowTiles = 6, kKeyTiles = 2;
    const Extents extents{.seqlen_q = kRowTiles * config.tile_q, .seqlen_k = kKeyTiles * config.tile_k};
    run_backward(runtime, *kernel,
                 BackwardTestProblem(TestProblem(descriptor, extents, {.intervals = Intervals::kNoneMasked})));
    const LaunchStatistics statistics = device->take_launches().end()[-2];
    EXPECT_EQ(statistics.shared_bank_conflicts, 0u);
    EXPECT_EQ(statistics.matrix_with_copy_in_flight + statistics.matrix_without_copy_in_flight,
              statistics.matrix_instructions);
    const std::uint64_t of_tile = products_of_tile(descriptor, config);
    // Nothing is left to fetch while a key tile's last row tile is multiplied.
    const std::uint64_t of_last_tiles = kKeyTiles * of_tile;
    if (has_diagonal(descriptor.mask_form) && descriptor.mask_form != MaskForm::kWindow) {
      EXPECT_LE(statistics.matrix_without_copy_in_flight, of_last_tiles);
      EXPECT_GT(statistics.matrix_with_copy_in_flight, 0u);
    } else {
      EXPECT_EQ(statistics.matrix_without_copy_in_flight, of_last_tiles);
      EXPECT_EQ(statistics.matrix_instructions, kRowTiles * kKeyTiles * of_tile);
    }
  }
}

TEST_P(EmulatedBackwardGates, DefaultsHaveNoBankConflictInPartialTiles) {
  const auto runtime = emulated_runtime(parse_target(GetParam().target).value(), 3);
  for (const KernelDescriptor& descriptor : descriptors()) {
    const auto kernel = runtime->request(descriptor);
    SCOPED_TRACE(to_string(descriptor) + ", " + to_string(kernel->config()));
    TestProblem problem(descriptor,
                        {.seqlen_q = 2 * kernel->config().tile_q + 3, .seqlen_k = kernel->config().tile_k + 5},
                        {.window_left = descriptor.mask_form == MaskForm::kWindow ? 50 : -1});
    EXPECT_EQ(run_backward(*runtime, *kernel, BackwardTestProblem(std::move(problem))).statistics.shared_bank_conflicts,
              0u);
  }
}

std::vector<Gate> gates() {
  std::vector<Gate> all;
  for (const char* target : {"sm_80", "sm_90"})
    for (const int head_dim : {64, 128}) {
      all.push_back({target, DataType::kBfloat16, head_dim, false, true});
      all.push_back({target, DataType::kBfloat16, head_dim, true, false});
      all.push_back({target, DataType::kFloat16, head_dim, false, false});
    }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels, EmulatedBackwardGates, testing::ValuesIn(gates()),
                         [](const auto& test) { return name_of(test.param); });

/// The same of backwards that multiply with wgmma.
class EmulatedWarpgroupBackwardGates : public EmulatedBackwardGates {};

/// A warp's parts in products of m64nNk16, of a tile: the scores and dP of 16 columns at a time, dV and dK of 16 rows,
/// dQ of 16 keys.
std::uint64_t warpgroup_products_of_tile(const KernelDescriptor& descriptor, const TileConfig& config) {
  const auto columns = [](int head_dim) { return (head_dim + 15) / 16; };
  return static_cast<std::uint64_t>(config.warps * (columns(descriptor.head_dim_qk) + columns(descriptor.head_dim_v) +
                                                    2 * config.tile_q / 16 + config.tile_k / 16));
}

TEST_P(EmulatedWarpgroupBackwardGates, DefaultsHaveNoBankConflictAndMostlyACopyInFlight) {
  // The first warp feeds the others, and here does so as soon as it can.
  const auto device = std::make_shared<forward_tests::LaunchCounter>(
      open_emulated_device({.target = parse_target(GetParam().target).value(), .schedule = "in-order"}));
  Runtime runtime(device, forward_tests::tested_policy());
  for (const KernelDescriptor& descriptor : descriptors()) {
    const auto kernel = runtime.request(descriptor);
    const TileConfig& config = kernel->config();
    SCOPED_TRACE(to_string(descriptor) + ", " + to_string(config));
    // Whole tiles, several rows of them for each of two key tiles. A diagonal hides some; nothing else does.
    constexpr int kRowTiles = 5, kKeyTiles = 2;
    const Extents extents{.seqlen_q = kRowTiles * config.tile_q, .seqlen_k = kKeyTiles * config.tile_k};
    run_backward(runtime, *kernel,
                 BackwardTestProblem(TestProblem(descriptor, extents, {.intervals = Intervals::kNoneMasked})));
    const LaunchStatistics statistics = device->take_launches().end()[-2];
    const bool is_cut = has_diagonal(descriptor.mask_form) && descriptor.mask_form != MaskForm::kWindow;
    std::uint64_t tiles = 0;
    for (int row_tile = 0; row_tile < kRowTiles; ++row_tile)
      for (int key_tile = 0; key_tile < kKeyTiles; ++key_tile) {
        const int last_row = (row_tile + 1) * config.tile_q - 1;
        if (!is_cut || last_row + extents.seqlen_k - extents.seqlen_q >= key_tile * config.tile_k) ++tiles;
      }
    const std::uint64_t products = tiles * warpgroup_products_of_tile(descriptor, config);
    // Of ordinary accesses; those of wgmma are the hardware's.
    EXPECT_EQ(statistics.shared_bank_conflicts, 0u);
    EXPECT_EQ(statistics.matrix_instructions, products);
    EXPECT_EQ(statistics.matrix_with_copy_in_flight + statistics.matrix_without_copy_in_flight, products);
    // Nothing is left to fetch once the last query tile of a key tile is there: all but its scores and dP. Nor has a
    // warpgroup that is ahead of the other anything under way when it has used up what the slots hold.
    const auto of_scores = static_cast<std::uint64_t>(
        config.warps * ((descriptor.head_dim_qk + 15) / 16 + (descriptor.head_dim_v + 15) / 16));
    EXPECT_GE(statistics.matrix_without_copy_in_flight,
              kKeyTiles * (warpgroup_products_of_tile(descriptor, config) - of_scores));
    EXPECT_GE(statistics.matrix_with_copy_in_flight, is_cut ? products / 3 : products / 2);
  }
}

TEST_P(EmulatedWarpgroupBackwardGates, DefaultsHaveNoBankConflictInPartialTiles) {
  const auto runtime = emulated_runtime(parse_target(GetParam().target).value(), 3);
  for (const KernelDescriptor& descriptor : descriptors()) {
    const auto kernel = runtime->request(descriptor);
    SCOPED_TRACE(to_string(descriptor) + ", " + to_string(kernel->config()));
    TestProblem problem(descriptor, {.seqlen_q = kernel->config().tile_q + 3, .seqlen_k = kernel->config().tile_k + 5},
                        {.window_left = descriptor.mask_form == MaskForm::kWindow ? 50 : -1});
    EXPECT_EQ(run_backward(*runtime, *kernel, BackwardTestProblem(std::move(problem))).statistics.shared_bank_conflicts,
              0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EmulatedWarpgroupBackwardGates,
                         // Panels of 64, 32 and 16 columns; tiles of each kind.
                         testing::Values(Gate{"sm_90a", DataType::kBfloat16, 64, false, true},
                                         Gate{"sm_90a", DataType::kFloat16, 64, true, false},
                                         Gate{"sm_90a", DataType::kBfloat16, 80, true, false},
                                         Gate{"sm_90a", DataType::kFloat16, 96, false, false},
                                         Gate{"sm_90a", DataType::kBfloat16, 128, false, false},
                                         Gate{"sm_90a", DataType::kFloat16, 128, true, false},
                                         Gate{"sm_90a", DataType::kBfloat16, 192, true, false},
                                         Gate{"sm_90a", DataType::kBfloat16, 256, false, false}),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::backward_tests
