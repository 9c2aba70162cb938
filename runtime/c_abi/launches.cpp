#include "runtime/c_abi/boundary.h"
#include "runtime/c_abi/handles.h"

namespace flashmask::c_abi {
namespace {

fm_forward_args default_forward_args() {
  fm_forward_args args{};
  args.struct_size = sizeof args;
  args.num_heads_mask = 1;
  args.window_left = -1;
  args.window_right = -1;
  return args;
}

fm_backward_args default_backward_args() {
  fm_backward_args args{};
  args.struct_size = sizeof args;
  return args;
}

TensorView view_of(const fm_tensor& tensor) {
  return {tensor.data, tensor.stride_batch, tensor.stride_seqlen, tensor.stride_head};
}

/// The C caller names a plan's memory and tiles; that it is of the launch's mask is taken on trust.
PlanView plan_of(const fm_forward_args& args, const KernelDescriptor& descriptor) {
  if (args.plan == 0) return {};
  return {.data = args.plan,
          .bytes = args.plan_bytes,
          .mask = {.form = descriptor.mask_form,
                   .causal_alignment = descriptor.causal_alignment,
                   .batch = args.batch,
                   .num_heads = args.num_heads_mask,
                   .seqlen_q = args.seqlen_q,
                   .seqlen_k = args.seqlen_k},
          .tile = {args.plan_tile_q, args.plan_tile_k}};
}

ForwardLaunch launch_of(const fm_forward_args* given, const KernelDescriptor& descriptor) {
  const fm_forward_args args = taken(given, default_forward_args(), "fm_forward_args");
  return {.batch = args.batch,
          .seqlen_q = args.seqlen_q,
          .seqlen_k = args.seqlen_k,
          .num_heads_q = args.num_heads_q,
          .num_heads_kv = args.num_heads_kv,
          .num_heads_mask = args.num_heads_mask,
          .query = view_of(args.query),
          .key = view_of(args.key),
          .value = view_of(args.value),
          .output = view_of(args.output),
          .lse = args.lse,
          .startend_row_indices = args.startend_row_indices,
          .softmax_scale = args.softmax_scale,
          .window_left = args.window_left,
          .window_right = args.window_right,
          .plan = plan_of(args, descriptor)};
}

BackwardLaunch launch_of(const fm_backward_args* given, const KernelDescriptor& descriptor) {
  const fm_backward_args args = taken(given, default_backward_args(), "fm_backward_args");
  return {.forward = launch_of(&needed(args.forward, "fm_backward_args.forward"), descriptor),
          .output_gradient = view_of(args.output_gradient),
          .lse_gradient = args.lse_gradient,
          .query_gradient = view_of(args.query_gradient),
          .key_gradient = view_of(args.key_gradient),
          .value_gradient = view_of(args.value_gradient)};
}

/// Of fm_forward_args or fm_backward_args.
template <typename Arguments>
void prepare(const fm_kernel* kernel, const Arguments* args, const Workspace& workspace, fm_prepared** prepared) {
  fm_prepared*& into = needed(prepared, "prepared");
  const Kernel& used = *needed(kernel, "kernel").kernel;
  into = new fm_prepared{used.prepare(launch_of(args, used.descriptor()), workspace)};
}

}  // namespace
}  // namespace flashmask::c_abi

using namespace flashmask::c_abi;

extern "C" {

fm_status fm_init_forward_args(fm_forward_args* args, size_t struct_size) {
  return guarded([&] { initialise(args, struct_size, default_forward_args(), "fm_forward_args"); });
}

fm_status fm_init_backward_args(fm_backward_args* args, size_t struct_size) {
  return guarded([&] { initialise(args, struct_size, default_backward_args(), "fm_backward_args"); });
}

fm_status fm_kernel_workspace_size(const fm_kernel* kernel, const fm_forward_args* args, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    into = used.workspace_size(launch_of(args, used.descriptor()));
  });
}

fm_status fm_kernel_launch_forward(const fm_kernel* kernel, const fm_forward_args* args, uint64_t workspace,
                                   void* stream) {
  return guarded([&] {
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    const flashmask::ForwardLaunch launch = launch_of(args, used.descriptor());
    // The caller has asked for the size, and says nothing of it here.
    used.launch(launch, stream, {.data = workspace, .bytes = used.workspace_size(launch)});
  });
}

fm_status fm_kernel_backward_workspace_size(const fm_kernel* kernel, const fm_backward_args* args, size_t* bytes) {
  return guarded([&] {
    size_t& into = needed(bytes, "bytes");
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    into = used.workspace_size(launch_of(args, used.descriptor()));
  });
}

fm_status fm_kernel_launch_backward(const fm_kernel* kernel, const fm_backward_args* args, uint64_t workspace,
                                    size_t workspace_bytes, void* stream) {
  return guarded([&] {
    const flashmask::Kernel& used = *needed(kernel, "kernel").kernel;
    used.launch(launch_of(args, used.descriptor()), stream, {.data = workspace, .bytes = workspace_bytes});
  });
}

fm_status fm_kernel_prepare_forward(const fm_kernel* kernel, const fm_forward_args* args, uint64_t workspace,
                                    size_t workspace_bytes, fm_prepared** prepared) {
  return guarded([&] { prepare(kernel, args, {.data = workspace, .bytes = workspace_bytes}, prepared); });
}

fm_status fm_kernel_prepare_backward(const fm_kernel* kernel, const fm_backward_args* args, uint64_t workspace,
                                     size_t workspace_bytes, fm_prepared** prepared) {
  return guarded([&] { prepare(kernel, args, {.data = workspace, .bytes = workspace_bytes}, prepared); });
}

fm_status fm_prepared_launch(const fm_prepared* prepared, void* stream) {
  return guarded([&] { needed(prepared, "prepared").launch->launch(stream); });
}

void fm_prepared_release(fm_prepared* prepared) {
  delete prepared;
}

}  // extern "C"
