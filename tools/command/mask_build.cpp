#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "flashmask/runtime.h"
#include "tools/command/commands.h"
#include "tools/command/kernel_json.h"
#include "tools/command/mask_file.h"
#include "tools/command/mask_source.h"
#include "tools/command/mask_words.h"
#include "tools/command/output_path.h"

namespace flashmask::command {
namespace {

/// The options of `run` that go with the tensor.
std::string run_options(const MaskShape& shape) {
  if (!has_diagonal(shape.form)) return "";
  return shape.causal_alignment == CausalAlignment::kTopLeft ? " --causal --causal-alignment top-left" : " --causal";
}

std::string report_text(const NamedMask& written, const std::string& output) {
  const MaskShape& shape = written.mask.shape();
  std::string text = fmt::format("mask      {}\n", title_text(written));
  text += fmt::format("held as   {}\n", shape_text(shape));
  text += fmt::format("tensor    startend_row_indices [{}, {}, {}, {}]\n", shape.batch, shape.num_heads, shape.seqlen_k,
                      vectors_per_column(shape.form));
  text += fmt::format("output    {}\n", output);
  return text + fmt::format("use       beside q, k and v: flashmask run IN -o OUT{}\n", run_options(shape));
}

std::string report_json(const NamedMask& written, const std::string& output) {
  nlohmann::ordered_json json = {{"schema", kSchema}, {"command", "mask build"}, {"version", version()}};
  json["mask"] = json_of(written);
  json["output"] = output;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

ExitCode mask_build(const MaskBuildArguments& arguments) {
  require_writable(arguments.output);
  NamedMask built = build_named_mask(arguments.source);
  const int heads = arguments.heads == 1 ? built.mask.shape().num_heads : arguments.heads;
  built.mask = with_vectors(built.mask).expanded(arguments.batch, heads);
  write_mask_file(built.mask, arguments.output);
  const std::string output = arguments.output.string();
  print_result(arguments.json ? report_json(built, output) : report_text(built, output));
  return kExitOk;
}

}  // namespace flashmask::command
