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

}  // namespace
}  // namespace flashmask::backward_tests
