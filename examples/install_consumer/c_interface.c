/* The C interface of the installed library: causal attention whose values are all 1, so that every output must be 1
 * whatever the scores are, because the weights of a row sum to 1. On the GPU if there is one, else on the emulator. */
#include <flashmask/flashmask.h>
#include <stdio.h>
#include <stdlib.h>

enum { kTokens = 80, kHeads = 2, kHeadDim = 64, kElements = kTokens * kHeads * kHeadDim };
static const uint16_t kOne = 0x3f80; /* 1 as bfloat16 */

static void check(fm_status status, const char* what) {
  if (status == FM_OK) return;
  fprintf(stderr, "%s: %s: %s\n%s\n", what, fm_status_name(status), fm_last_error(), fm_last_hint());
  exit(1);
}

static uint64_t upload(fm_device* device, const uint16_t* values) {
  uint64_t address = 0;
  check(fm_device_alloc(device, kElements * sizeof *values, &address), "allocate");
  check(fm_device_copy_in(device, address, values, kElements * sizeof *values, NULL), "copy in");
  return address;
}

static fm_tensor packed(uint64_t address) {
  const fm_tensor tensor = {address, (int64_t)kElements, kHeads * kHeadDim, kHeadDim};
  return tensor;
}

int main(void) {
  static uint16_t scores[kElements], ones[kElements], output[kElements];
  for (int i = 0; i < kElements; ++i) {
    scores[i] = (uint16_t)(0x3f00 + i % 128); /* 0.5 to 1 */
    ones[i] = kOne;
  }

  fm_device* device = NULL;
  if (fm_device_open_cuda(0, &device) != FM_OK) {
    printf("no GPU (%s): using the emulator\n", fm_last_error());
    check(fm_device_open_emulator(NULL, 0, &device), "open the emulator");
  }
  fm_runtime* runtime = NULL;
  check(fm_runtime_create(device, NULL, &runtime), "create a runtime");

  fm_descriptor descriptor;
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.head_dim_qk = descriptor.head_dim_v = kHeadDim;
  descriptor.mask_form = FM_MASK_CAUSAL;
  fm_kernel* kernel = NULL;
  check(fm_runtime_request(runtime, &descriptor, NULL, &kernel), "request a kernel");

  fm_forward_args launch;
  fm_init_forward_args(&launch, sizeof launch);
  launch.batch = 1;
  launch.seqlen_q = launch.seqlen_k = kTokens;
  launch.num_heads_q = launch.num_heads_kv = kHeads;
  launch.query = packed(upload(device, scores));
  launch.key = packed(upload(device, scores));
  launch.value = packed(upload(device, ones));
  launch.output = packed(upload(device, output));
  launch.softmax_scale = 0.125f;
  size_t workspace_bytes = 0;
  uint64_t workspace = 0;
  check(fm_kernel_workspace_size(kernel, &launch, &workspace_bytes), "ask for the workspace");
  if (workspace_bytes > 0) check(fm_device_alloc(device, workspace_bytes, &workspace), "allocate the workspace");
  check(fm_kernel_launch_forward(kernel, &launch, workspace, NULL), "launch");
  check(fm_device_copy_out(device, output, launch.output.data, sizeof output, NULL), "copy out");

  int wrong = 0;
  for (int i = 0; i < kElements; ++i) wrong += output[i] != kOne;
  printf("flashmask %s through C: %d of %d outputs are 1\n", fm_version(), kElements - wrong, kElements);

  const uint64_t buffers[] = {launch.query.data, launch.key.data, launch.value.data, launch.output.data, workspace};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; ++i) {
    if (buffers[i] != 0) fm_device_free(device, buffers[i]);
  }
  fm_kernel_release(kernel);
  fm_runtime_release(runtime);
  fm_device_release(device);
  return wrong == 0 ? 0 : 1;
}
