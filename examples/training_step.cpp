// A training step of a network of attention alone: the output of each layer is the query of the next, keys and values
// are its parameters, and all layers share one mask of packed documents. The forward of all layers, the backward of all
// layers in reverse, a step against the gradients, and the forward again. Every gradient is compared with fp64, and the
// loss must fall by what the gradients promise.
//
//   training_step [cuda]      without a word: on the emulator
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "flashmask/mask_builders.h"
#include "flashmask/reference.h"
#include "flashmask/runtime.h"

namespace {

using namespace flashmask;
using Elements = std::vector<std::uint16_t>;

constexpr int kLayers = 3, kTokens = 384, kHeads = 4, kKvHeads = 2, kHeadDim = 64;
constexpr DataType kType = DataType::kFloat16;
constexpr float kScale = 0.25f;
constexpr std::size_t kQueryElements = std::size_t{kTokens} * kHeads * kHeadDim;
constexpr std::size_t kKeyElements = std::size_t{kTokens} * kKvHeads * kHeadDim;

Elements normal_values(std::size_t size, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  Elements values(size);
  for (std::uint16_t& value : values) value = reference::from_float(normal(random), kType);
  return values;
}

float number(std::uint16_t bits) {
  return reference::to_float(bits, kType);
}

/// A tensor of this network in device memory.
class Tensor {
 public:
  Tensor(const std::shared_ptr<Device>& device, int heads)
      : device_(device), heads_(heads), buffer_(device, std::size_t{kTokens} * heads * kHeadDim * 2) {}

  TensorView view() const { return TensorView::contiguous(buffer_.get(), kTokens, heads_, kHeadDim); }
  void upload(const Elements& elements) {
    device_->copy_to_device(buffer_.get(), std::as_bytes(std::span(elements)), nullptr);
  }
  Elements download() const {
    Elements elements(buffer_.bytes() / 2);
    device_->copy_to_host(std::as_writable_bytes(std::span(elements)), buffer_.get(), nullptr);
    return elements;
  }

 private:
  std::shared_ptr<Device> device_;
  int heads_;
  DeviceBuffer buffer_;
};

struct Layer {
  explicit Layer(const std::shared_ptr<Device>& device)
      : key(device, kKvHeads),
        value(device, kKvHeads),
        output(device, kHeads),
        lse(device, std::size_t{kHeads} * kTokens * sizeof(float)),
        query_gradient(device, kHeads),
        key_gradient(device, kKvHeads),
        value_gradient(device, kKvHeads) {}

  Tensor key, value;
  Tensor output;  // the backward needs it, and the LSE
  DeviceBuffer lse;
  Tensor query_gradient, key_gradient, value_gradient;
};

class Network {
 public:
  Network(const std::shared_ptr<Device>& device, const Mask& mask, std::mt19937_64& random)
      : mask_(mask),
        runtime_(device),
        forward_(runtime_.request(descriptor(Pass::kForward))),
        backward_(runtime_.request(descriptor(Pass::kBackward))),
        indices_(device, mask.startend_row_indices().size_bytes()),
        plan_(runtime_, mask.shape(), indices_.get()),
        input_(device, kHeads),
        output_gradient_(device, kHeads) {
    device->copy_to_device(indices_.get(), std::as_bytes(mask.startend_row_indices()), nullptr);
    // Once per mask and tile shape; all layers use them.
    forward_plan_ = plan_.prepare(forward_->tile());
    backward_plan_ = plan_.prepare(backward_->tile());
    input_.upload(normal_values(kQueryElements, random));
    for (int i = 0; i < kLayers; ++i) {
      Layer& layer = layers_.emplace_back(device);
      layer.key.upload(normal_values(kKeyElements, random));
      layer.value.upload(normal_values(kKeyElements, random));
    }
    // All layers are of one shape and all launches run one behind the other, so one workspace serves them all.
    workspace_ = DeviceBuffer(device, std::max(forward_->workspace_size(forward_launch(0, forward_plan_)),
                                               backward_->workspace_size(backward_launch(0))));
  }

  void run_forward() const {
    for (int i = 0; i < kLayers; ++i) forward_->launch(forward_launch(i, forward_plan_), nullptr, workspace());
  }
  void run_backward(const Elements& output_gradient) {
    output_gradient_.upload(output_gradient);
    for (int i = kLayers - 1; i >= 0; --i) backward_->launch(backward_launch(i), nullptr, workspace());
  }
  Elements output() const { return layers_.back().output.download(); }
  std::vector<Layer>& layers() { return layers_; }

  /// The gradients of a layer against those of its own inputs in fp64.
  reference::GradientComparison compare(int index) const {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    const Elements query = query_of(index).download(), key = layer.key.download(), value = layer.value.download(),
                   output_gradient = output_gradient_of(index).download();
    const reference::BackwardProblem problem{.forward = {.dtype = kType,
                                                         .mask_form = mask_.shape().form,
                                                         .batch = 1,
                                                         .seqlen_q = kTokens,
                                                         .seqlen_k = kTokens,
                                                         .num_heads_q = kHeads,
                                                         .num_heads_kv = kKvHeads,
                                                         .head_dim_qk = kHeadDim,
                                                         .head_dim_v = kHeadDim,
                                                         .softmax_scale = kScale,
                                                         .query = query,
                                                         .key = key,
                                                         .value = value,
                                                         .startend_row_indices = mask_.startend_row_indices()},
                                             .output_gradient = output_gradient,
                                             .lse_gradient = {}};
    return reference::compare(problem, layer.query_gradient.download(), layer.key_gradient.download(),
                              layer.value_gradient.download());
  }

 private:
  Workspace workspace() const { return {workspace_.get(), workspace_.bytes()}; }
  KernelDescriptor descriptor(Pass pass) const {
    return {.pass = pass,
            .dtype = kType,
            .head_dim_qk = kHeadDim,
            .head_dim_v = kHeadDim,
            .mask_form = mask_.shape().form,
            .target = runtime_.device()->properties().target};
  }
  const Tensor& query_of(int index) const {
    return index == 0 ? input_ : layers_[static_cast<std::size_t>(index - 1)].output;
  }
  const Tensor& output_gradient_of(int index) const {
    return index == kLayers - 1 ? output_gradient_ : layers_[static_cast<std::size_t>(index + 1)].query_gradient;
  }
  ForwardLaunch forward_launch(int index, const PlanView& plan) const {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    return {.batch = 1,
            .seqlen_q = kTokens,
            .seqlen_k = kTokens,
            .num_heads_q = kHeads,
            .num_heads_kv = kKvHeads,
            .query = query_of(index).view(),
            .key = layer.key.view(),
            .value = layer.value.view(),
            .output = layer.output.view(),
            .lse = layer.lse.get(),
            .startend_row_indices = indices_.get(),
            .softmax_scale = kScale,
            .plan = plan};
  }
  BackwardLaunch backward_launch(int index) const {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    return {.forward = forward_launch(index, backward_plan_),
            .output_gradient = output_gradient_of(index).view(),
            .query_gradient = layer.query_gradient.view(),
            .key_gradient = layer.key_gradient.view(),
            .value_gradient = layer.value_gradient.view()};
  }

  const Mask& mask_;
  Runtime runtime_;
  std::shared_ptr<const Kernel> forward_, backward_;
  DeviceBuffer indices_;
  MaskPlan plan_;
  PlanView forward_plan_, backward_plan_;
  Tensor input_, output_gradient_;
  std::vector<Layer> layers_;
  DeviceBuffer workspace_;
};

/// Half the squared distance from the target.
double loss(const Elements& output, const Elements& target) {
  double sum = 0;
  for (std::size_t i = 0; i < output.size(); ++i) {
    const double difference = number(output[i]) - number(target[i]);
    sum += difference * difference / 2;
  }
  return sum;
}

Elements loss_gradient(const Elements& output, const Elements& target) {
  Elements gradient(output.size());
  for (std::size_t i = 0; i < output.size(); ++i)
    gradient[i] = reference::from_float(number(output[i]) - number(target[i]), kType);
  return gradient;
}

double squared_norm(const Elements& elements) {
  double sum = 0;
  for (const std::uint16_t bits : elements) sum += double{number(bits)} * number(bits);
  return sum;
}

void take_step(Tensor& parameter, const Tensor& gradient, double rate) {
  Elements values = parameter.download();
  const Elements slopes = gradient.download();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = reference::from_float(static_cast<float>(number(values[i]) - rate * number(slopes[i])), kType);
  parameter.upload(values);
}

bool print(int layer, const char* name, const reference::GradientError& error) {
  std::printf("layer %d  %s: max error %.3g (allowed %.3g) %s\n", layer, name, error.max_error, error.bound,
              error.passed ? "passed" : "FAILED");
  return error.passed;
}

/// Whether all that is checked holds.
bool train(const std::shared_ptr<Device>& device) {
  std::mt19937_64 random(1);
  const Mask mask = masks::causal_documents(kTokens, {100, 37, 150, 97});
  const Elements target = normal_values(kQueryElements, random);
  Network network(device, mask, random);

  network.run_forward();
  const Elements output = network.output();
  network.run_backward(loss_gradient(output, target));

  bool passed = true;
  double slope = 0;  // of the loss along the gradients
  for (int i = kLayers - 1; i >= 0; --i) {
    const reference::GradientComparison comparison = network.compare(i);
    passed &= print(i, "dq", comparison.query);
    passed &= print(i, "dk", comparison.key);
    passed &= print(i, "dv", comparison.value);
    const Layer& layer = network.layers()[static_cast<std::size_t>(i)];
    slope += squared_norm(layer.key_gradient.download()) + squared_norm(layer.value_gradient.download());
  }

  // So short a step that the loss is nearly straight along it.
  const double before = loss(output, target), promised = 0.002 * before, rate = promised / slope;
  for (Layer& layer : network.layers()) {
    take_step(layer.key, layer.key_gradient, rate);
    take_step(layer.value, layer.value_gradient, rate);
  }
  network.run_forward();
  const double after = loss(network.output(), target), kept = (before - after) / promised;
  std::printf("loss %.1f -> %.1f: the gradients promised %.1f, %.1f %% of it came\n", before, after, promised,
              100 * kept);
  return passed && kept > 0.9 && kept < 1.1;
}

}  // namespace

int main(int argc, char** argv) {
  const bool on_gpu = argc == 2 && std::string_view(argv[1]) == "cuda";
  if (argc > 1 && !on_gpu) {
    std::fputs("usage: training_step [cuda]\n", stderr);
    return 2;
  }
  try {
    const std::shared_ptr<Device> device = on_gpu ? open_cuda_device() : open_emulated_device();
    const bool passed = train(device);
    std::printf("%s on the %s\n", passed ? "passed" : "FAILED", device->properties().name.c_str());
    return passed ? 0 : 1;
  } catch (const Error& error) {
    std::fprintf(stderr, "training_step: %s\n%s\n", error.what(), error.hint().c_str());
    return 1;
  }
}
