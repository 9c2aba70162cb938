#include "tools/command/mask_file.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/error.h"
#include "tools/command/interrupt.h"
#include "tools/safetensors/reader.h"
#include "tools/safetensors/writer.h"

namespace flashmask::command {
namespace {

using safetensors::ElementType;
using safetensors::Layout;
using safetensors::TensorInfo;

constexpr const char* kVectorsName = "startend_row_indices";
constexpr const char* kCausal = "causal";
constexpr const char* kAlignment = "causal_alignment";
constexpr const char* kSeqlenQ = "seqlen_q";
constexpr const char* kForm = "mask_form";

[[noreturn]] void refuse(const std::string& rule, const std::string& hint = "") {
  throw Error(ErrorCode::kInvalidArgument, rule, hint);
}

const std::string* find_metadata(const Layout& layout, const char* key) {
  const auto found = layout.metadata.find(key);
  return found == layout.metadata.end() ? nullptr : &found->second;
}

[[noreturn]] void refuse_metadata(const char* key, const std::string& value, std::string_view needed) {
  refuse(fmt::format("metadata {} = {}: {} is needed", key, safetensors::printable(value), needed));
}

int mask_extent(const TensorInfo& tensor, std::size_t dimension, int most) {
  const std::uint64_t extent = tensor.shape[dimension];
  if (extent == 0 || extent > static_cast<std::uint64_t>(most)) {
    refuse(fmt::format("tensor {}: shape {}: every extent of [B,Hm,Sk,n] is at least 1, and {} at most {}", tensor.name,
                       safetensors::to_string(tensor.shape), dimension == 2 ? "Sk" : "the others", most));
  }
  return static_cast<int>(extent);
}

const TensorInfo& require_vectors(const Layout& layout) {
  const TensorInfo* vectors = layout.find(kVectorsName);
  if (vectors == nullptr) {
    refuse(fmt::format("tensor {} is missing: it is what a mask is read from", kVectorsName),
           "flashmask mask build writes one; masks without a tensor are kinds: full, causal, window");
  }
  if (vectors->type != ElementType::kI32) {
    refuse(fmt::format("tensor {}: dtype {}; I32 is needed", kVectorsName, to_string(vectors->type)));
  }
  if (vectors->shape.size() != 4) {
    refuse(fmt::format("tensor {}: shape {} has rank {}; [B,Hm,Sk,n] is needed", kVectorsName,
                       safetensors::to_string(vectors->shape), vectors->shape.size()));
  }
  return *vectors;
}

/// What a property is, by a source of its own name.
template <typename Value>
struct Claim {
  std::string_view source;
  Value value;
};

/// The value that all who know it agree on; empty if none knows it.
template <typename Value>
std::optional<Value> agreed(const std::vector<std::optional<Claim<Value>>>& claims) {
  const std::optional<Claim<Value>>* first = nullptr;
  for (const auto& claim : claims) {
    if (!claim) continue;
    if (first == nullptr) {
      first = &claim;
    } else if (claim->value != (*first)->value) {
      refuse(fmt::format("{} says {}, but {} says {}; they must agree", (*first)->source, (*first)->value,
                         claim->source, claim->value));
    }
  }
  return first == nullptr ? std::nullopt : std::optional((*first)->value);
}

bool find_causal(const Layout& layout, const MaskSource& source) {
  const std::string* text = find_metadata(layout, kCausal);
  if (text == nullptr) return source.causal;
  if (*text != "true" && *text != "false") refuse_metadata(kCausal, *text, "true or false");
  const bool causal = *text == "true";
  if (source.causal && !causal) refuse("--causal: the file's metadata say causal = false", "leave --causal out");
  return causal;
}

std::optional<CausalAlignment> find_alignment(const Layout& layout, const MaskSource& source) {
  std::optional<Claim<std::string_view>> in_file, asked;
  if (const std::string* text = find_metadata(layout, kAlignment)) {
    const std::optional<CausalAlignment> value = parse_causal_alignment(*text);
    if (!value) refuse_metadata(kAlignment, *text, "bottom-right or top-left");
    in_file = {"the file's metadata causal_alignment", to_string(*value)};
  }
  if (source.causal_alignment) asked = {"--causal-alignment", to_string(*source.causal_alignment)};
  const std::optional<std::string_view> name = agreed<std::string_view>({in_file, asked});
  return name ? parse_causal_alignment(*name) : std::nullopt;
}

std::optional<int> find_seqlen_q(const Layout& layout, const MaskSource& source) {
  std::optional<Claim<int>> of_query, in_file, asked;
  if (const TensorInfo* query = layout.find("q")) {
    if (query->shape.size() != 4 || query->shape[1] == 0 || query->shape[1] > Mask::kMaxSeqlen) {
      refuse(fmt::format("tensor q: shape {}; [B,Sq,Hq,D] with Sq from 1 to {} is needed",
                         safetensors::to_string(query->shape), Mask::kMaxSeqlen));
    }
    of_query = {"tensor q", static_cast<int>(query->shape[1])};
  }
  if (const std::string* text = find_metadata(layout, kSeqlenQ)) {
    int value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc{} || end != text->data() + text->size() || value < 1 || value > Mask::kMaxSeqlen) {
      refuse_metadata(kSeqlenQ, *text, fmt::format("an integer from 1 to {}", Mask::kMaxSeqlen));
    }
    in_file = {"the file's metadata seqlen_q", value};
  }
  if (source.seqlen_q) asked = {"--seqlen-q", *source.seqlen_q};
  return agreed<int>({of_query, in_file, asked});
}

}  // namespace

MaskShape mask_file_shape(const Layout& layout, const MaskSource& source) {
  if (!source.parameters.empty()) {
    refuse(fmt::format("--param {}: a file has no parameters", source.parameters.front()), "leave --param out");
  }
  const TensorInfo& vectors = require_vectors(layout);
  MaskShape shape;
  shape.batch = mask_extent(vectors, 0, std::numeric_limits<int>::max());
  shape.num_heads = mask_extent(vectors, 1, std::numeric_limits<int>::max());
  shape.seqlen_k = mask_extent(vectors, 2, Mask::kMaxSeqlen);
  const int count = mask_extent(vectors, 3, std::numeric_limits<int>::max());
  if (source.seqlen_k && *source.seqlen_k != shape.seqlen_k) {
    refuse(fmt::format("--seqlen-k {}: the tensor {} has {} keys", *source.seqlen_k, kVectorsName, shape.seqlen_k),
           "leave --seqlen-k out");
  }
  shape.seqlen_q = find_seqlen_q(layout, source).value_or(shape.seqlen_k);

  const bool causal = find_causal(layout, source);
  const std::optional<MaskForm> form = mask_form_of(causal, count);
  if (!form) {
    refuse(fmt::format("tensor {}: n = {} in a mask that is {}causal; legal are: causal n = 1 (LTS) or 2 (LTS, LTE), "
                       "not causal n = 2 (LTS, UTE) or 4 (LTS, LTE, UTS, UTE)",
                       kVectorsName, count, causal ? "" : "not "),
           !causal && count == 1 ? "add --causal" : "");
  }
  shape.form = *form;
  if (const std::string* text = find_metadata(layout, kForm); text != nullptr && *text != to_string(*form)) {
    refuse(fmt::format("metadata {} = {}, but n = {} and causal = {} are {}", kForm, safetensors::printable(*text),
                       count, causal, to_string(*form)));
  }
  const std::optional<CausalAlignment> alignment = find_alignment(layout, source);
  if (source.causal_alignment && !has_diagonal(shape.form)) {
    refuse(fmt::format("--causal-alignment {}: the mask has no diagonal to align", to_string(*source.causal_alignment)),
           "add --causal, or leave --causal-alignment out");
  }
  if (alignment && has_diagonal(shape.form)) shape.causal_alignment = *alignment;
  return shape;
}

Mask read_mask_file(const MaskSource& source) {
  try {
    const safetensors::Reader reader(source.subject);
    MaskShape shape;
    try {
      shape = mask_file_shape(reader.layout(), source);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}: {}", source.subject, error.what()), error.hint());
    }
    const TensorInfo& tensor = *reader.find(kVectorsName);
    std::vector<std::int32_t> vectors(tensor.bytes() / sizeof(std::int32_t));
    reader.read(tensor, std::as_writable_bytes(std::span(vectors)));
    return Mask(shape, std::move(vectors));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kNotFound) refuse(error.what(), "give the path of an existing safetensors file");
    throw;
  }
}

Mask with_vectors(const Mask& mask) {
  if (vectors_per_column(mask.shape().form) > 0) return mask;
  if (mask.shape().form == MaskForm::kCausal) return mask.held_as(MaskForm::kC1, mask.shape().causal_alignment);
  return mask.held_as(MaskForm::kF2);
}

void write_mask_file(const Mask& mask, const std::filesystem::path& path) {
  const MaskShape& shape = mask.shape();
  const auto extent = [](int value) { return static_cast<std::uint64_t>(value); };
  safetensors::Writer writer;
  writer.add(
      kVectorsName, ElementType::kI32,
      {extent(shape.batch), extent(shape.num_heads), extent(shape.seqlen_k), extent(vectors_per_column(shape.form))},
      std::as_bytes(mask.startend_row_indices()));
  writer.set_metadata(kForm, std::string(to_string(shape.form)));
  writer.set_metadata(kCausal, has_diagonal(shape.form) ? "true" : "false");
  writer.set_metadata(kAlignment, std::string(to_string(shape.causal_alignment)));
  writer.set_metadata(kSeqlenQ, std::to_string(shape.seqlen_q));
  const UninterruptedSection publishing;
  writer.save(path);
}

}  // namespace flashmask::command
