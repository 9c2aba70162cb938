#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "flashmask/reference.h"
#include "flashmask/runtime.h"
#include "tests/forward/tested_device.h"

namespace flashmask::testing {

constexpr int kBatch = 2, kSeqlenQ = 100, kSeqlenK = 150, kHeadsQ = 2, kHeadsKv = 1, kDim = 32;
constexpr std::size_t kQueryElements = std::size_t{kBatch} * kSeqlenQ * kHeadsQ * kDim;
constexpr std::size_t kKeyElements = std::size_t{kBatch} * kSeqlenK * kHeadsKv * kDim;
constexpr std::size_t kRows = std::size_t{kBatch} * kSeqlenQ * kHeadsQ;

struct Tested {
  Pass pass;
  Target target;
};

/// Of a backward the deterministic one, whose bits can be compared.
inline KernelDescriptor descriptor_of(const Tested& tested) {
  return {.pass = tested.pass,
          .head_dim_qk = kDim,
          .head_dim_v = kDim,
          .mask_form = MaskForm::kCausal,
          .target = tested.target,
          .deterministic = tested.pass == Pass::kBackward};
}

inline bool is_backward(const Kernel& kernel) {
  return kernel.descriptor().pass == Pass::kBackward;
}

/// The tensors of a forward and of its backward on a device, drawn from N(0, 1). O and LSE are drawn as well: what a
/// backward makes of them means nothing, but is always the same.
class SmallProblem {
 public:
  explicit SmallProblem(std::shared_ptr<Device> device)
      : device_(std::move(device)),
        query_(device_, kQueryElements * 2),
        key_(device_, kKeyElements * 2),
        value_(device_, kKeyElements * 2),
        output_(device_, kQueryElements * 2),
        output_gradient_(device_, kQueryElements * 2),
        lse_(device_, kRows * sizeof(float)),
        query_gradient_(device_, kQueryElements * 2),
        key_gradient_(device_, kKeyElements * 2),
        value_gradient_(device_, kKeyElements * 2) {
    std::mt19937 random(7);
    for (const DeviceBuffer* tensor : {&query_, &key_, &value_, &output_gradient_}) draw(*tensor, random);
  }

  ForwardLaunch forward() const {
    return {.batch = kBatch,
            .seqlen_q = kSeqlenQ,
            .seqlen_k = kSeqlenK,
            .num_heads_q = kHeadsQ,
            .num_heads_kv = kHeadsKv,
            .query = of_queries(query_),
            .key = of_keys(key_),
            .value = of_keys(value_),
            .output = of_queries(output_),
            .lse = lse_.get(),
            .softmax_scale = 0.125f};
  }
  BackwardLaunch backward() const {
    return {.forward = forward(),
            .output_gradient = of_queries(output_gradient_),
            .query_gradient = of_queries(query_gradient_),
            .key_gradient = of_keys(key_gradient_),
            .value_gradient = of_keys(value_gradient_)};
  }
  void draw_other_values() const {
    std::mt19937 random(8);
    draw(value_, random);
  }

  /// Everything that the pass writes holds 0xFF bytes, and what else it reads holds numbers.
  void clear_results(Pass pass) const {
    for (const DeviceBuffer* tensor : results(pass)) device_->fill(tensor->get(), 0xff, tensor->bytes(), nullptr);
    if (pass == Pass::kForward) return;
    std::mt19937 random(9);
    draw(output_, random);
    upload(lse_, std::vector<float>(kRows, 4.0f));
  }
  /// The bytes of all that the pass writes.
  std::vector<std::byte> take_results(Pass pass) const {
    std::vector<std::byte> bytes;
    for (const DeviceBuffer* tensor : results(pass)) {
      const std::size_t begin = bytes.size();
      bytes.resize(begin + tensor->bytes());
      device_->copy_to_host(std::span(bytes).subspan(begin), tensor->get(), nullptr);
    }
    return bytes;
  }

 private:
  std::vector<const DeviceBuffer*> results(Pass pass) const {
    if (pass == Pass::kForward) return {&output_, &lse_};
    return {&query_gradient_, &key_gradient_, &value_gradient_};
  }
  static TensorView of_queries(const DeviceBuffer& tensor) {
    return TensorView::contiguous(tensor.get(), kSeqlenQ, kHeadsQ, kDim);
  }
  static TensorView of_keys(const DeviceBuffer& tensor) {
    return TensorView::contiguous(tensor.get(), kSeqlenK, kHeadsKv, kDim);
  }
  template <typename Element>
  void upload(const DeviceBuffer& into, const std::vector<Element>& elements) const {
    device_->copy_to_device(into.get(), std::as_bytes(std::span(elements)), nullptr);
  }
  void draw(const DeviceBuffer& into, std::mt19937& random) const {
    std::normal_distribution<float> normal;
    std::vector<std::uint16_t> elements(into.bytes() / 2);
    for (std::uint16_t& element : elements) element = reference::from_float(normal(random), DataType::kBfloat16);
    upload(into, elements);
  }

  std::shared_ptr<Device> device_;
  DeviceBuffer query_, key_, value_, output_, output_gradient_, lse_, query_gradient_, key_gradient_, value_gradient_;
};

/// A kernel, and what it is launched with.
class Session {
 public:
  Session(const std::shared_ptr<Device>& device, const Tested& tested)
      : runtime_(std::make_unique<Runtime>(device, forward_tests::tested_policy())),
        kernel_(runtime_->request(descriptor_of(tested))),
        problem_(device),
        workspace_(device, is_backward(*kernel_) ? kernel_->workspace_size(problem_.backward())
                                                 : kernel_->workspace_size(problem_.forward())) {}

  const Kernel& kernel() const { return *kernel_; }
  const SmallProblem& problem() const { return problem_; }
  Workspace workspace() const { return {workspace_.get(), workspace_.bytes()}; }
  void launch(Stream stream = nullptr) const {
    if (is_backward(*kernel_))
      kernel_->launch(problem_.backward(), stream, workspace());
    else
      kernel_->launch(problem_.forward(), stream, workspace());
  }
  std::unique_ptr<const PreparedLaunch> prepare() const {
    return is_backward(*kernel_) ? kernel_->prepare(problem_.backward(), workspace())
                                 : kernel_->prepare(problem_.forward(), workspace());
  }
  void release_kernel_and_runtime() {
    kernel_.reset();
    runtime_.reset();
  }

 private:
  std::unique_ptr<Runtime> runtime_;
  std::shared_ptr<const Kernel> kernel_;
  SmallProblem problem_;
  DeviceBuffer workspace_;
};

}  // namespace flashmask::testing
