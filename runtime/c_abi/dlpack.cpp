#include <dlpack/dlpack.h>
#include <fmt/ranges.h>

#include <limits>
#include <span>
#include <vector>

#include "runtime/c_abi/boundary.h"
#include "runtime/c_abi/handles.h"
#include "runtime/rule_collector.h"

namespace flashmask::c_abi {
namespace {

constexpr int kAttentionRank = 4;  // [batch, seqlen, heads, head_dim], and startend_row_indices
constexpr int kStatisticRank = 3;  // [batch, heads, seqlen]

struct ElementType {
  std::uint8_t code;
  std::uint8_t bits;
};

ElementType element_type_of(DataType type) {
  return type == DataType::kBfloat16 ? ElementType{kDLBfloat, 16} : ElementType{kDLFloat, 16};
}

std::string name_of(const DLDataType& type) {
  const char* kind = type.code == kDLBfloat  ? "bfloat"
                     : type.code == kDLFloat ? "float"
                     : type.code == kDLInt   ? "int"
                     : type.code == kDLUInt  ? "uint"
                                             : nullptr;
  const std::string name =
      kind ? fmt::format("{}{}", kind, type.bits) : fmt::format("code {} bits {}", type.code, type.bits);
  return type.lanes == 1 ? name : fmt::format("{}x{}", name, type.lanes);
}

/// Reads DLTensors of one launch and collects what is against them.
class TensorReader {
 public:
  explicit TensorReader(const fm_kernel& kernel) : properties_(kernel.device->properties()) {}

  RuleCollector& rules() { return rules_; }

  /// The tensor, or null if it cannot be looked at.
  const DLTensor* read(const void* given, int rank, ElementType type, const char* name) {
    if (!given) {
      rules_.require(false, "{} is null", name);
      return nullptr;
    }
    const auto* tensor = static_cast<const DLTensor*>(given);
    if (tensor->ndim != rank || (rank > 0 && !tensor->shape)) {
      rules_.require(false, "{} has {} dimensions: {} are needed", name, tensor->ndim, rank);
      return nullptr;
    }
    const std::span shape(tensor->shape, static_cast<std::size_t>(rank));
    for (const std::int64_t extent : shape) {
      if (extent < 0 || extent > std::numeric_limits<int>::max()) {
        rules_.require(false, "{} has the shape [{}]: extents of 0 to {} are allowed", name, fmt::join(shape, ", "),
                       std::numeric_limits<int>::max());
        return nullptr;
      }
    }
    rules_.require(tensor->dtype.code == type.code && tensor->dtype.bits == type.bits && tensor->dtype.lanes == 1,
                   "{} is of {}: {} is needed", name, flashmask::c_abi::name_of(tensor->dtype),
                   flashmask::c_abi::name_of(DLDataType{type.code, type.bits, 1}));
    require_device(tensor->device, name);
    return tensor;
  }

  /// An attention tensor as a launch takes it.
  fm_tensor view(const DLTensor& tensor, const char* name) {
    const std::vector<std::int64_t> strides = strides_of(tensor);
    rules_.require(tensor.shape[3] <= 1 || strides[3] == 1,
                   "{} has the stride {} between elements of a row: 1 is needed", name, strides[3]);
    return {address_of(tensor), strides[0], strides[1], strides[2]};
  }

  /// The address of a tensor that launches take as contiguous.
  std::uint64_t contiguous(const DLTensor& tensor, const char* name) {
    const std::vector<std::int64_t> strides = strides_of(tensor);
    std::int64_t expected = 1;
    for (int d = tensor.ndim - 1; d >= 0; --d) {
      rules_.require(tensor.shape[d] <= 1 || strides[d] == expected,
                     "{} is not contiguous: dimension {} has the stride {}, {} is needed", name, d, strides[d],
                     expected);
      expected *= tensor.shape[d];
    }
    return address_of(tensor);
  }

  void require_shape(const DLTensor& tensor, const char* name, std::initializer_list<std::int64_t> wanted) {
    const std::span shape(tensor.shape, wanted.size());
    rules_.require(std::equal(shape.begin(), shape.end(), wanted.begin()), "{} has the shape [{}]: [{}] is needed",
                   name, fmt::join(shape, ", "), fmt::join(wanted, ", "));
  }

  void finish(const char* what) const {
    if (!rules_.broken().empty())
      refuse(fmt::format("{} cannot be launched:\n  {}", what, fmt::join(rules_.broken(), "\n  ")));
  }

 private:
  void require_device(const DLDevice& device, const char* name) {
    const bool emulated = properties_.kind == DeviceKind::kEmulator;
    const bool right_type = emulated ? device.device_type == kDLExtDev
                                     : device.device_type == kDLCUDA || device.device_type == kDLCUDAManaged;
    // Managed memory belongs to no GPU: its device_id says nothing.
    const bool right_ordinal = device.device_type == kDLCUDAManaged || device.device_id == properties_.ordinal;
    rules_.require(right_type && right_ordinal,
                   "{} lies on a device of type {}, number {}: the kernel's is {} (type {}, number {})", name,
                   static_cast<int>(device.device_type), device.device_id, properties_.name,
                   static_cast<int>(emulated ? kDLExtDev : kDLCUDA), properties_.ordinal);
  }

  static std::uint64_t address_of(const DLTensor& tensor) {
    return reinterpret_cast<std::uintptr_t>(tensor.data) + tensor.byte_offset;
  }

  static std::vector<std::int64_t> strides_of(const DLTensor& tensor) {
    const auto rank = static_cast<std::size_t>(tensor.ndim);
    if (tensor.strides) return {tensor.strides, tensor.strides + rank};
    std::vector<std::int64_t> strides(rank, 1);
    for (std::size_t d = rank - 1; d > 0; --d) strides[d - 1] = strides[d] * tensor.shape[d];
    return strides;
  }

  const DeviceProperties& properties_;
  RuleCollector rules_;
};

void read_forward(const fm_kernel& kernel, const void* query, const void* key, const void* value, const void* output,
                  const void* lse, const void* startend_row_indices, fm_forward_args& args) {
  const KernelDescriptor& descriptor = kernel.kernel->descriptor();
  const ElementType type = element_type_of(descriptor.dtype);
  TensorReader reader(kernel);
  const DLTensor* q = reader.read(query, kAttentionRank, type, "query");
  const DLTensor* k = reader.read(key, kAttentionRank, type, "key");
  const DLTensor* v = reader.read(value, kAttentionRank, type, "value");
  const DLTensor* o = reader.read(output, kAttentionRank, type, "output");
  if (!q || !k || !v || !o) reader.finish("these tensors");
  args.batch = static_cast<int>(q->shape[0]);
  args.seqlen_q = static_cast<int>(q->shape[1]);
  args.num_heads_q = static_cast<int>(q->shape[2]);
  args.seqlen_k = static_cast<int>(k->shape[1]);
  args.num_heads_kv = static_cast<int>(k->shape[2]);
  reader.require_shape(*q, "query", {args.batch, args.seqlen_q, args.num_heads_q, descriptor.head_dim_qk});
  reader.require_shape(*k, "key", {args.batch, args.seqlen_k, args.num_heads_kv, descriptor.head_dim_qk});
  reader.require_shape(*v, "value", {args.batch, args.seqlen_k, args.num_heads_kv, descriptor.head_dim_v});
  reader.require_shape(*o, "output", {args.batch, args.seqlen_q, args.num_heads_q, descriptor.head_dim_v});
  args.query = reader.view(*q, "query");
  args.key = reader.view(*k, "key");
  args.value = reader.view(*v, "value");
  args.output = reader.view(*o, "output");
  args.lse = 0;
  if (lse) {
    if (const DLTensor* tensor = reader.read(lse, kStatisticRank, {kDLFloat, 32}, "lse")) {
      reader.require_shape(*tensor, "lse", {args.batch, args.num_heads_q, args.seqlen_q});
      args.lse = reader.contiguous(*tensor, "lse");
    }
  }
  args.startend_row_indices = 0;
  const int vectors = vectors_per_column(descriptor.mask_form);
  reader.rules().require(!startend_row_indices || vectors > 0,
                         "startend_row_indices is given: the form {} has no vectors", to_string(descriptor.mask_form));
  if (vectors > 0) {
    if (const DLTensor* tensor =
            reader.read(startend_row_indices, kAttentionRank, {kDLInt, 32}, "startend_row_indices")) {
      args.num_heads_mask = static_cast<int>(tensor->shape[1]);
      reader.require_shape(*tensor, "startend_row_indices", {args.batch, args.num_heads_mask, args.seqlen_k, vectors});
      args.startend_row_indices = reader.contiguous(*tensor, "startend_row_indices");
    }
  }
  reader.finish("these tensors");
}

void read_backward(const fm_kernel& kernel, const void* output_gradient, const void* lse_gradient,
                   const void* query_gradient, const void* key_gradient, const void* value_gradient,
                   const fm_forward_args& forward, fm_backward_args& args) {
  const KernelDescriptor& descriptor = kernel.kernel->descriptor();
  const ElementType type = element_type_of(descriptor.dtype);
  TensorReader reader(kernel);
  const auto view = [&](const void* given, const char* name, std::initializer_list<std::int64_t> shape) -> fm_tensor {
    const DLTensor* tensor = reader.read(given, kAttentionRank, type, name);
    if (!tensor) return {};
    reader.require_shape(*tensor, name, shape);
    return reader.view(*tensor, name);
  };
  const std::int64_t batch = forward.batch, rows = forward.seqlen_q, keys = forward.seqlen_k;
  const std::int64_t heads_q = forward.num_heads_q, heads_kv = forward.num_heads_kv;
  args.output_gradient = view(output_gradient, "output_gradient", {batch, rows, heads_q, descriptor.head_dim_v});
  args.query_gradient = view(query_gradient, "query_gradient", {batch, rows, heads_q, descriptor.head_dim_qk});
  args.key_gradient = view(key_gradient, "key_gradient", {batch, keys, heads_kv, descriptor.head_dim_qk});
  args.value_gradient = view(value_gradient, "value_gradient", {batch, keys, heads_kv, descriptor.head_dim_v});
  args.lse_gradient = 0;
  if (lse_gradient) {
    if (const DLTensor* tensor = reader.read(lse_gradient, kStatisticRank, {kDLFloat, 32}, "lse_gradient")) {
      reader.require_shape(*tensor, "lse_gradient", {batch, heads_q, rows});
      args.lse_gradient = reader.contiguous(*tensor, "lse_gradient");
    }
  }
  reader.finish("these gradients");
}

}  // namespace
}  // namespace flashmask::c_abi

using namespace flashmask::c_abi;

extern "C" {

fm_status fm_forward_args_from_dlpack(const fm_kernel* kernel, const void* query, const void* key, const void* value,
                                      const void* output, const void* lse, const void* startend_row_indices,
                                      fm_forward_args* args) {
  return guarded([&] {
    fm_forward_args filled = taken(args, fm_forward_args{}, "fm_forward_args");
    read_forward(needed(kernel, "kernel"), query, key, value, output, lse, startend_row_indices, filled);
    give(args, filled, "fm_forward_args");
  });
}

fm_status fm_backward_args_from_dlpack(const fm_kernel* kernel, const void* output_gradient, const void* lse_gradient,
                                       const void* query_gradient, const void* key_gradient, const void* value_gradient,
                                       fm_backward_args* args) {
  return guarded([&] {
    fm_backward_args filled = taken(args, fm_backward_args{}, "fm_backward_args");
    const fm_forward_args forward =
        taken(&needed(filled.forward, "fm_backward_args.forward"), fm_forward_args{}, "fm_forward_args");
    read_backward(needed(kernel, "kernel"), output_gradient, lse_gradient, query_gradient, key_gradient, value_gradient,
                  forward, filled);
    give(args, filled, "fm_backward_args");
  });
}

}  // extern "C"
