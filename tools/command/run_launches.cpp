#include "tools/command/run_launches.h"

#include <chrono>
#include <optional>
#include <span>

#include "flashmask/device.h"
#include "flashmask/reference.h"

namespace flashmask::command {
namespace {

template <typename Element>
DeviceBuffer upload(const std::shared_ptr<Device>& device, std::span<const Element> elements) {
  DeviceBuffer buffer(device, elements.size_bytes());
  device->copy_to_device(buffer.get(), std::as_bytes(elements), nullptr);
  return buffer;
}

/// Memory for a tensor that is written, on both sides.
template <typename Element>
class Written {
 public:
  Written(const std::shared_ptr<Device>& device, std::vector<Element>& host, std::size_t size)
      : device_(device), host_(host), buffer_(device, size * sizeof(Element)) {
    host_.resize(size);
  }

  DevicePointer get() const { return buffer_.get(); }
  void download() const { device_->copy_to_host(std::as_writable_bytes(std::span(host_)), buffer_.get(), nullptr); }

 private:
  std::shared_ptr<Device> device_;
  std::vector<Element>& host_;
  DeviceBuffer buffer_;
};

/// Launches once with a workspace as large as the kernel wants it, and measures.
template <typename Arguments>
void launch_timed(const std::shared_ptr<Device>& device, const Kernel& kernel, const Arguments& arguments,
                  KernelReport& report) {
  report.workspace_bytes = kernel.workspace_size(arguments);
  DeviceBuffer workspace;
  if (report.workspace_bytes > 0) workspace = DeviceBuffer(device, report.workspace_bytes);
  const auto seconds_of_launch = [&] {
    const auto start = std::chrono::steady_clock::now();
    kernel.launch(arguments, nullptr, {workspace.get(), workspace.bytes()});
    device->synchronize(nullptr);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  // A GPU's first launch pays for clocks and caches, so the second is timed; an emulation is the same every time.
  const DeviceKind kind = device->properties().kind;
  if (kind == DeviceKind::kCuda) seconds_of_launch();
  static_cast<void>(device->take_statistics());
  report.launch_seconds = seconds_of_launch();
  if (kind == DeviceKind::kEmulator) report.statistics = device->take_statistics();
}

ForwardLaunch forward_launch(const reference::ForwardProblem& shape) {
  ForwardLaunch launch;
  launch.batch = shape.batch;
  launch.seqlen_q = shape.seqlen_q;
  launch.seqlen_k = shape.seqlen_k;
  launch.num_heads_q = shape.num_heads_q;
  launch.num_heads_kv = shape.num_heads_kv;
  launch.num_heads_mask = shape.num_heads_mask;
  launch.softmax_scale = shape.softmax_scale;
  launch.window_left = shape.window_left;
  launch.window_right = shape.window_right;
  return launch;
}

}  // namespace

RunTensors launch(Runtime& runtime, const RunKernels& kernels, const Problem& problem, RunReport& report) {
  const std::shared_ptr<Device>& device = runtime.device();
  const reference::ForwardProblem& shape = problem.shape;
  const auto rows = static_cast<std::size_t>(shape.batch) * shape.seqlen_q * shape.num_heads_q;
  const auto of_queries = [&](DevicePointer data, int head_dim) {
    return TensorView::contiguous(data, shape.seqlen_q, shape.num_heads_q, head_dim);
  };
  const auto of_keys = [&](DevicePointer data, int head_dim) {
    return TensorView::contiguous(data, shape.seqlen_k, shape.num_heads_kv, head_dim);
  };

  const DeviceBuffer query = upload<std::uint16_t>(device, problem.query);
  const DeviceBuffer key = upload<std::uint16_t>(device, problem.key);
  const DeviceBuffer value = upload<std::uint16_t>(device, problem.value);
  DeviceBuffer vectors;
  if (!problem.startend_row_indices.empty()) vectors = upload<std::int32_t>(device, problem.startend_row_indices);
  RunTensors tensors;
  const Written output(device, tensors.output, rows * shape.head_dim_v);
  const Written lse(device, tensors.lse, rows);

  ForwardLaunch forward = forward_launch(shape);
  forward.query = of_queries(query.get(), shape.head_dim_qk);
  forward.key = of_keys(key.get(), shape.head_dim_qk);
  forward.value = of_keys(value.get(), shape.head_dim_v);
  forward.output = of_queries(output.get(), shape.head_dim_v);
  forward.lse = lse.get();
  forward.startend_row_indices = vectors.get();

  std::optional<MaskPlan> plan;
  if (!problem.startend_row_indices.empty() && report.skips) {
    plan.emplace(runtime,
                 MaskShape{.form = shape.mask_form,
                           .causal_alignment = shape.causal_alignment,
                           .batch = shape.batch,
                           .num_heads = shape.num_heads_mask,
                           .seqlen_q = shape.seqlen_q,
                           .seqlen_k = shape.seqlen_k},
                 vectors.get());
  }
  const auto prepare = [&](const Kernel& kernel, KernelReport& of_kernel) {
    if (!plan) return PlanView{};
    const PlanView view = plan->prepare(kernel.tile());
    of_kernel.plan = plan->analyse(kernel.tile());
    return view;
  };

  forward.plan = prepare(*kernels.forward, report.forward);
  launch_timed(device, *kernels.forward, forward, report.forward);
  output.download();
  lse.download();
  if (!kernels.backward) return tensors;

  const DeviceBuffer output_gradient = upload<std::uint16_t>(device, problem.output_gradient);
  DeviceBuffer lse_gradient;
  if (!problem.lse_gradient.empty()) lse_gradient = upload<float>(device, problem.lse_gradient);
  const Written query_gradient(device, tensors.query_gradient, problem.query.size());
  const Written key_gradient(device, tensors.key_gradient, problem.key.size());
  const Written value_gradient(device, tensors.value_gradient, problem.value.size());

  BackwardLaunch backward;
  backward.forward = forward;
  backward.forward.plan = prepare(*kernels.backward, *report.backward);
  backward.output_gradient = of_queries(output_gradient.get(), shape.head_dim_v);
  backward.lse_gradient = lse_gradient.get();
  backward.query_gradient = of_queries(query_gradient.get(), shape.head_dim_qk);
  backward.key_gradient = of_keys(key_gradient.get(), shape.head_dim_qk);
  backward.value_gradient = of_keys(value_gradient.get(), shape.head_dim_v);
  launch_timed(device, *kernels.backward, backward, *report.backward);
  query_gradient.download();
  key_gradient.download();
  value_gradient.download();
  return tensors;
}

}  // namespace flashmask::command
