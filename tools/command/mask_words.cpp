#include "tools/command/mask_words.h"

#include <fmt/format.h>

namespace flashmask::command {

std::string title_text(const NamedMask& source) {
  return source.kind == nullptr ? source.name : fmt::format("{}: {}", source.name, source.kind->summary);
}

std::string shape_text(const MaskShape& shape) {
  std::string text(to_string(shape.form));
  if (shape.form == MaskForm::kWindow) text += fmt::format(" {},{}", shape.window_left, shape.window_right);
  if (has_diagonal(shape.form)) text += fmt::format(" {}", to_string(shape.causal_alignment));
  return text + fmt::format(", {} queries x {} keys, batch {}, {} mask head{}", shape.seqlen_q, shape.seqlen_k,
                            shape.batch, shape.num_heads, shape.num_heads == 1 ? "" : "s");
}

nlohmann::ordered_json json_of(const NamedMask& source) {
  const MaskShape& shape = source.mask.shape();
  nlohmann::ordered_json json = {{"name", source.name}};
  if (source.kind != nullptr) {
    json["kind"] = source.kind->name;
    json["parameters"] = source.parameters;
  }
  json["form"] = to_string(shape.form);
  json["causal"] = has_diagonal(shape.form) && shape.form != MaskForm::kWindow;
  json["causal_alignment"] = to_string(shape.causal_alignment);
  if (shape.form == MaskForm::kWindow) {
    json["window_left"] = shape.window_left;
    json["window_right"] = shape.window_right;
  }
  json["batch"] = shape.batch;
  json["num_heads"] = shape.num_heads;
  json["seqlen_q"] = shape.seqlen_q;
  json["seqlen_k"] = shape.seqlen_k;
  return json;
}

}  // namespace flashmask::command
