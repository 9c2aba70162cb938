#include "tests/forward/launch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

namespace flashmask::forward_tests {
namespace {

constexpr std::size_t kGuardBytes = 1024;
constexpr std::uint8_t kPoison = 0xFF;  // as fp16, bf16 and fp32: NaN

/// A [batch, seqlen, heads, head_dim] tensor of 16-bit elements in memory of the host, with gaps and guards around it.
class StridedTensor {
 public:
  StridedTensor(Layout layout, int batch, int seqlen, int heads, int head_dim)
      : batch_(batch), seqlen_(seqlen), heads_(heads), head_dim_(head_dim) {
    switch (layout) {
      case Layout::kPacked:
        stride_head_ = head_dim;
        stride_seqlen_ = heads * stride_head_;
        stride_batch_ = seqlen * stride_seqlen_;
        break;
      case Layout::kPadded:
        stride_head_ = head_dim + 8;
        stride_seqlen_ = heads * stride_head_ + 16;
        stride_batch_ = seqlen * stride_seqlen_ + 24;
        break;
      case Layout::kHeadsFirst:
        stride_seqlen_ = head_dim;
        stride_head_ = seqlen * stride_seqlen_;
        stride_batch_ = heads * stride_head_;
        break;
      case Layout::kInterleaved:
        stride_head_ = 3 * head_dim;
        stride_seqlen_ = heads * stride_head_;
        stride_batch_ = seqlen * stride_seqlen_;
        break;
    }
    const std::size_t elements = 1 + offset(batch - 1, seqlen - 1, heads - 1) + head_dim - 1;
    memory_.assign(elements * 2 + 2 * kGuardBytes, static_cast<std::byte>(kPoison));
    if (layout == Layout::kPadded) {  // a stride whose extent is 1 is never used, and need not be aligned
      if (batch == 1) stride_batch_ = 3;
      if (seqlen == 1) stride_seqlen_ = 5;
      if (heads == 1) stride_head_ = 7;
    }
  }

  void pack_in(std::span<const std::uint16_t> packed) {
    for_each_row([&](std::size_t row, std::byte* at) { std::memcpy(at, &packed[row * head_dim_], 2 * head_dim_); });
  }
  /// Takes the rows out, packed, and leaves poison where they were.
  std::vector<std::uint16_t> take_out() {
    std::vector<std::uint16_t> packed(static_cast<std::size_t>(batch_) * seqlen_ * heads_ * head_dim_);
    for_each_row([&](std::size_t row, std::byte* at) {
      std::memcpy(&packed[row * head_dim_], at, 2 * head_dim_);
      std::memset(at, kPoison, 2 * head_dim_);
    });
    return packed;
  }
  std::vector<std::byte>& memory() { return memory_; }
  TensorView view(DevicePointer allocation) const {
    return {allocation + kGuardBytes, stride_batch_, stride_seqlen_, stride_head_};
  }

 private:
  std::size_t offset(std::int64_t b, std::int64_t s, std::int64_t h) const {
    return static_cast<std::size_t>(b * stride_batch_ + s * stride_seqlen_ + h * stride_head_);
  }
  template <typename Visit>
  void for_each_row(const Visit& visit) {
    std::size_t row = 0;
    for (int b = 0; b < batch_; ++b) {
      for (int s = 0; s < seqlen_; ++s) {
        for (int h = 0; h < heads_; ++h) visit(row++, memory_.data() + kGuardBytes + 2 * offset(b, s, h));
      }
    }
  }

  int batch_, seqlen_, heads_, head_dim_;
  std::int64_t stride_batch_ = 0, stride_seqlen_ = 0, stride_head_ = 0;
  std::vector<std::byte> memory_;
};

/// Devices are owned by the test; an allocation must not outlive this call.
class Allocation {
 public:
  Allocation(Device& device, std::span<const std::byte> bytes)
      : device_(device), pointer_(device.allocate(bytes.size())) {
    device_.copy_to_device(pointer_, bytes, nullptr);
  }
  ~Allocation() { device_.release(pointer_); }
  Allocation(const Allocation&) = delete;
  DevicePointer get() const { return pointer_; }

 private:
  Device& device_;
  DevicePointer pointer_;
};

/// Where bytes are no longer poison: "" if nowhere.
std::string first_change(const char* name, std::span<const std::byte> bytes) {
  const auto changed = std::ranges::find_if(bytes, [](std::byte b) { return b != static_cast<std::byte>(kPoison); });
  if (changed == bytes.end()) return "";
  return fmt::format("byte {} around {} was overwritten; ",
                     changed - bytes.begin() - static_cast<std::ptrdiff_t>(kGuardBytes), name);
}

}  // namespace

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
