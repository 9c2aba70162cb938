// What the compiler says of the default kernels, on targets that need not be here: nothing is launched.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "tests/forward/compiled_gate.h"
#include "tests/forward/problems.h"

namespace flashmask::forward_tests {
namespace {

/// Default kernels that are compiled by one case: every form that is listed, in every alignment that it has.
struct Gate {
  const char* target;
  DataType dtype;
  int head_dim_qk;
  int head_dim_v;
  bool every_form;  ///< else C1 and F4: the least and the most that a form with vectors asks of the registers
};

std::string name_of(const Gate& gate) {
  std::string name = fmt::format("{}_{}_d{}", gate.target, to_string(gate.dtype), gate.head_dim_qk);
  if (gate.head_dim_v != gate.head_dim_qk) name += fmt::format("_{}", gate.head_dim_v);
  return name;
}
void PrintTo(const Gate& gate, std::ostream* stream) {
  *stream << name_of(gate);
}

class StaticGates : public testing::TestWithParam<Gate> {};

TEST_P(StaticGates, EveryDefaultKernelCompilesWithoutSpillsAndFitsAnSmAsPromised) {
  const Gate& gate = GetParam();
  for (const KernelDescriptor& descriptor :
       all_forms(gate.dtype, gate.head_dim_qk, gate.head_dim_v, parse_target(gate.target).value())) {
    const bool is_gated =
        gate.every_form || descriptor.mask_form == MaskForm::kC1 || descriptor.mask_form == MaskForm::kF4;
    if (!is_gated) continue;
    const CompiledKernel kernel = compiling_runtime().compile(descriptor);
    EXPECT_TRUE(can_be_launched(kernel));
    EXPECT_TRUE(is_clean(kernel));
    EXPECT_TRUE(keeps_its_promise(kernel));
  }
}

/// Registers that ptxas gives every thread of a kernel whose warpgroups share them out later: as many as there are.
int equal_share_of_registers(const CompiledKernel& kernel) {
  switch (32 * estimate_resources(kernel.descriptor, kernel.config).warps_per_cta) {
    case 384:
      return 168;
    case 512:
      return 128;
    default:
      return 0;  // no default has such a CTA
  }
}

/// Element type and head dims, for sm_90a.
struct WgmmaGate {
  DataType dtype;
  int head_dim_qk;
  int head_dim_v;
};
void PrintTo(const WgmmaGate& gate, std::ostream* stream) {
  *stream << to_string(gate.dtype) << " " << gate.head_dim_qk << "/" << gate.head_dim_v;
}

class WgmmaStaticGates : public testing::TestWithParam<WgmmaGate> {};

TEST_P(WgmmaStaticGates, EveryDefaultForwardCompilesWithoutSpillsAndItsProductsRunByThemselves) {
  const auto [dtype, head_dim_qk, head_dim_v] = GetParam();
  for (const KernelDescriptor& descriptor : all_forms(dtype, head_dim_qk, head_dim_v, {90, true})) {
    const CompiledKernel kernel = compiling_runtime().compile(descriptor);
    EXPECT_TRUE(can_be_launched(kernel));
    EXPECT_TRUE(is_clean(kernel));
    EXPECT_TRUE(keeps_its_promise(kernel));
    EXPECT_EQ(kernel.resources.registers, equal_share_of_registers(kernel)) << describe(kernel);
    // Most of them: at head dim 64 ptxas lets the last ones wait for registers.
    EXPECT_TRUE(runs_products_meanwhile(kernel, {.products_shared = head_dim_qk / 16,
                                                 .products_registers = kernel.config.tile_k / 16,
                                                 .exponentials = kernel.config.tile_k / 2 * 3 / 4}));
  }
}

std::vector<WgmmaGate> wgmma_gates() {
  std::vector<WgmmaGate> all;
  for (const DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    for (const int head_dim : {64, 96, 128, 192, 256}) all.push_back({dtype, head_dim, head_dim});
    all.push_back({dtype, 192, 128});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels, WgmmaStaticGates, testing::ValuesIn(wgmma_gates()), [](const auto& test) {
  return fmt::format("{}_d{}_{}", to_string(test.param.dtype), test.param.head_dim_qk, test.param.head_dim_v);
});

/// By a head dim that no gate above names.
class WgmmaCoarseGates : public testing::TestWithParam<int> {};

TEST_P(WgmmaCoarseGates, EveryDefaultForwardFitsAnSmAndItsProductsRunByThemselves) {
  for (const KernelDescriptor& descriptor : all_forms(DataType::kBfloat16, GetParam(), GetParam(), {90, true})) {
    if (descriptor.causal_alignment != CausalAlignment::kBottomRight) continue;
    const CompiledKernel kernel = compiling_runtime().compile(descriptor);
    EXPECT_TRUE(can_be_launched(kernel));
    EXPECT_TRUE(has_no_remark(kernel));
    EXPECT_TRUE(keeps_its_promise(kernel));
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, WgmmaCoarseGates, testing::Values(32, 40, 72, 80, 160, 224),
                         [](const auto& test) { return fmt::format("d{}", test.param); });

std::vector<Gate> gates() {
  std::vector<Gate> all;
  for (const DataType dtype : {DataType::kFloat16, DataType::kBfloat16}) {
    for (const int head_dim : {64, 72, 96, 128, 256}) all.push_back({"sm_80", dtype, head_dim, head_dim, true});
    all.push_back({"sm_80", dtype, 192, 128, true});
    for (const char* target : {"sm_86", "sm_90", "sm_100", "sm_120"})
      for (const int head_dim : {64, 128, 256}) all.push_back({target, dtype, head_dim, head_dim, false});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels, StaticGates, testing::ValuesIn(gates()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::forward_tests
