// Attention with kernels that are part of the program: on the GPU if there is one, else on the emulator.
#include <flashmask/reference.h>
#include <flashmask/runtime.h>

#include <cstdio>

extern "C" const std::byte kernels_begin[], kernels_end[];  // kernels.S

int main() {
  using namespace flashmask;
  std::shared_ptr<Device> device;
  try {
    device = open_cuda_device();
  } catch (const Error&) {
    device = open_emulated_device();
  }
  Policy policy;  // nothing of the environment, no cache directory
  policy.no_jit = true;
  policy.embedded_packs = {{kernels_begin, kernels_end}};
  Runtime runtime(device, policy);
  const auto kernel = runtime.request(
      {.head_dim_qk = 64, .head_dim_v = 64, .mask_form = MaskForm::kCausal, .target = device->properties().target});

  // Values of 1 give outputs of 1 whatever the scores are, for the weights of a row sum to 1.
  const int tokens = 100, heads = 2;
  const std::vector<std::uint16_t> ones(tokens * heads * 64, reference::from_float(1.0f, DataType::kBfloat16));
  const DeviceBuffer input(device, ones.size() * 2), output(device, ones.size() * 2);
  device->copy_to_device(input.get(), std::as_bytes(std::span(ones)), nullptr);
  ForwardLaunch launch{.batch = 1, .seqlen_q = tokens, .seqlen_k = tokens, .num_heads_q = heads, .num_heads_kv = heads};
  launch.query = launch.key = launch.value = TensorView::contiguous(input.get(), tokens, heads, 64);
  launch.output = TensorView::contiguous(output.get(), tokens, heads, 64);
  launch.softmax_scale = 0.125f;
  const DeviceBuffer workspace(device, kernel->workspace_size(launch));
  kernel->launch(launch, nullptr, {workspace.get(), workspace.bytes()});

  std::vector<std::uint16_t> result(ones.size());
  device->copy_to_host(std::as_writable_bytes(std::span(result)), output.get(), nullptr);
  const RuntimeCounters counters = runtime.counters();
  std::printf("%s on %s: %s; compiled %d, from the program %d\n", to_string(kernel->descriptor()).c_str(),
              device->properties().name.c_str(), result == ones ? "right" : "WRONG", int(counters.compiles),
              int(counters.pack_hits));
  return result == ones ? 0 : 1;
}
