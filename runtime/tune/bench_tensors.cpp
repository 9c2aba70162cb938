#include "runtime/tune/bench_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <span>
#include <utility>

#include "flashmask/error.h"

namespace flashmask::tune {
namespace {

/// Values of N(0, 1): zeros and narrow ranges would let a GPU run faster than it does for anybody. They repeat after a
/// prime number of elements, so that no two rows are equal and a large tensor is quickly made.
std::vector<std::uint16_t> normal_values(std::size_t count, DataType dtype, std::uint64_t seed) {
  constexpr std::size_t kPeriod = 1'048'573;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> values(count);
  const std::size_t fresh = std::min(count, kPeriod);
  for (std::size_t n = 0; n < fresh; ++n) values[n] = reference::from_float(normal(random), dtype);
  for (std::size_t n = fresh; n < count; n += kPeriod)
    std::copy_n(values.begin(), std::min(kPeriod, count - n), values.begin() + static_cast<std::ptrdiff_t>(n));
  return values;
}

/// Appends pieces of a tensor of 16-bit elements, about `limit` elements in all and evenly over it.
void download(Device& device, const DeviceBuffer& buffer, std::size_t limit, std::vector<std::uint16_t>& all) {
  constexpr std::size_t kPieces = 64;
  const std::size_t count = buffer.bytes() / sizeof(std::uint16_t);
  const std::size_t pieces = limit < count ? kPieces : 1;
  const std::size_t length = std::min(count, limit) / pieces;
  for (std::size_t n = 0; n < pieces; ++n) {
    // The first piece begins at the first element, the last one ends at the last.
    const std::size_t first = pieces == 1 ? 0 : (count - length) / (pieces - 1) * n;
    const std::size_t before = all.size();
    all.resize(before + length);
    device.copy_to_host(std::as_writable_bytes(std::span(all).subspan(before)),
                        buffer.get() + first * sizeof(std::uint16_t), nullptr);
  }
}

std::string describe(const reference::GradientError& error, std::string_view name) {
  if (error.passed) return {};
  return fmt::format("{} is off by {:.3g}, {:.3g} are allowed ({} NaNs, {} rows that should be 0)", name,
                     error.max_error, error.bound, error.nan_count, error.zero_rows_wrong);
}

}  // namespace

BenchTensors::BenchTensors(Runtime& runtime, const KernelDescriptor& descriptor, const BenchShape& shape,
                           const Mask& mask, std::uint64_t seed)
    : runtime_(runtime),
      descriptor_(descriptor),
      shape_(shape),
      mask_(mask),
      softmax_scale_(1.0f / std::sqrt(static_cast<float>(descriptor.head_dim_qk))) {
  const std::shared_ptr<Device>& device = runtime.device();
  const auto values = [&](std::size_t count, std::uint64_t stream) {
    return normal_values(count, descriptor.dtype, 4 * seed + stream);
  };
  const auto head_dim_qk = static_cast<std::size_t>(descriptor.head_dim_qk);
  const auto head_dim_v = static_cast<std::size_t>(descriptor.head_dim_v);
  query_values_ = values(query_rows() * head_dim_qk, 0);
  key_values_ = values(key_rows() * head_dim_qk, 1);
  value_values_ = values(key_rows() * head_dim_v, 2);
  query_ = upload(query_values_);
  key_ = upload(key_values_);
  value_ = upload(value_values_);
  output_ = DeviceBuffer(device, query_rows() * head_dim_v * sizeof(std::uint16_t));
  lse_ = DeviceBuffer(device, query_rows() * sizeof(float));
  if (const auto vectors = mask_.startend_row_indices(); !vectors.empty()) {
    vectors_ = DeviceBuffer(device, vectors.size_bytes());
    device->copy_to_device(vectors_.get(), std::as_bytes(vectors), nullptr);
    plan_.emplace(runtime_, mask_.shape(), vectors_.get());
  }
  if (descriptor.pass != Pass::kBackward) return;

  KernelDescriptor forward = descriptor;
  forward.pass = Pass::kForward;
  forward.deterministic = false;
  // The default whatever was tuned: gradients are compared between runs.
  const auto kernel = runtime_.request(forward, {.hint = {}, .config = default_tile_config(forward)});
  prepare(*kernel)->launch();
  device->synchronize(nullptr);
  output_gradient_values_ = values(query_rows() * head_dim_v, 3);
  output_gradient_ = upload(output_gradient_values_);
  query_gradient_ = DeviceBuffer(device, query_values_.size() * sizeof(std::uint16_t));
  key_gradient_ = DeviceBuffer(device, key_values_.size() * sizeof(std::uint16_t));
  value_gradient_ = DeviceBuffer(device, value_values_.size() * sizeof(std::uint16_t));
}

std::size_t BenchTensors::query_rows() const {
  return static_cast<std::size_t>(shape_.batch) * static_cast<std::size_t>(mask_.shape().seqlen_q) *
         static_cast<std::size_t>(shape_.num_heads_q);
}

std::size_t BenchTensors::key_rows() const {
  return static_cast<std::size_t>(shape_.batch) * static_cast<std::size_t>(mask_.shape().seqlen_k) *
         static_cast<std::size_t>(shape_.num_heads_kv);
}

DeviceBuffer BenchTensors::upload(const std::vector<std::uint16_t>& values) {
  DeviceBuffer buffer(runtime_.device(), values.size() * sizeof(std::uint16_t));
  runtime_.device()->copy_to_device(buffer.get(), std::as_bytes(std::span(values)), nullptr);
  return buffer;
}

TensorView BenchTensors::of_queries(const DeviceBuffer& buffer, int head_dim) const {
  return TensorView::contiguous(buffer.get(), mask_.shape().seqlen_q, shape_.num_heads_q, head_dim);
}

TensorView BenchTensors::of_keys(const DeviceBuffer& buffer, int head_dim) const {
  return TensorView::contiguous(buffer.get(), mask_.shape().seqlen_k, shape_.num_heads_kv, head_dim);
}

std::unique_ptr<const PreparedLaunch> BenchTensors::prepare(const Kernel& kernel) {
  const MaskShape& mask = mask_.shape();
  ForwardLaunch forward;
  forward.batch = shape_.batch;
  forward.seqlen_q = mask.seqlen_q;
  forward.seqlen_k = mask.seqlen_k;
  forward.num_heads_q = shape_.num_heads_q;
  forward.num_heads_kv = shape_.num_heads_kv;
  forward.num_heads_mask = mask.num_heads;
  forward.query = of_queries(query_, descriptor_.head_dim_qk);
  forward.key = of_keys(key_, descriptor_.head_dim_qk);
  forward.value = of_keys(value_, descriptor_.head_dim_v);
  forward.output = of_queries(output_, descriptor_.head_dim_v);
  forward.lse = lse_.get();
  forward.startend_row_indices = vectors_.get();
  forward.softmax_scale = softmax_scale_;
  forward.window_left = mask.window_left;
  forward.window_right = mask.window_right;
  if (plan_) forward.plan = plan_->prepare(kernel.tile());
  const auto with_workspace = [&](const auto& arguments) {
    const std::size_t bytes = kernel.workspace_size(arguments);
    if (bytes > workspace_.bytes()) workspace_ = DeviceBuffer(runtime_.device(), bytes);
    return kernel.prepare(arguments, {workspace_.get(), workspace_.bytes()});
  };
  if (kernel.descriptor().pass == Pass::kForward) return with_workspace(forward);

  BackwardLaunch backward;
  backward.forward = forward;
  backward.output_gradient = of_queries(output_gradient_, descriptor_.head_dim_v);
  backward.query_gradient = of_queries(query_gradient_, descriptor_.head_dim_qk);
  backward.key_gradient = of_keys(key_gradient_, descriptor_.head_dim_qk);
  backward.value_gradient = of_keys(value_gradient_, descriptor_.head_dim_v);
  return with_workspace(backward);
}

std::vector<std::uint16_t> BenchTensors::read_results(std::size_t limit) {
  Device& device = *runtime_.device();
  std::vector<std::uint16_t> all;
  if (descriptor_.pass == Pass::kForward) {
    download(device, output_, limit, all);
    return all;
  }
  for (const DeviceBuffer* buffer : {&query_gradient_, &key_gradient_, &value_gradient_})
    download(device, *buffer, limit, all);
  return all;
}

void BenchTensors::spoil_results() {
  constexpr std::uint8_t kOfNan = 0xff;  // all ones are a NaN in both 16-bit types
  for (const DeviceBuffer* buffer : {&query_gradient_, &key_gradient_, &value_gradient_})
    if (descriptor_.pass == Pass::kBackward) runtime_.device()->fill(buffer->get(), kOfNan, buffer->bytes(), nullptr);
  if (descriptor_.pass == Pass::kForward) {
    runtime_.device()->fill(output_.get(), kOfNan, output_.bytes(), nullptr);
    runtime_.device()->fill(lse_.get(), kOfNan, lse_.bytes(), nullptr);
  }
}

reference::ForwardProblem BenchTensors::host_problem() const {
  const MaskShape& mask = mask_.shape();
  reference::ForwardProblem problem;
  problem.dtype = descriptor_.dtype;
  problem.mask_form = descriptor_.mask_form;
  problem.causal_alignment = descriptor_.causal_alignment;
  problem.batch = shape_.batch;
  problem.seqlen_q = mask.seqlen_q;
  problem.seqlen_k = mask.seqlen_k;
  problem.num_heads_q = shape_.num_heads_q;
  problem.num_heads_kv = shape_.num_heads_kv;
  problem.num_heads_mask = mask.num_heads;
  problem.head_dim_qk = descriptor_.head_dim_qk;
  problem.head_dim_v = descriptor_.head_dim_v;
  problem.window_left = mask.window_left;
  problem.window_right = mask.window_right;
  problem.softmax_scale = softmax_scale_;
  problem.query = query_values_;
  problem.key = key_values_;
  problem.value = value_values_;
  problem.startend_row_indices = mask_.startend_row_indices();
  return problem;
}

std::string BenchTensors::compare_with_reference() {
  const std::vector<std::uint16_t> results = read_results();
  if (descriptor_.pass == Pass::kForward) {
    std::vector<float> lse(query_rows());
    runtime_.device()->copy_to_host(std::as_writable_bytes(std::span(lse)), lse_.get(), nullptr);
    const reference::Comparison found = reference::compare(host_problem(), results, lse, 1);
    if (found.passed) return {};
    return fmt::format(
        "the output is off by {:.3g}, {:.3g} are allowed; LSE by {:.3g} of {:.3g}; {} NaNs, {} rows without a key are "
        "wrong",
        found.max_output_error, found.output_bound, found.max_lse_error, found.lse_bound, found.nan_count,
        found.dead_rows_wrong);
  }
  const std::span<const std::uint16_t> all = results;
  const std::size_t queries = query_values_.size();
  const std::size_t keys = key_values_.size();
  reference::BackwardProblem problem;
  problem.forward = host_problem();
  problem.output_gradient = output_gradient_values_;
  const reference::GradientComparison found =
      reference::compare(problem, all.first(queries), all.subspan(queries, keys), all.subspan(queries + keys), 1);
  for (const std::string& wrong : {describe(found.query, "dQ"), describe(found.key, "dK"), describe(found.value, "dV")})
    if (!wrong.empty()) return wrong;
  return {};
}

}  // namespace flashmask::tune
