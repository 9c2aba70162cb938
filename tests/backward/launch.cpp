#include "tests/backward/launch.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include "tests/forward/guarded_memory.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::Allocation;
using forward_tests::first_change;
using forward_tests::kGuardBytes;
using forward_tests::kPoison;
using forward_tests::StridedTensor;

std::vector<std::byte> poison(std::size_t bytes) {
  return std::vector<std::byte>(bytes, static_cast<std::byte>(kPoison));
}

}  // namespace

BackwardTestProblem::BackwardTestProblem(TestProblem forward_problem, std::uint64_t seed)
    : forward_(std::move(forward_problem)) {
  const reference::ForwardProblem& p = forward_.view();
  const reference::ForwardResult result = reference::attention(p);
  for (const double x : result.output) output_.push_back(reference::from_float(static_cast<float>(x), p.dtype));
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < output_.size(); ++i)
    output_gradient_.push_back(reference::from_float(normal(random), p.dtype));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float anything[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity};
  for (const double x : result.lse) {
    lse_.push_back(static_cast<float>(x));
    const float drawn = normal(random);
    lse_gradient_.push_back(std::isinf(x) ? anything[lse_.size() % 3] : drawn);
  }
}

reference::BackwardProblem BackwardTestProblem::view(const LaunchChoice& choice) const {
  return {.forward = forward_.view(),
          .output_gradient = output_gradient_,
          .lse_gradient = choice.with_lse_gradient ? std::span(lse_gradient_) : std::span<const float>()};
}

LaunchResult run_backward(Runtime& runtime, const Kernel& kernel, const BackwardTestProblem& problem,
                          const LaunchChoice& choice) {
  Device& device = *runtime.device();
  const Extents& e = problem.forward().extents();
  const reference::ForwardProblem& p = problem.forward().view();
  const auto of_queries = [&](int head_dim) {
    return StridedTensor(choice.layout, e.batch, e.seqlen_q, e.heads_q, head_dim);
  };
  const auto of_keys = [&](int head_dim) {
    return StridedTensor(choice.layout, e.batch, e.seqlen_k, e.heads_kv, head_dim);
  };
  StridedTensor query = of_queries(p.head_dim_qk), key = of_keys(p.head_dim_qk), value = of_keys(p.head_dim_v),
                output = of_queries(p.head_dim_v), output_gradient = of_queries(p.head_dim_v);
  query.pack_in(p.query);
  key.pack_in(p.key);
  value.pack_in(p.value);
  output.pack_in(problem.output());
  output_gradient.pack_in(problem.output_gradient());
  StridedTensor query_gradient = of_queries(p.head_dim_qk), key_gradient = of_keys(p.head_dim_qk),
                value_gradient = of_keys(p.head_dim_v);

  const Allocation device_query(device, query.memory()), device_key(device, key.memory()),
      device_value(device, value.memory()), device_output(device, output.memory()),
      device_output_gradient(device, output_gradient.memory()),
      device_lse(device, std::as_bytes(std::span(problem.lse()))),
      device_lse_gradient(device, std::as_bytes(std::span(problem.lse_gradient()))),
      device_query_gradient(device, query_gradient.memory()), device_key_gradient(device, key_gradient.memory()),
      device_value_gradient(device, value_gradient.memory());
  std::unique_ptr<Allocation> intervals;
  std::optional<MaskPlan> plan;
  BackwardLaunch launch;
  launch.forward = {.batch = e.batch,
                    .seqlen_q = e.seqlen_q,
                    .seqlen_k = e.seqlen_k,
                    .num_heads_q = e.heads_q,
                    .num_heads_kv = e.heads_kv,
                    .num_heads_mask = e.heads_mask,
                    .query = query.view(device_query.get()),
                    .key = key.view(device_key.get()),
                    .value = value.view(device_value.get()),
                    .output = output.view(device_output.get()),
                    .lse = device_lse.get(),
                    .softmax_scale = p.softmax_scale,
                    .window_left = p.window_left,
                    .window_right = p.window_right};
  launch.output_gradient = output_gradient.view(device_output_gradient.get());
  launch.lse_gradient = choice.with_lse_gradient ? device_lse_gradient.get() : 0;
  launch.query_gradient = query_gradient.view(device_query_gradient.get());
  launch.key_gradient = key_gradient.view(device_key_gradient.get());
  launch.value_gradient = value_gradient.view(device_value_gradient.get());
  if (!p.startend_row_indices.empty()) {
    intervals = std::make_unique<Allocation>(device, std::as_bytes(p.startend_row_indices));
    launch.forward.startend_row_indices = intervals->get();
    if (choice.with_plan) {
      const KernelDescriptor& descriptor = kernel.descriptor();
      plan.emplace(runtime,
                   MaskShape{.form = descriptor.mask_form,
                             .causal_alignment = descriptor.causal_alignment,
                             .batch = e.batch,
                             .num_heads = e.heads_mask,
                             .seqlen_q = e.seqlen_q,
                             .seqlen_k = e.seqlen_k},
                   intervals->get());
      launch.forward.plan = plan->prepare(kernel.tile());
    }
  }
  if (choice.change != nullptr) choice.change(launch);
  const std::size_t workspace_bytes = kernel.workspace_size(launch);
  std::vector<std::byte> workspace = poison(workspace_bytes + 2 * kGuardBytes);
  const Allocation device_workspace(device, workspace);
  device.take_statistics();
  kernel.launch(launch, nullptr, {device_workspace.get() + kGuardBytes, workspace_bytes});
  device.synchronize(nullptr);

  LaunchResult result;
  result.statistics = device.take_statistics();
  const auto take = [&](const char* name, StridedTensor& tensor, const Allocation& memory) {
    device.copy_to_host(tensor.memory(), memory.get(), nullptr);
    std::vector<std::uint16_t> packed = tensor.take_out();
    result.overwritten += first_change(name, tensor.memory());
    return packed;
  };
  result.query_gradient = take("dq", query_gradient, device_query_gradient);
  result.key_gradient = take("dk", key_gradient, device_key_gradient);
  result.value_gradient = take("dv", value_gradient, device_value_gradient);
  device.copy_to_host(workspace, device_workspace.get(), nullptr);
  result.workspace.assign(workspace.data() + kGuardBytes, workspace.data() + kGuardBytes + workspace_bytes);
  std::memset(workspace.data() + kGuardBytes, kPoison, workspace_bytes);
  result.overwritten += first_change("the workspace", workspace);
  return result;
}

namespace {

std::string describe(const Kernel& kernel, const BackwardTestProblem& problem, const LaunchChoice& choice) {
  return fmt::format("{} with {}, layout {}, {} plan", describe(problem.forward()), to_string(kernel.config()),
                     static_cast<int>(choice.layout), choice.with_plan ? "with" : "without");
}

}  // namespace

testing::AssertionResult is_correct(const LaunchResult& result, const Kernel& kernel,
                                    const BackwardTestProblem& problem, const LaunchChoice& choice) {
  const reference::GradientComparison c =
      reference::compare(problem.view(choice), result.query_gradient, result.key_gradient, result.value_gradient);
  if (c.passed && result.overwritten.empty()) return testing::AssertionSuccess();
  const auto words = [](const char* name, const reference::GradientError& e) {
    return fmt::format("{}: error {:.3g} (bound {:.3g}, naive {:.3g}), {} NaNs, {} of {} zero rows wrong; ", name,
                       e.max_error, e.bound, e.naive_error, e.nan_count, e.zero_rows_wrong, e.zero_rows);
  };
  return testing::AssertionFailure() << describe(kernel, problem, choice) << ": " << words("dQ", c.query)
                                     << words("dK", c.key) << words("dV", c.value) << result.overwritten;
}

testing::AssertionResult is_correct(Runtime& runtime, const Kernel& kernel, const BackwardTestProblem& problem,
                                    const LaunchChoice& choice) {
  try {
    return is_correct(run_backward(runtime, kernel, problem, choice), kernel, problem, choice);
  } catch (const Error& error) {
    return testing::AssertionFailure() << describe(kernel, problem, choice) << ": " << error.what();
  }
}

std::vector<KernelDescriptor> all_forms(DataType dtype, int head_dim_qk, int head_dim_v, const Target& target,
                                        bool deterministic) {
  std::vector<KernelDescriptor> descriptors = forward_tests::all_forms(dtype, head_dim_qk, head_dim_v, target);
  for (KernelDescriptor& descriptor : descriptors) {
    descriptor.pass = Pass::kBackward;
    descriptor.deterministic = deterministic;
  }
  return descriptors;
}

}  // namespace flashmask::backward_tests
