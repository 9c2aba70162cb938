/* Compiled as C99 with -pedantic: the header must be plain C. Each function returns 0, or the line that failed. */
#include "c_interface.h"

#include <stdio.h>
#include <string.h>

#include "flashmask/flashmask.h"

#define REQUIRE(condition)                                                                                 \
  do {                                                                                                     \
    if (!(condition)) {                                                                                    \
      fprintf(stderr, "line %d: %s\n  %s\n  %s\n", __LINE__, #condition, fm_last_error(), fm_last_hint()); \
      return __LINE__;                                                                                     \
    }                                                                                                      \
  } while (0)

int c_versions_and_names(void) {
  REQUIRE(strcmp(fm_version(), "") != 0);
  REQUIRE(strcmp(fm_status_name(FM_NOT_CACHED), "not cached") == 0);
  REQUIRE(strcmp(fm_status_name(77), "unknown status") == 0);
  return 0;
}

int c_bad_input_is_a_status_and_a_text(const char* cache_directory) {
  fm_policy policy;
  fm_device* device = NULL;
  fm_runtime* runtime = NULL;
  fm_kernel* kernel = NULL;
  fm_descriptor descriptor;
  fm_tile_config config;
  fm_counters counters;
  fm_origin origin = FM_FROM_MEMORY;
  struct {
    fm_descriptor known;
    int unknown;
  } newer;

  REQUIRE(fm_device_open_emulator("sm_1", 0, &device) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "sm_1") != NULL);
  REQUIRE(fm_device_open_emulator("sm_80", 0, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "device is null") != NULL);
  REQUIRE(fm_runtime_create(NULL, NULL, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(fm_init_policy(NULL, sizeof policy) == FM_INVALID_ARGUMENT);
  REQUIRE(fm_init_policy(&policy, 1) == FM_INVALID_ARGUMENT);

  fm_init_policy(&policy, sizeof policy);
  policy.struct_size = 0;
  REQUIRE(fm_runtime_create(NULL, &policy, &runtime) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "struct_size") != NULL);
  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = "relative";
  REQUIRE(fm_runtime_create(NULL, &policy, &runtime) == FM_INVALID_ARGUMENT);
  policy.cache_directory = cache_directory;
  policy.log_level = 9;
  REQUIRE(fm_runtime_create(NULL, &policy, &runtime) == FM_INVALID_ARGUMENT);
  policy.log_level = FM_LOG_OFF;
  policy.no_jit = 1;
  REQUIRE(fm_runtime_create(NULL, &policy, &runtime) == FM_OK);

  fm_init_descriptor(&descriptor, sizeof descriptor);
  REQUIRE(fm_runtime_compile(runtime, &descriptor, NULL, &origin) == FM_INVALID_ARGUMENT); /* no target, no device */
  descriptor.target = "sm_80";
  REQUIRE(fm_runtime_request(runtime, &descriptor, NULL, &kernel) == FM_INVALID_ARGUMENT); /* no device */
  REQUIRE(fm_runtime_compile(runtime, &descriptor, NULL, &origin) == FM_NOT_CACHED);
  REQUIRE(strstr(fm_last_hint(), "flashmask compile") != NULL);
  descriptor.head_dim_qk = 100;
  REQUIRE(fm_runtime_compile(runtime, &descriptor, NULL, &origin) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "100") != NULL);
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.mask_form = 12;
  REQUIRE(fm_runtime_compile(runtime, &descriptor, NULL, &origin) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "mask_form = 12") != NULL);

  memset(&newer, 0, sizeof newer);
  fm_init_descriptor(&newer.known, sizeof newer.known);
  newer.known.target = "sm_80";
  newer.known.struct_size = sizeof newer;
  REQUIRE(fm_runtime_compile(runtime, &newer.known, NULL, &origin) == FM_NOT_CACHED); /* zeros may be heeded */
  newer.unknown = 1;
  REQUIRE(fm_runtime_compile(runtime, &newer.known, NULL, &origin) == FM_INVALID_ARGUMENT);

  config.struct_size = sizeof config;
  REQUIRE(fm_tile_config_parse("128x64,w4,s2,turns,q2", &config) == FM_OK);
  REQUIRE(config.tile_q == 128 && config.tile_k == 64 && config.warps == 4 && config.stages == 2);
  REQUIRE(!config.query_in_registers && !config.overlap && config.turns && config.query_slots == 2);
  REQUIRE(fm_tile_config_parse("128x64,w4", &config) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "\"128x64,w4\"") != NULL);
  REQUIRE(fm_tile_config_parse(NULL, &config) == FM_INVALID_ARGUMENT);

  counters.struct_size = sizeof counters;
  REQUIRE(fm_runtime_get_counters(runtime, &counters) == FM_OK);
  REQUIRE(counters.requests == 4 && counters.compiles == 0);
  REQUIRE(fm_kernel_launch_forward(NULL, NULL, 0, NULL) == FM_INVALID_ARGUMENT);
  fm_kernel_release(NULL);
  fm_device_release(NULL);
  fm_runtime_release(runtime);
  return 0;
}

static fm_tensor packed(uint64_t data, int64_t seqlen, int64_t heads, int64_t head_dim) {
  fm_tensor tensor;
  tensor.data = data;
  tensor.stride_batch = seqlen * heads * head_dim;
  tensor.stride_seqlen = heads * head_dim;
  tensor.stride_head = head_dim;
  return tensor;
}

/* One query, two equal keys, values 1 and 3: the output is their mean, 2, and the log-sum-exp is log 2 (scores are 0).
 */
int c_forward_on_the_emulator(const char* cache_directory, const char* target, int needs_workspace) {
  enum { kDim = 32 };
  const uint16_t one = 0x3c00, two = 0x4000, three = 0x4200; /* fp16 */
  uint16_t zeros[2 * kDim], values[2 * kDim], output[kDim];
  float lse = -1;
  uint64_t query = 0, key = 0, value = 0, out = 0, lse_out = 0, workspace = 0;
  size_t workspace_bytes = 1;
  int i;
  fm_policy policy;
  fm_device* device = NULL;
  fm_runtime* runtime = NULL;
  fm_kernel* kernel = NULL;
  fm_descriptor descriptor;
  fm_forward_args args;
  fm_device_info device_info;
  fm_tile_config config;
  fm_kernel_info kernel_info;

  for (i = 0; i < kDim; ++i) {
    zeros[i] = zeros[kDim + i] = 0;
    values[i] = one;
    values[kDim + i] = three;
  }
  REQUIRE(fm_device_open_emulator(target, 1, &device) == FM_OK);
  device_info.struct_size = sizeof device_info;
  REQUIRE(fm_device_get_info(device, &device_info) == FM_OK);
  REQUIRE(device_info.is_emulator && strcmp(device_info.target, target) == 0);
  REQUIRE(fm_device_alloc(device, sizeof zeros / 2, &query) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof zeros, &key) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof values, &value) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof output, &out) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof lse, &lse_out) == FM_OK);
  REQUIRE(fm_device_copy_in(device, query, zeros, sizeof zeros / 2, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, key, zeros, sizeof zeros, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, value, values, sizeof values, NULL) == FM_OK);

  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = cache_directory;
  REQUIRE(fm_runtime_create(device, &policy, &runtime) == FM_OK);
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.dtype = FM_FLOAT16;
  descriptor.head_dim_qk = kDim;
  descriptor.head_dim_v = kDim;
  REQUIRE(fm_runtime_request(runtime, &descriptor, NULL, &kernel) == FM_OK);
  /* Whoever made it may leave first. */
  fm_runtime_release(runtime);
  kernel_info.struct_size = sizeof kernel_info;
  REQUIRE(fm_kernel_get_info(kernel, &kernel_info) == FM_OK);
  REQUIRE(strlen(kernel_info.digest) == 64 && kernel_info.registers > 0 && kernel_info.tile_q > 0);
  config.struct_size = sizeof config;
  REQUIRE(fm_tile_config_parse(kernel_info.config, &config) == FM_OK);
  REQUIRE(config.tile_q == kernel_info.tile_q && config.stages == kernel_info.stages);

  fm_init_forward_args(&args, sizeof args);
  args.batch = 1;
  args.seqlen_q = 1;
  args.seqlen_k = 2;
  args.num_heads_q = 1;
  args.num_heads_kv = 1;
  REQUIRE(fm_kernel_workspace_size(kernel, &args, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(fm_kernel_workspace_size(kernel, &args, &workspace_bytes) == FM_OK); /* no address yet */
  REQUIRE((workspace_bytes > 0) == needs_workspace);
  if (needs_workspace) REQUIRE(fm_device_alloc(device, workspace_bytes, &workspace) == FM_OK);
  args.query = packed(query, 1, 1, kDim);
  args.key = packed(key, 2, 1, kDim);
  args.value = packed(value, 2, 1, kDim);
  args.output = packed(out, 1, 1, kDim);
  args.lse = lse_out;
  REQUIRE(fm_kernel_launch_forward(kernel, &args, workspace, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "softmax_scale") != NULL);
  args.softmax_scale = 0.25f;
  if (needs_workspace) {
    REQUIRE(fm_kernel_launch_forward(kernel, &args, 0, NULL) == FM_INVALID_ARGUMENT);
    REQUIRE(strstr(fm_last_error(), "the workspace is null") != NULL);
  }
  REQUIRE(fm_kernel_launch_forward(kernel, &args, workspace, NULL) == FM_OK);
  REQUIRE(fm_device_synchronize(device, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, output, out, sizeof output, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, &lse, lse_out, sizeof lse, NULL) == FM_OK);
  for (i = 0; i < kDim; ++i) REQUIRE(output[i] == two);
  REQUIRE(lse > 0.6931f && lse < 0.6932f);
  REQUIRE(fm_device_free(device, query) == FM_OK);
  fm_device_release(device);
  fm_kernel_release(kernel);
  return 0;
}

/* A forward's kernel stands for all kernels that a backward is not for. */
int c_backward_arguments_are_checked(const char* cache_directory) {
  size_t workspace = 7;
  fm_policy policy;
  fm_device* device = NULL;
  fm_runtime* runtime = NULL;
  fm_kernel* kernel = NULL;
  fm_descriptor descriptor;
  fm_forward_args forward;
  fm_backward_args args;

  REQUIRE(fm_device_open_emulator("sm_80", 0, &device) == FM_OK);
  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = cache_directory;
  REQUIRE(fm_runtime_create(device, &policy, &runtime) == FM_OK);
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.head_dim_qk = 32;
  descriptor.head_dim_v = 32;
  REQUIRE(fm_runtime_request(runtime, &descriptor, NULL, &kernel) == FM_OK);

  fm_init_forward_args(&forward, sizeof forward);
  fm_init_backward_args(&args, sizeof args);
  REQUIRE(args.struct_size == sizeof args && args.forward == NULL && args.lse_gradient == 0);
  REQUIRE(fm_kernel_launch_backward(NULL, &args, 0, 0, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "kernel is null") != NULL);
  REQUIRE(fm_kernel_launch_backward(kernel, NULL, 0, 0, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "fm_backward_args is null") != NULL);
  REQUIRE(fm_kernel_launch_backward(kernel, &args, 0, 0, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "fm_backward_args.forward is null") != NULL);
  args.forward = &forward;
  args.struct_size = 0;
  REQUIRE(fm_kernel_launch_backward(kernel, &args, 0, 0, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "fm_backward_args.struct_size = 0") != NULL);
  args.struct_size = sizeof args;
  forward.struct_size = 0;
  REQUIRE(fm_kernel_launch_backward(kernel, &args, 0, 0, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "fm_forward_args.struct_size = 0") != NULL);
  forward.struct_size = sizeof forward;
  REQUIRE(fm_kernel_launch_backward(kernel, &args, 0, 0, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "is given the arguments of a backward launch") != NULL);
  REQUIRE(strstr(fm_last_hint(), "pass is backward") != NULL);
  REQUIRE(fm_kernel_backward_workspace_size(kernel, &args, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "bytes is null") != NULL);
  REQUIRE(fm_kernel_backward_workspace_size(kernel, &args, &workspace) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "is given the arguments of a backward launch") != NULL && workspace == 7);

  fm_kernel_release(kernel);
  fm_runtime_release(runtime);
  fm_device_release(device);
  return 0;
}

/* One query that is 1 in its first half, two keys that are 1 and 3 in their second: scores 0, P = 1/2. Values 1 and 3,
 * dO = 1: O = 2, dV = 1/2, dP = 32 and 96, D = 64 and so dS = -16 and 16. A dLSE of 32 makes it 0 and 32. */
int c_backward_on_the_emulator(const char* cache_directory) {
  enum { kDim = 32, kHalf = 16 };
  const uint16_t one = 0x3c00, two = 0x4000, three = 0x4200, half = 0x3800; /* fp16 */
  const uint16_t four = 0x4400, eight = 0x4800, twenty_four = 0x4e00, minus = 0x8000;
  const float lse_gradient = 32;
  uint16_t query[kDim], keys[2 * kDim], values[2 * kDim], ones[kDim], output[kDim];
  uint16_t query_gradient[kDim], key_gradient[2 * kDim], value_gradient[2 * kDim];
  uint64_t inputs[5], results[5], workspace = 0;
  size_t workspace_bytes = 0;
  int i;
  fm_policy policy;
  fm_device* device = NULL;
  fm_runtime* runtime = NULL;
  fm_kernel *forward_kernel = NULL, *backward_kernel = NULL;
  fm_descriptor descriptor;
  fm_forward_args forward;
  fm_backward_args args;

  for (i = 0; i < kDim; ++i) {
    query[i] = i < kHalf ? one : 0;
    keys[i] = i < kHalf ? 0 : one;
    keys[kDim + i] = i < kHalf ? 0 : three;
    values[i] = ones[i] = one;
    values[kDim + i] = three;
  }
  REQUIRE(fm_device_open_emulator("sm_80", 1, &device) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof query, &inputs[0]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof keys, &inputs[1]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof values, &inputs[2]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof ones, &inputs[3]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof lse_gradient, &inputs[4]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof output, &results[0]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof(float), &results[1]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof query_gradient, &results[2]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof key_gradient, &results[3]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof value_gradient, &results[4]) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[0], query, sizeof query, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[1], keys, sizeof keys, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[2], values, sizeof values, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[3], ones, sizeof ones, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[4], &lse_gradient, sizeof lse_gradient, NULL) == FM_OK);

  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = cache_directory;
  REQUIRE(fm_runtime_create(device, &policy, &runtime) == FM_OK);
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.dtype = FM_FLOAT16;
  descriptor.head_dim_qk = kDim;
  descriptor.head_dim_v = kDim;
  REQUIRE(fm_runtime_request(runtime, &descriptor, NULL, &forward_kernel) == FM_OK);
  descriptor.pass = FM_PASS_BACKWARD;
  descriptor.deterministic = 1;
  REQUIRE(fm_runtime_request(runtime, &descriptor, NULL, &backward_kernel) == FM_OK);

  fm_init_forward_args(&forward, sizeof forward);
  forward.batch = 1;
  forward.seqlen_q = 1;
  forward.seqlen_k = 2;
  forward.num_heads_q = 1;
  forward.num_heads_kv = 1;
  forward.softmax_scale = 0.25f;
  fm_init_backward_args(&args, sizeof args);
  args.forward = &forward;
  REQUIRE(fm_kernel_backward_workspace_size(backward_kernel, &args, &workspace_bytes) == FM_OK); /* no address yet */
  forward.query = packed(inputs[0], 1, 1, kDim);
  forward.key = packed(inputs[1], 2, 1, kDim);
  forward.value = packed(inputs[2], 2, 1, kDim);
  forward.output = packed(results[0], 1, 1, kDim);
  forward.lse = results[1];
  args.output_gradient = packed(inputs[3], 1, 1, kDim);
  args.query_gradient = packed(results[2], 1, 1, kDim);
  args.key_gradient = packed(results[3], 2, 1, kDim);
  args.value_gradient = packed(results[4], 2, 1, kDim);
  REQUIRE(fm_kernel_launch_forward(forward_kernel, &forward, 0, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, output, results[0], sizeof output, NULL) == FM_OK);
  for (i = 0; i < kDim; ++i) REQUIRE(output[i] == two);

  if (workspace_bytes > 0) {
    REQUIRE(fm_device_alloc(device, workspace_bytes, &workspace) == FM_OK);
    REQUIRE(fm_kernel_launch_backward(backward_kernel, &args, workspace, workspace_bytes - 1, NULL) ==
            FM_INVALID_ARGUMENT);
    REQUIRE(strstr(fm_last_error(), "the workspace has") != NULL);
  }
  REQUIRE(fm_kernel_launch_backward(backward_kernel, &args, workspace, workspace_bytes, NULL) == FM_OK);
  REQUIRE(fm_device_synchronize(device, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, query_gradient, results[2], sizeof query_gradient, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, key_gradient, results[3], sizeof key_gradient, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, value_gradient, results[4], sizeof value_gradient, NULL) == FM_OK);
  for (i = 0; i < kDim; ++i) {
    REQUIRE(value_gradient[i] == half && value_gradient[kDim + i] == half);
    REQUIRE(i < kHalf ? query_gradient[i] << 1 == 0 : query_gradient[i] == eight);
    REQUIRE(i < kHalf ? key_gradient[i] == (four | minus) : key_gradient[i] << 1 == 0);
    REQUIRE(i < kHalf ? key_gradient[kDim + i] == four : key_gradient[kDim + i] << 1 == 0);
  }

  args.lse_gradient = inputs[4];
  REQUIRE(fm_kernel_launch_backward(backward_kernel, &args, workspace, workspace_bytes, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, query_gradient, results[2], sizeof query_gradient, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, key_gradient, results[3], sizeof key_gradient, NULL) == FM_OK);
  for (i = kHalf; i < kDim; ++i) REQUIRE(query_gradient[i] == twenty_four);
  for (i = 0; i < kHalf; ++i) REQUIRE(key_gradient[kDim + i] == eight);

  args.query_gradient.data = inputs[0];
  REQUIRE(fm_kernel_launch_backward(backward_kernel, &args, workspace, workspace_bytes, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "query_gradient overlaps query") != NULL);
  fm_kernel_release(forward_kernel);
  fm_kernel_release(backward_kernel);
  fm_runtime_release(runtime);
  fm_device_release(device);
  return 0;
}

/* Two documents of 2 and 3 tokens, from their lengths and from their ids, and two windows. */
int c_masks_written_on_the_emulator(const char* cache_directory) {
  enum { kTokens = 5 };
  const int32_t sums[3] = {0, 2, 5}, ids[kTokens] = {7, 7, 1, 1, 1};
  const int32_t ends[kTokens] = {2, 2, 5, 5, 5}, starts[kTokens] = {0, 0, 2, 2, 2};
  int32_t values[2 * kTokens];
  uint64_t device_sums = 0, device_ids = 0, indices = 0, plan = 0;
  size_t bytes = 0, plan_bytes = 0;
  int i;
  fm_policy policy;
  fm_device* device = NULL;
  fm_runtime* runtime = NULL;
  fm_mask_shape mask;
  fm_plan_summary summary;

  REQUIRE(fm_device_open_emulator("sm_80", 1, &device) == FM_OK);
  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = cache_directory;
  REQUIRE(fm_runtime_create(device, &policy, &runtime) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof sums, &device_sums) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof ids, &device_ids) == FM_OK);
  REQUIRE(fm_device_copy_in(device, device_sums, sums, sizeof sums, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, device_ids, ids, sizeof ids, NULL) == FM_OK);

  fm_init_mask_shape(&mask, sizeof mask);
  mask.seqlen_q = kTokens;
  mask.seqlen_k = kTokens;
  REQUIRE(fm_mask_bytes(&mask, &bytes) == FM_INVALID_ARGUMENT); /* form none */
  mask.form = FM_MASK_F2;
  REQUIRE(fm_mask_bytes(&mask, &bytes) == FM_OK && bytes == sizeof values);
  REQUIRE(fm_device_alloc(device, bytes, &indices) == FM_OK);
  REQUIRE(fm_mask_documents(runtime, &mask, device_sums, 2, indices, bytes - 1, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "has 39 bytes") != NULL);
  REQUIRE(fm_mask_documents(NULL, &mask, device_sums, 2, indices, bytes, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(fm_mask_sliding_window(runtime, &mask, 2, indices, bytes, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "form f2: this one is c1") != NULL);
  mask.num_heads = 2;
  REQUIRE(fm_mask_documents(runtime, &mask, device_sums, 2, indices, bytes, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "num_heads = 2") != NULL);
  mask.num_heads = 1;

  REQUIRE(fm_mask_documents(runtime, &mask, device_sums, 2, indices, bytes, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, values, indices, bytes, NULL) == FM_OK);
  for (i = 0; i < kTokens; ++i) REQUIRE(values[2 * i] == ends[i] && values[2 * i + 1] == starts[i]);
  REQUIRE(fm_plan_size(&mask, 16, 16, &plan_bytes) == FM_OK);
  REQUIRE(fm_device_alloc(device, plan_bytes, &plan) == FM_OK);
  REQUIRE(fm_plan_build(runtime, &mask, 16, 16, indices, plan, plan_bytes, NULL) == FM_OK);
  summary.struct_size = sizeof summary;
  REQUIRE(fm_plan_analyse(runtime, &mask, 16, 16, plan, plan_bytes, NULL, &summary) == FM_OK);
  REQUIRE(summary.partial_tiles == 1 && summary.full_tiles == 0 && summary.empty_tiles == 0);

  REQUIRE(fm_mask_window_as_intervals(runtime, &mask, 1, 0, 9, indices, bytes, NULL) == FM_INVALID_ARGUMENT);
  REQUIRE(fm_mask_window_as_intervals(runtime, &mask, 1, 0, FM_BOTTOM_RIGHT, indices, bytes, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, values, indices, bytes, NULL) == FM_OK);
  for (i = 0; i < kTokens; ++i) REQUIRE(values[2 * i] == (i + 2 < kTokens ? i + 2 : kTokens) && values[2 * i + 1] == i);

  mask.form = FM_MASK_C1;
  REQUIRE(fm_mask_bytes(&mask, &bytes) == FM_OK && bytes == sizeof values / 2);
  REQUIRE(fm_mask_documents_by_ids(runtime, &mask, device_ids, indices, bytes, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, values, indices, bytes, NULL) == FM_OK);
  for (i = 0; i < kTokens; ++i) REQUIRE(values[i] == ends[i]);
  REQUIRE(fm_mask_sliding_window(runtime, &mask, 3, indices, bytes, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, values, indices, bytes, NULL) == FM_OK);
  for (i = 0; i < kTokens; ++i) REQUIRE(values[i] == (i + 3 < kTokens ? i + 3 : kTokens));

  mask.form = FM_MASK_F4;
  REQUIRE(fm_mask_documents_by_ids(runtime, &mask, device_ids, indices, bytes, NULL) == FM_INVALID_ARGUMENT);
  fm_runtime_release(runtime);
  fm_device_release(device);
  return 0;
}

/* One query and two equal keys: P = 1/2, the output is the mean of the values, and with dO = 1 dV = 1/2. */
int c_prepared_launches_on_the_emulator(const char* cache_directory, const char* target) {
  enum { kDim = 32 };
  const uint16_t one = 0x3c00, two = 0x4000, three = 0x4200, half = 0x3800; /* fp16 */
  uint16_t zeros[2 * kDim], values[2 * kDim], ones[kDim], output[kDim], value_gradient[2 * kDim];
  uint64_t inputs[4], results[5], forward_workspace = 0, backward_workspace = 0;
  size_t forward_bytes = 0, backward_bytes = 0;
  int i;
  fm_policy policy;
  fm_device* device = NULL;
  fm_runtime* runtime = NULL;
  fm_kernel *forward_kernel = NULL, *backward_kernel = NULL;
  fm_prepared *forward_launch = NULL, *backward_launch = NULL;
  fm_descriptor descriptor;
  fm_forward_args forward;
  fm_backward_args backward;

  for (i = 0; i < kDim; ++i) {
    zeros[i] = zeros[kDim + i] = 0;
    values[i] = ones[i] = one;
    values[kDim + i] = three;
  }
  REQUIRE(fm_device_open_emulator(target, 1, &device) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof zeros / 2, &inputs[0]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof zeros, &inputs[1]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof values, &inputs[2]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof ones, &inputs[3]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof output, &results[0]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof(float), &results[1]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof output, &results[2]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof value_gradient, &results[3]) == FM_OK);
  REQUIRE(fm_device_alloc(device, sizeof value_gradient, &results[4]) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[0], zeros, sizeof zeros / 2, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[1], zeros, sizeof zeros, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[2], values, sizeof values, NULL) == FM_OK);
  REQUIRE(fm_device_copy_in(device, inputs[3], ones, sizeof ones, NULL) == FM_OK);

  fm_init_policy(&policy, sizeof policy);
  policy.cache_directory = cache_directory;
  REQUIRE(fm_runtime_create(device, &policy, &runtime) == FM_OK);
  fm_init_descriptor(&descriptor, sizeof descriptor);
  descriptor.dtype = FM_FLOAT16;
  descriptor.head_dim_qk = kDim;
  descriptor.head_dim_v = kDim;
  REQUIRE(fm_runtime_request(runtime, &descriptor, NULL, &forward_kernel) == FM_OK);
  descriptor.pass = FM_PASS_BACKWARD;
  REQUIRE(fm_runtime_request(runtime, &descriptor, NULL, &backward_kernel) == FM_OK);

  fm_init_forward_args(&forward, sizeof forward);
  forward.batch = 1;
  forward.seqlen_q = 1;
  forward.seqlen_k = 2;
  forward.num_heads_q = 1;
  forward.num_heads_kv = 1;
  forward.query = packed(inputs[0], 1, 1, kDim);
  forward.key = packed(inputs[1], 2, 1, kDim);
  forward.value = packed(inputs[2], 2, 1, kDim);
  forward.output = packed(results[0], 1, 1, kDim);
  forward.lse = results[1];
  fm_init_backward_args(&backward, sizeof backward);
  backward.forward = &forward;
  backward.output_gradient = packed(inputs[3], 1, 1, kDim);
  backward.query_gradient = packed(results[2], 1, 1, kDim);
  backward.key_gradient = packed(results[3], 2, 1, kDim);
  backward.value_gradient = packed(results[4], 2, 1, kDim);
  REQUIRE(fm_kernel_workspace_size(forward_kernel, &forward, &forward_bytes) == FM_OK);
  if (forward_bytes > 0) REQUIRE(fm_device_alloc(device, forward_bytes, &forward_workspace) == FM_OK);
  REQUIRE(fm_kernel_backward_workspace_size(backward_kernel, &backward, &backward_bytes) == FM_OK);
  REQUIRE(fm_device_alloc(device, backward_bytes, &backward_workspace) == FM_OK);

  REQUIRE(fm_kernel_prepare_forward(forward_kernel, &forward, forward_workspace, forward_bytes, &forward_launch) ==
          FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "softmax_scale = 0") != NULL && forward_launch == NULL);
  forward.softmax_scale = 0.25f;
  REQUIRE(fm_kernel_prepare_forward(forward_kernel, &forward, forward_workspace, forward_bytes, NULL) ==
          FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "prepared is null") != NULL);
  REQUIRE(fm_kernel_prepare_forward(NULL, &forward, forward_workspace, forward_bytes, &forward_launch) ==
          FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "kernel is null") != NULL);
  REQUIRE(fm_kernel_prepare_forward(backward_kernel, &forward, forward_workspace, forward_bytes, &forward_launch) ==
          FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "is given the arguments of a forward launch") != NULL && forward_launch == NULL);
  REQUIRE(fm_kernel_prepare_backward(backward_kernel, &backward, backward_workspace, backward_bytes - 1,
                                     &backward_launch) == FM_INVALID_ARGUMENT);
  REQUIRE(strstr(fm_last_error(), "the workspace has") != NULL && backward_launch == NULL);
  REQUIRE(fm_kernel_prepare_forward(forward_kernel, &forward, forward_workspace, forward_bytes, &forward_launch) ==
          FM_OK);
  REQUIRE(fm_kernel_prepare_backward(backward_kernel, &backward, backward_workspace, backward_bytes,
                                     &backward_launch) == FM_OK);

  memset(&backward, 0xff, sizeof backward);
  memset(&forward, 0xff, sizeof forward);
  fm_kernel_release(forward_kernel);
  fm_kernel_release(backward_kernel);
  fm_runtime_release(runtime);
  REQUIRE(fm_prepared_launch(forward_launch, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, output, results[0], sizeof output, NULL) == FM_OK);
  for (i = 0; i < kDim; ++i) REQUIRE(output[i] == two);
  REQUIRE(fm_prepared_launch(backward_launch, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, value_gradient, results[4], sizeof value_gradient, NULL) == FM_OK);
  for (i = 0; i < 2 * kDim; ++i) REQUIRE(value_gradient[i] == half);

  /* The same launch of other values. */
  for (i = 0; i < kDim; ++i) values[i] = three;
  REQUIRE(fm_device_copy_in(device, inputs[2], values, sizeof values, NULL) == FM_OK);
  REQUIRE(fm_prepared_launch(forward_launch, NULL) == FM_OK);
  REQUIRE(fm_device_copy_out(device, output, results[0], sizeof output, NULL) == FM_OK);
  for (i = 0; i < kDim; ++i) REQUIRE(output[i] == three);

  REQUIRE(fm_prepared_launch(NULL, NULL) == FM_INVALID_ARGUMENT);
  fm_prepared_release(NULL);
  fm_prepared_release(forward_launch);
  fm_prepared_release(backward_launch);
  fm_device_release(device);
  return 0;
}
