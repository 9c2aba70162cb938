#include "tests/forward/compiled_gate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "flashmask/occupancy.h"
#include "flashmask/sass_order.h"
#include "flashmask/target_limits.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

/// What a CTA takes by the compiler's word, where the model has an estimate.
CtaNeeds real_needs(const CompiledKernel& kernel) {
  return {.warps = estimate_resources(kernel.descriptor, kernel.config).warps_per_cta,
          .registers_per_thread = kernel.resources.registers,
          .shared_bytes = kernel.resources.static_shared_bytes + kernel.resources.dynamic_shared_bytes};
}

TargetLimits limits_for(const CompiledKernel& kernel) {
  return limits_of(kernel.descriptor.target).value();
}

}  // namespace

Runtime& compiling_runtime() {
  tested_policy();  // its directory is made before, and removed after, the runtime that uses it
  static Runtime runtime(nullptr, tested_policy());
  return runtime;
}

std::string describe(const CompiledKernel& kernel) {
  return fmt::format("{}, tiles {}", to_string(kernel.descriptor), to_string(kernel.config));
}

testing::AssertionResult is_clean(const CompiledKernel& kernel) {
  const KernelResources& used = kernel.resources;
  if (used.spill_store_bytes != 0 || used.spill_load_bytes != 0 || used.stack_bytes != 0)
    return testing::AssertionFailure() << fmt::format(
               "{}: {} registers, {} bytes spilled and {} loaded again, {} bytes of stack\n{}", describe(kernel),
               used.registers, used.spill_store_bytes, used.spill_load_bytes, used.stack_bytes, kernel.log);
  // The resources are those of the main function; the log speaks of all.
  for (std::size_t at = kernel.log.find(" bytes spill stores"); at != std::string::npos;
       at = kernel.log.find(" bytes spill stores", at + 1))
    if (at < 2 || kernel.log.substr(at - 2, 2) != " 0")
      return testing::AssertionFailure() << describe(kernel) << ": a function beside the main one spills\n"
                                         << kernel.log;
  return has_no_remark(kernel);
}

testing::AssertionResult has_no_remark(const CompiledKernel& kernel) {
  if (kernel.log.find("(C75") != std::string::npos)
    return testing::AssertionFailure() << describe(kernel) << ": ptxas remarks\n" << kernel.log;
  return testing::AssertionSuccess();
}

testing::AssertionResult runs_products_meanwhile(const CompiledKernel& kernel, const ProductLoop& expected) {
  const SassOrder order = read_sass_order(kernel.cubin, kernel.entry);
  const auto count = [](const SassLoop& loop) { return loop.products_shared + loop.products_registers; };
  const auto main = std::ranges::max_element(order.loops, {}, count);
  if (main == order.loops.end()) return testing::AssertionFailure() << describe(kernel) << ": no loop has products";
  if (static_cast<int>(main->products_shared) != expected.products_shared ||
      static_cast<int>(main->products_registers) != expected.products_registers)
    return testing::AssertionFailure() << fmt::format(
               "{}: the main loop has {} products of shared memory and {} of registers, {} and {} were expected",
               describe(kernel), main->products_shared, main->products_registers, expected.products_shared,
               expected.products_registers);
  if (main->local_memory_between_products)
    return testing::AssertionFailure() << describe(kernel) << ": local memory is touched between the products of "
                                       << order_text(main->operations);
  const bool overlaps = std::ranges::any_of(main->waits, [&](const auto& wait) {
    return wait.pending == 1 && static_cast<int>(wait.exponentials) >= expected.exponentials;
  });
  if (!overlaps)
    return testing::AssertionFailure() << describe(kernel) << ": no product runs during " << expected.exponentials
                                       << " exponentials in " << order_text(main->operations);
  return testing::AssertionSuccess();
}

testing::AssertionResult can_be_launched(const CompiledKernel& kernel) {
  if (kernel.cubin.empty() || kernel.ptx.empty())
    return testing::AssertionFailure() << fmt::format("{}: {} bytes of cubin, {} of PTX", describe(kernel),
                                                      kernel.cubin.size(), kernel.ptx.size());
  if (kernel.resources.registers <= 0)
    return testing::AssertionFailure() << describe(kernel) << ": the log names no registers\n" << kernel.log;
  const auto broken = broken_limits(real_needs(kernel), limits_for(kernel), to_string(kernel.descriptor.target));
  if (!broken.empty())
    return testing::AssertionFailure() << fmt::format("{}: {}", describe(kernel), fmt::join(broken, "; "));
  return testing::AssertionSuccess();
}

testing::AssertionResult keeps_its_promise(const CompiledKernel& kernel) {
  const ResourceEstimate promised = estimate_resources(kernel.descriptor, kernel.config);
  const Occupancy real = estimate_occupancy(real_needs(kernel), limits_for(kernel));
  if (promised.ctas_per_sm >= 1 && ctas_per_sm(real) >= promised.ctas_per_sm) return testing::AssertionSuccess();
  return testing::AssertionFailure() << fmt::format(
             "{}: an SM holds {} CTAs, limited by {}; the model promised {} with {} registers, there are {}",
             describe(kernel), ctas_per_sm(real), to_string(limit_of(real)), promised.ctas_per_sm,
             promised.registers_per_thread, kernel.resources.registers);
}

}  // namespace flashmask::forward_tests
