// What the compiler says of the default backwards, on targets that need not be here: nothing is launched.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/compiled_gate.h"

namespace flashmask::backward_tests {
namespace {

/// Default kernels that are compiled by one case.
struct Gate {
  const char* target;
  DataType dtype;
  int head_dim;
  bool deterministic;
  bool every_form;  ///< else causal, C1 and F4: what is tested least and most
};

std::string name_of(const Gate& gate) {
  return fmt::format("{}_{}_d{}{}", gate.target, to_string(gate.dtype), gate.head_dim,
                     gate.deterministic ? "_deterministic" : "");
}
void PrintTo(const Gate& gate, std::ostream* stream) {
  *stream << name_of(gate);
}

class BackwardStaticGates : public testing::TestWithParam<Gate> {};

TEST_P(BackwardStaticGates, EveryDefaultKernelCompilesWithoutSpillsAndFitsAnSmAsPromised) {
  const Gate& gate = GetParam();
  for (const KernelDescriptor& descriptor :
       all_forms(gate.dtype, gate.head_dim, gate.head_dim, parse_target(gate.target).value(), gate.deterministic)) {
    const MaskForm form = descriptor.mask_form;
    // The alignment of a diagonal is an argument of the launch.
    if (descriptor.causal_alignment == CausalAlignment::kTopLeft) continue;
    if (!gate.every_form && form != MaskForm::kCausal && form != MaskForm::kC1 && form != MaskForm::kF4) continue;
    const CompiledKernel kernel = forward_tests::compiling_runtime().compile(descriptor);
    EXPECT_TRUE(forward_tests::can_be_launched(kernel));
    EXPECT_TRUE(forward_tests::is_clean(kernel));
    EXPECT_TRUE(forward_tests::keeps_its_promise(kernel));
  }
}

std::vector<Gate> gates() {
  std::vector<Gate> all;
  for (const char* target : {"sm_80", "sm_90"})
    for (const int head_dim : {64, 96, 128}) {
      all.push_back({target, DataType::kBfloat16, head_dim, false, true});
      all.push_back({target, DataType::kBfloat16, head_dim, true, false});
      all.push_back({target, DataType::kFloat16, head_dim, false, false});
    }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels, BackwardStaticGates, testing::ValuesIn(gates()),
                         [](const auto& test) { return name_of(test.param); });

/// Default kernels for sm_90a that are compiled by one case.
struct WgmmaGate {
  DataType dtype;
  int head_dim_qk;
  int head_dim_v;
  bool deterministic;
};
void PrintTo(const WgmmaGate& gate, std::ostream* stream) {
  *stream << fmt::format("{} {}/{}{}", to_string(gate.dtype), gate.head_dim_qk, gate.head_dim_v,
                         gate.deterministic ? " deterministic" : "");
}

/// S and dP and dQ read both operands from shared memory; dV and dK hold theirs, unless warpgroups share their keys.
forward_tests::ProductLoop products_of(const CompiledKernel& kernel) {
  const TileConfig& config = kernel.config;
  const int of_rows = 2 * config.tile_q / 16;
  const int others = (kernel.descriptor.head_dim_qk + kernel.descriptor.head_dim_v + config.tile_k) / 16;
  const int exponentials = config.tile_q / config.column_warps / 2;
  return config.column_warps == 1 ? forward_tests::ProductLoop{others, of_rows, exponentials}
                                  : forward_tests::ProductLoop{others + of_rows, 0, exponentials};
}

class WgmmaBackwardStaticGates : public testing::TestWithParam<WgmmaGate> {};

TEST_P(WgmmaBackwardStaticGates, EveryDefaultBackwardCompilesWithoutSpillsAndItsProductsRunByThemselves) {
  const auto [dtype, head_dim_qk, head_dim_v, deterministic] = GetParam();
  for (const KernelDescriptor& descriptor : all_forms(dtype, head_dim_qk, head_dim_v, {90, true}, deterministic)) {
    // The alignment of a diagonal is an argument of the launch.
    if (descriptor.causal_alignment == CausalAlignment::kTopLeft) continue;
    const CompiledKernel kernel = forward_tests::compiling_runtime().compile(descriptor);
    EXPECT_TRUE(forward_tests::can_be_launched(kernel));
    EXPECT_TRUE(forward_tests::is_clean(kernel));
    EXPECT_TRUE(forward_tests::keeps_its_promise(kernel));
    EXPECT_EQ(kernel.resources.registers, 168) << forward_tests::describe(kernel);
    EXPECT_TRUE(forward_tests::runs_products_meanwhile(kernel, products_of(kernel)));
  }
}

std::vector<WgmmaGate> wgmma_gates() {
  std::vector<WgmmaGate> all;
  for (const DataType dtype : {DataType::kFloat16, DataType::kBfloat16})
    for (const bool deterministic : {false, true}) {
      for (const int head_dim : {64, 96, 128, 192, 256}) all.push_back({dtype, head_dim, head_dim, deterministic});
      all.push_back({dtype, 192, 128, deterministic});
    }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels, WgmmaBackwardStaticGates, testing::ValuesIn(wgmma_gates()), [](const auto& test) {
  return fmt::format("{}_d{}_{}{}", to_string(test.param.dtype), test.param.head_dim_qk, test.param.head_dim_v,
                     test.param.deterministic ? "_deterministic" : "");
});

}  // namespace
}  // namespace flashmask::backward_tests
