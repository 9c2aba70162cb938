#pragma once

#include <gtest/gtest.h>

#include <string>

#include "flashmask/runtime.h"

namespace flashmask::forward_tests {

/// The compiler of these tests: no device, and the cache of all tests. Lives until the program ends.
Runtime& compiling_runtime();

/// One line: the descriptor and the configuration, to repeat a failure by.
std::string describe(const CompiledKernel& kernel);

/// ptxas spilled nothing, used no stack, and printed no remark.
testing::AssertionResult is_clean(const CompiledKernel& kernel);

/// ptxas printed no remark of a costly kind, such as "(C7510)": that it lets one product wait for the other.
testing::AssertionResult has_no_remark(const CompiledKernel& kernel);

/// There is code, and with the registers and the shared memory that it really has, a CTA of it fits an SM.
testing::AssertionResult can_be_launched(const CompiledKernel& kernel);

/// What the SASS of the main loop of a kernel with wgmma must hold.
struct ProductLoop {
  int products_shared = 0;  ///< with A in shared memory
  int products_registers = 0;
  int exponentials = 0;  ///< at least, between the wait for one product and the wait for the other
};
/// The loop has these products, nothing goes to local memory between the first and the last of them, and the
/// exponentials stand where products run meanwhile.
testing::AssertionResult runs_products_meanwhile(const CompiledKernel& kernel, const ProductLoop& expected);

/// With its real registers an SM holds at least as many CTAs as the model promised when the configuration was chosen.
testing::AssertionResult keeps_its_promise(const CompiledKernel& kernel);

}  // namespace flashmask::forward_tests
