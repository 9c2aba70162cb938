// Causal attention over two packed documents through the installed library: on the GPU if there is one, else on the
// emulator. Prints where the kernel came from and checks the result against fp64.
#include <cmath>
#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include "flashmask/reference.h"
#include "flashmask/runtime.h"

namespace {

std::shared_ptr<flashmask::Device> open_device() {
  try {
    return flashmask::open_cuda_device();
  } catch (const flashmask::Error& error) {
    std::printf("no GPU (%s): using the emulator\n", error.what());
    return flashmask::open_emulated_device();
  }
}

std::vector<std::uint16_t> wave(std::size_t size, float frequency) {
  std::vector<std::uint16_t> values(size);
  for (std::size_t i = 0; i < size; ++i) {
    values[i] =
        flashmask::reference::from_float(std::sin(frequency * static_cast<float>(i)), flashmask::DataType::kBfloat16);
  }
  return values;
}

template <typename T>
flashmask::DeviceBuffer upload(const std::shared_ptr<flashmask::Device>& device, const std::vector<T>& values) {
  flashmask::DeviceBuffer buffer(device, values.size() * sizeof(T));
  device->copy_to_device(buffer.get(), std::as_bytes(std::span(values)), nullptr);
  return buffer;
}

int run() {
  using flashmask::TensorView;
  constexpr int kTokens = 96, kFirstDocument = 40, kHeads = 2, kHeadDim = 64;
  const auto device = open_device();

  flashmask::KernelDescriptor descriptor;
  descriptor.head_dim_qk = descriptor.head_dim_v = kHeadDim;
  descriptor.mask_form = flashmask::MaskForm::kC1;  // causal, and each key is seen up to the end of its document
  descriptor.target = device->properties().target;

  const std::size_t size = std::size_t{kTokens} * kHeads * kHeadDim;
  const auto query = wave(size, 0.37f), key = wave(size, 0.71f), value = wave(size, 0.13f);
  std::vector<std::int32_t> document_end(kTokens, kTokens);
  for (int token = 0; token < kFirstDocument; ++token) document_end[token] = kFirstDocument;

  const auto device_query = upload(device, query), device_key = upload(device, key),
             device_value = upload(device, value);
  const auto device_mask = upload(device, document_end);
  const flashmask::DeviceBuffer device_output(device, size * 2), device_lse(device, kHeads * kTokens * 4);

  flashmask::ForwardLaunch launch;
  launch.batch = 1;
  launch.seqlen_q = launch.seqlen_k = kTokens;
  launch.num_heads_q = launch.num_heads_kv = kHeads;
  launch.query = TensorView::contiguous(device_query.get(), kTokens, kHeads, kHeadDim);
  launch.key = TensorView::contiguous(device_key.get(), kTokens, kHeads, kHeadDim);
  launch.value = TensorView::contiguous(device_value.get(), kTokens, kHeads, kHeadDim);
  launch.output = TensorView::contiguous(device_output.get(), kTokens, kHeads, kHeadDim);
  launch.lse = device_lse.get();
  launch.startend_row_indices = device_mask.get();
  launch.softmax_scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));

  flashmask::Runtime runtime(device);
  const auto kernel = runtime.request(descriptor);
  const flashmask::DeviceBuffer workspace(device, kernel->workspace_size(launch));
  kernel->launch(launch, nullptr, {workspace.get(), workspace.bytes()});

  std::vector<std::uint16_t> output(size);
  std::vector<float> lse(std::size_t{kHeads} * kTokens);
  device->copy_to_host(std::as_writable_bytes(std::span(output)), device_output.get(), nullptr);
  device->copy_to_host(std::as_writable_bytes(std::span(lse)), device_lse.get(), nullptr);

  flashmask::reference::ForwardProblem problem;
  problem.mask_form = descriptor.mask_form;
  problem.batch = 1;
  problem.seqlen_q = problem.seqlen_k = kTokens;
  problem.num_heads_q = problem.num_heads_kv = kHeads;
  problem.head_dim_qk = problem.head_dim_v = kHeadDim;
  problem.softmax_scale = launch.softmax_scale;
  problem.query = query;
  problem.key = key;
  problem.value = value;
  problem.startend_row_indices = document_end;
  const auto comparison = flashmask::reference::compare(problem, output, lse);
  const auto origin = flashmask::to_string(kernel->origin());
  std::printf("flashmask %s on %s, kernel from %.*s: max error %.2e of %.2e allowed: %s\n", flashmask::version(),
              device->properties().name.c_str(), static_cast<int>(origin.size()), origin.data(),
              comparison.max_output_error, comparison.output_bound, comparison.passed ? "passed" : "FAILED");
  return comparison.passed ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const flashmask::Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
    return 1;
  }
}
