#include "runtime/attention_kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "generator/forward_layout.h"

namespace flashmask {

AttentionKernel::AttentionKernel(std::shared_ptr<Device> device, const generator::KernelSource& source,
                                 const StoredKernel& stored, std::string digest)
    : device_(std::move(device)),
      descriptor_(source.descriptor),
      config_(source.config),
      resources_(stored.record.resources),
      origin_(stored.origin),
      digest_(std::move(digest)) {}

void AttentionKernel::refuse_broken(const std::vector<std::string>& rules) const {
  if (rules.empty()) [[likely]]
    return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("the launch of \"{}\" breaks {}:\n  {}", to_string(descriptor_),
                  rules.size() == 1 ? "a rule" : fmt::format("{} rules", rules.size()), fmt::join(rules, "\n  ")));
}

RowStrides strides_of(const TensorView& tensor) {
  return {tensor.stride_batch, tensor.stride_seqlen, tensor.stride_head};
}

TensorMap tensor_map(const Device& device, const TensorView& tensor, int batch, int seqlen, int heads, int head_dim,
                     int rows) {
  const int padded = generator::padded_head_dim(head_dim);
  const EncodedTensorMap encoded = device.encode({
      .data = tensor.data,
      .columns = head_dim,
      .seqlen = seqlen,
      .heads = heads,
      .batch = batch,
      .stride_seqlen = tensor.stride_seqlen,
      .stride_heads = tensor.stride_head,
      .stride_batch = tensor.stride_batch,
      .box_columns = padded % 64 == 0   ? 64
                     : padded % 32 == 0 ? 32
                                        : 16,
      .box_rows = rows,
  });
  return std::bit_cast<TensorMap>(encoded);
}

int bounded_window(int window, const ForwardLaunch& launch) {
  return window >= launch.seqlen_q + launch.seqlen_k ? -1 : window;
}

int heads_in_l2(std::int64_t heads, std::int64_t bytes, std::size_t l2_bytes) {
  // The rest is for what they read and write besides, and for what the GPU's halves of the cache hold twice.
  constexpr int kL2Share = 2;
  return static_cast<int>(std::clamp<std::int64_t>(static_cast<std::int64_t>(l2_bytes) / kL2Share / bytes, 1, heads));
}

}  // namespace flashmask
