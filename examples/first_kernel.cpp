// Causal attention with one descriptor: the example of the README.
#include <cstdio>

#include "flashmask/reference.h"
#include "flashmask/runtime.h"

int main() {
  using namespace flashmask;
  const auto device = open_emulated_device();  // or open_cuda_device()
  Runtime runtime(device);
  const auto kernel = runtime.request(
      {.head_dim_qk = 64, .head_dim_v = 64, .mask_form = MaskForm::kCausal, .target = device->properties().target});

  const int tokens = 256, heads = 4;
  const std::vector<std::uint16_t> ones(tokens * heads * 64, reference::from_float(1.0f, DataType::kBfloat16));
  const DeviceBuffer input(device, ones.size() * 2), output(device, ones.size() * 2);
  device->copy_to_device(input.get(), std::as_bytes(std::span(ones)), nullptr);

  ForwardLaunch launch{.batch = 1, .seqlen_q = tokens, .seqlen_k = tokens, .num_heads_q = heads, .num_heads_kv = heads};
  launch.query = launch.key = launch.value = TensorView::contiguous(input.get(), tokens, heads, 64);
  launch.output = TensorView::contiguous(output.get(), tokens, heads, 64);
  launch.softmax_scale = 0.125f;
  const DeviceBuffer workspace(device, kernel->workspace_size(launch));  // of some kernels 0 bytes
  kernel->launch(launch, nullptr, {workspace.get(), workspace.bytes()});

  std::uint16_t first = 0;
  device->copy_to_host(std::as_writable_bytes(std::span(&first, 1)), output.get(), nullptr);
  std::printf("%s: %g\n", to_string(kernel->descriptor()).c_str(), reference::to_float(first, DataType::kBfloat16));
}
