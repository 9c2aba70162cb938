#include "tools/command/problem.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <span>

#include "flashmask/error.h"
#include "tools/safetensors/reader.h"

namespace flashmask::command {
namespace {

using safetensors::ElementType;
using safetensors::TensorInfo;

constexpr const char* kVectorsName = "startend_row_indices";
constexpr const char* kOutputGradientName = "dout";
constexpr const char* kLseGradientName = "dlse";

[[noreturn]] void refuse(const std::string& rule, const std::string& hint = "") {
  throw Error(ErrorCode::kInvalidArgument, rule, hint);
}

const TensorInfo& require_tensor(const safetensors::Layout& layout, const char* name) {
  if (const TensorInfo* tensor = layout.find(name)) return *tensor;
  refuse(fmt::format("tensor {} is missing: q, k and v are needed", name));
}

/// A tensor of this rank whose extents are positive and fit an int.
template <std::size_t kRank = 4>
std::array<int, kRank> extents(const TensorInfo& tensor, const char* meaning) {
  if (tensor.shape.size() != kRank) {
    refuse(fmt::format("tensor {}: shape {} has rank {}; {} is needed", tensor.name,
                       safetensors::to_string(tensor.shape), tensor.shape.size(), meaning));
  }
  std::array<int, kRank> result{};
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (tensor.shape[i] == 0 || tensor.shape[i] > std::numeric_limits<int>::max()) {
      refuse(fmt::format("tensor {}: shape {}: every extent of {} is from 1 to {}", tensor.name,
                         safetensors::to_string(tensor.shape), meaning, std::numeric_limits<int>::max()));
    }
    result[i] = static_cast<int>(tensor.shape[i]);
  }
  return result;
}

void require_equal(const char* tensor, const char* what, int value, const char* other, int expected) {
  if (value != expected)
    refuse(fmt::format("tensor {}: {} = {}, but {} = {}; they must be equal", tensor, what, value, other, expected));
}

DataType data_type(const TensorInfo& query) {
  if (query.type == ElementType::kF16) return DataType::kFloat16;
  if (query.type == ElementType::kBF16) return DataType::kBfloat16;
  refuse(fmt::format("tensor {}: dtype {}; F16 or BF16 is needed", query.name, to_string(query.type)));
}

void require_type(const TensorInfo& tensor, ElementType type, const char* why) {
  if (tensor.type != type) {
    refuse(
        fmt::format("tensor {}: dtype {}; {} is needed{}", tensor.name, to_string(tensor.type), to_string(type), why));
  }
}

/// Takes heads and form from the vectors of intervals.
void apply_vectors(const TensorInfo& vectors, const RunArguments& arguments, reference::ForwardProblem& shape) {
  require_type(vectors, ElementType::kI32, "");
  const auto [batch, heads, columns, count] = extents(vectors, "[B,Hm,Sk,n]");
  require_equal(kVectorsName, "B", batch, "B of q", shape.batch);
  require_equal(kVectorsName, "Sk", columns, "Sk of k", shape.seqlen_k);
  if (heads != 1 && heads != shape.num_heads_kv && heads != shape.num_heads_q) {
    refuse(fmt::format("tensor {}: Hm = {}; 1, Hk = {} or Hq = {} is needed", kVectorsName, heads, shape.num_heads_kv,
                       shape.num_heads_q));
  }
  if (count != 1 && count != 2 && count != 4) {
    refuse(fmt::format("tensor {}: n = {}; 1, 2 or 4 values per key are needed", kVectorsName, count));
  }
  if (arguments.window) {
    throw Error(ErrorCode::kUnsupported, fmt::format("--window together with {}: no kernel serves both", kVectorsName),
                "write the window into the intervals, or leave one of them out");
  }
  const std::optional<MaskForm> form = mask_form_of(arguments.causal, count);
  if (!form) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("tensor {}: n = {} {} --causal; legal are: with --causal n = 1 (LTS) or 2 (LTS, LTE); without "
                    "it n = 2 (LTS, UTE) or 4 (LTS, LTE, UTS, UTE)",
                    kVectorsName, count, arguments.causal ? "with" : "without"),
        arguments.causal ? "leave --causal out, or give 1 or 2 values per key"
                         : "add --causal, or give 2 or 4 values per key");
  }
  shape.num_heads_mask = heads;
  shape.mask_form = *form;
}

void check_gradients(const safetensors::Layout& layout, const reference::ForwardProblem& shape) {
  const TensorInfo* output_gradient = layout.find(kOutputGradientName);
  if (output_gradient == nullptr) {
    refuse(fmt::format("tensor {} is missing: --backward needs the gradient of the output, [B,Sq,Hq,Dv]",
                       kOutputGradientName),
           "give it in the type of q, or leave --backward out");
  }
  require_type(*output_gradient, layout.find("q")->type, ", the type of q");
  const auto [batch, seqlen_q, heads_q, head_dim_v] = extents(*output_gradient, "[B,Sq,Hq,Dv]");
  require_equal(kOutputGradientName, "B", batch, "B of q", shape.batch);
  require_equal(kOutputGradientName, "Sq", seqlen_q, "Sq of q", shape.seqlen_q);
  require_equal(kOutputGradientName, "Hq", heads_q, "Hq of q", shape.num_heads_q);
  require_equal(kOutputGradientName, "Dv", head_dim_v, "Dv of v", shape.head_dim_v);
  if (const TensorInfo* lse_gradient = layout.find(kLseGradientName)) {
    require_type(*lse_gradient, ElementType::kF32, "");
    const auto [of_batch, of_heads, of_rows] = extents<3>(*lse_gradient, "[B,Hq,Sq]");
    require_equal(kLseGradientName, "B", of_batch, "B of q", shape.batch);
    require_equal(kLseGradientName, "Hq", of_heads, "Hq of q", shape.num_heads_q);
    require_equal(kLseGradientName, "Sq", of_rows, "Sq of q", shape.seqlen_q);
  }
}

template <typename Element>
std::vector<Element> read_data(const safetensors::Reader& reader, const char* name) {
  const TensorInfo& tensor = *reader.find(name);
  std::vector<Element> data(tensor.bytes() / sizeof(Element));
  reader.read(tensor, std::as_writable_bytes(std::span(data)));
  return data;
}

}  // namespace

KernelDescriptor Problem::descriptor(Target target, Pass pass) const {
  KernelDescriptor descriptor;
  descriptor.pass = pass;
  descriptor.dtype = shape.dtype;
  descriptor.head_dim_qk = shape.head_dim_qk;
  descriptor.head_dim_v = shape.head_dim_v;
  descriptor.mask_form = shape.mask_form;
  descriptor.causal_alignment = shape.causal_alignment;
  descriptor.target = target;
  return descriptor;
}

reference::BackwardProblem Problem::backward() const {
  return {.forward = shape, .output_gradient = output_gradient, .lse_gradient = lse_gradient};
}

reference::ForwardProblem problem_shape(const safetensors::Layout& layout, const RunArguments& arguments) {
  const TensorInfo& query = require_tensor(layout, "q");
  const TensorInfo& key = require_tensor(layout, "k");
  const TensorInfo& value = require_tensor(layout, "v");

  reference::ForwardProblem shape;
  shape.dtype = data_type(query);
  require_type(key, query.type, ", the type of q");
  require_type(value, query.type, ", the type of q");
  const auto [batch, seqlen_q, heads_q, head_dim] = extents(query, "[B,Sq,Hq,D]");
  const auto [batch_k, seqlen_k, heads_k, head_dim_k] = extents(key, "[B,Sk,Hk,D]");
  const auto [batch_v, seqlen_v, heads_v, head_dim_v] = extents(value, "[B,Sk,Hk,Dv]");
  require_equal("k", "B", batch_k, "B of q", batch);
  require_equal("k", "D", head_dim_k, "D of q", head_dim);
  require_equal("v", "B", batch_v, "B of q", batch);
  require_equal("v", "Sk", seqlen_v, "Sk of k", seqlen_k);
  require_equal("v", "Hk", heads_v, "Hk of k", heads_k);
  if (heads_q % heads_k != 0) {
    refuse(fmt::format("tensor k: Hk = {}; it must divide Hq = {} of q", heads_k, heads_q));
  }
  shape.batch = batch;
  shape.seqlen_q = seqlen_q;
  shape.seqlen_k = seqlen_k;
  shape.num_heads_q = heads_q;
  shape.num_heads_kv = heads_k;
  shape.head_dim_qk = head_dim;
  shape.head_dim_v = head_dim_v;
  shape.softmax_scale = arguments.scale.value_or(static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim))));

  shape.mask_form = arguments.causal ? MaskForm::kCausal : MaskForm::kNone;
  if (const TensorInfo* vectors = layout.find(kVectorsName)) {
    apply_vectors(*vectors, arguments, shape);
  } else if (arguments.window) {
    shape.mask_form = MaskForm::kWindow;
    shape.window_left = arguments.window->left;
    shape.window_right = arguments.causal ? 0 : arguments.window->right;
  }
  if (arguments.causal_alignment) {
    if (!has_diagonal(shape.mask_form)) {
      refuse(fmt::format("--causal-alignment {}: the mask has no diagonal to align",
                         to_string(*arguments.causal_alignment)),
             "add --causal or --window, or leave --causal-alignment out");
    }
    shape.causal_alignment = *arguments.causal_alignment;
  }
  if (arguments.backward) check_gradients(layout, shape);
  return shape;
}

Problem load_problem(const RunArguments& arguments) {
  try {
    const safetensors::Reader reader(arguments.input);
    Problem problem;
    try {
      problem.shape = problem_shape(reader.layout(), arguments);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", arguments.input.string(), error.what()), error.hint());
    }
    problem.query = read_data<std::uint16_t>(reader, "q");
    problem.key = read_data<std::uint16_t>(reader, "k");
    problem.value = read_data<std::uint16_t>(reader, "v");
    if (reader.find(kVectorsName) != nullptr) {
      problem.startend_row_indices = read_data<std::int32_t>(reader, kVectorsName);
    }
    if (arguments.backward) {
      problem.output_gradient = read_data<std::uint16_t>(reader, kOutputGradientName);
      if (reader.find(kLseGradientName) != nullptr) problem.lse_gradient = read_data<float>(reader, kLseGradientName);
    }
    problem.shape.query = problem.query;
    problem.shape.key = problem.key;
    problem.shape.value = problem.value;
    problem.shape.startend_row_indices = problem.startend_row_indices;
    return problem;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) refuse(error.what(), "give the path of an existing safetensors file");
    throw;
  }
}

}  // namespace flashmask::command
