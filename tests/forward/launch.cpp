#include "tests/forward/launch.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <optional>

#include "tests/forward/guarded_memory.h"

namespace flashmask::forward_tests {
LaunchResult run_forward(Runtime& runtime, const Kernel& kernel, const TestProblem& problem,
                         const LaunchChoice& choice) {
  Device& device = *runtime.device();
  const Extents& e = problem.extents();
  const reference::ForwardProblem& p = problem.view();
  StridedTensor query(choice.layout, e.batch, e.seqlen_q, e.heads_q, p.head_dim_qk);
  StridedTensor key(choice.layout, e.batch, e.seqlen_k, e.heads_kv, p.head_dim_qk);
  StridedTensor value(choice.layout, e.batch, e.seqlen_k, e.heads_kv, p.head_dim_v);
  StridedTensor output(choice.layout, e.batch, e.seqlen_q, e.heads_q, p.head_dim_v);
  query.pack_in(p.query);
  key.pack_in(p.key);
  value.pack_in(p.value);
  const std::size_t lse_bytes = static_cast<std::size_t>(e.batch) * e.heads_q * e.seqlen_q * sizeof(float);
  std::vector<std::byte> lse(lse_bytes + 2 * kGuardBytes, static_cast<std::byte>(kPoison));

  const Allocation device_query(device, query.memory()), device_key(device, key.memory()),
      device_value(device, value.memory()), device_output(device, output.memory()), device_lse(device, lse);
  std::unique_ptr<Allocation> intervals, workspace;
  std::optional<MaskPlan> plan;
  ForwardLaunch launch;
  launch.batch = e.batch;
  launch.seqlen_q = e.seqlen_q;
  launch.seqlen_k = e.seqlen_k;
  launch.num_heads_q = e.heads_q;
  launch.num_heads_kv = e.heads_kv;
  launch.num_heads_mask = e.heads_mask;
  launch.query = query.view(device_query.get());
  launch.key = key.view(device_key.get());
  launch.value = value.view(device_value.get());
  launch.output = output.view(device_output.get());
  launch.lse = choice.wants_lse ? device_lse.get() + kGuardBytes : 0;
  launch.softmax_scale = p.softmax_scale;
  launch.window_left = p.window_left;
  launch.window_right = p.window_right;
  if (!p.startend_row_indices.empty()) {
    intervals = std::make_unique<Allocation>(device, std::as_bytes(p.startend_row_indices));
    launch.startend_row_indices = intervals->get();
    if (choice.with_plan) {
      const KernelDescriptor& descriptor = kernel.descriptor();
      plan.emplace(runtime,
                   MaskShape{.form = descriptor.mask_form,
                             .causal_alignment = descriptor.causal_alignment,
                             .batch = e.batch,
                             .num_heads = e.heads_mask,
                             .seqlen_q = e.seqlen_q,
                             .seqlen_k = e.seqlen_k},
                   launch.startend_row_indices);
      launch.plan = plan->prepare(kernel.tile());
    }
  }
  const std::size_t workspace_bytes = kernel.workspace_size(launch);
  if (workspace_bytes > 0) {
    workspace =
        std::make_unique<Allocation>(device, std::vector<std::byte>(workspace_bytes, static_cast<std::byte>(kPoison)));
  }
  device.take_statistics();
  kernel.launch(launch, nullptr, {workspace ? workspace->get() : 0, workspace_bytes});
  device.synchronize(nullptr);

  LaunchResult result;
  result.statistics = device.take_statistics();
  device.copy_to_host(output.memory(), device_output.get(), nullptr);
  device.copy_to_host(lse, device_lse.get(), nullptr);
  result.output = output.take_out();
  result.overwritten = first_change("the output", output.memory());
  if (choice.wants_lse) {
    result.lse.resize(lse_bytes / sizeof(float));
    std::memcpy(result.lse.data(), lse.data() + kGuardBytes, lse_bytes);
    std::memset(lse.data() + kGuardBytes, kPoison, lse_bytes);
  }
  result.overwritten += first_change("lse", lse);
  return result;
}

testing::AssertionResult is_correct(Runtime& runtime, const Kernel& kernel, const TestProblem& problem,
                                    const LaunchChoice& choice) {
  LaunchResult result;
  try {
    result = run_forward(runtime, kernel, problem, choice);
  } catch (const Error& error) {
    return testing::AssertionFailure() << describe(problem) << " with " << to_string(kernel.config()) << ", layout "
                                       << static_cast<int>(choice.layout) << ": " << error.what();
  }
  const reference::Comparison c = reference::compare(problem.view(), result.output, result.lse);
  if (c.passed && result.overwritten.empty()) return testing::AssertionSuccess();
  return testing::AssertionFailure() << fmt::format(
             "{} with {}, layout {}: output error {:.3g} (bound {:.3g}, naive {:.3g}), lse error {:.3g} (bound "
             "{:.3g}), "
             "{} NaNs, {} of {} dead rows wrong. {}",
             describe(problem), to_string(kernel.config()), static_cast<int>(choice.layout), c.max_output_error,
             c.output_bound, c.naive_output_error, c.max_lse_error, c.lse_bound, c.nan_count, c.dead_rows_wrong,
             c.dead_rows, result.overwritten);
}

}  // namespace flashmask::forward_tests
