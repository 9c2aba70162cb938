#include "tools/command/selection_options.h"

#include <fmt/format.h>

#include "flashmask/error.h"
#include "tools/command/values.h"

namespace flashmask::command {
namespace {

[[noreturn]] void refuse_without(const char* option) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is required", option), "see the command's --help");
}

}  // namespace

void add_selection(CLI::App& app, SelectionTexts& texts) {
  app.add_option("--pass", texts.pass,
                 "forward (default), backward, mask-plan or mask-build; the two of masks have no dtype, head dims and "
                 "tile")
      ->type_name("P");
  app.add_flag("--deterministic", texts.deterministic,
               "with --pass backward: a kernel that gives the same bits every time, which is slower");
  app.add_option("--dtype", texts.dtype, "fp16 or bf16")->type_name("T");
  app.add_option("--head-dim", texts.head_dim, "D or D,Dv: of queries and keys, and of values")->type_name("D[,Dv]");
  app.add_option("--form", texts.form, "mask: none, causal, window, c1, c2, f2 or f4")->type_name("F");
  app.add_option("--causal-alignment", texts.alignment, "bottom-right (default) or top-left")->type_name("A");
  app.add_option("--tile", texts.tile, "Q,K: query rows and key columns of a tile (default by heuristic)")
      ->type_name("Q,K");
  app.add_option("--config", texts.config, kConfigHelp)->type_name("C");
}

void add_target(CLI::App& app, SelectionTexts& texts) {
  app.add_option("--target", texts.target, "architecture: " + known_targets())->type_name("T");
}

std::optional<TileWish> tile_wish(const OptionalText& tile, const OptionalText& config) {
  if (tile && config)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--tile {} --config {}: the configuration names the tile too", *tile, *config),
                "leave one of them out");
  if (config) return parse_config(*config);
  if (tile) return parse_tile(*tile);
  return std::nullopt;
}

KernelDescriptor descriptor_of(const SelectionTexts& texts) {
  KernelDescriptor descriptor;
  descriptor.pass = optional_value(texts.pass, require_pass).value_or(Pass::kForward);
  const bool is_mask = !is_attention(descriptor.pass);
  const auto check_given = [&](bool given, const char* option) {
    if (is_mask && given)
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: a {} has none", option, to_string(descriptor.pass)),
                  fmt::format("leave {} out", option));
    if (!is_mask && !given) refuse_without(option);
  };
  if (!texts.form) refuse_without("--form");
  if (!texts.target) refuse_without("--target");
  check_given(texts.dtype.has_value(), "--dtype");
  check_given(texts.head_dim.has_value(), "--head-dim");
  if (is_mask) {
    if (texts.tile) check_given(true, "--tile");
    if (texts.config) check_given(true, "--config");
    descriptor.dtype = DataType::kBfloat16;  // which a mask does not know
    descriptor.head_dim_qk = descriptor.head_dim_v = 0;
  } else {
    descriptor.dtype = require_data_type(*texts.dtype);
    parse_head_dims(*texts.head_dim, descriptor);
  }
  if (texts.deterministic && descriptor.pass != Pass::kBackward) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--deterministic: only the backward has a choice, a {} always repeats its bits",
                            to_string(descriptor.pass)),
                "add --pass backward, or leave --deterministic out");
  }
  descriptor.deterministic = texts.deterministic;
  descriptor.mask_form = require_mask_form(*texts.form);
  descriptor.target = require_target(*texts.target);
  if (texts.alignment) {
    descriptor.causal_alignment = require_causal_alignment(*texts.alignment);
    if (!has_diagonal(descriptor.mask_form)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("--causal-alignment {}: the form {} has no diagonal to align", *texts.alignment,
                              to_string(descriptor.mask_form)),
                  "leave --causal-alignment out");
    }
  }
  return descriptor;
}

}  // namespace flashmask::command
