#include "generator/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "generator/forward_layout.h"
#include "generator/kernel_family.h"
#include "generator/kernel_text.h"
#include "templates/embedded.h"

namespace flashmask::generator {
namespace {

const templates::Template& find_template(std::string_view name) {
  const auto all = templates::all();
  const auto found = std::ranges::lower_bound(all, name, {}, &templates::Template::name);
  if (found == all.end() || found->name != name) throw std::logic_error(fmt::format("no template named {}", name));
  return *found;
}

KernelText text_of(const KernelDescriptor& descriptor, const TileConfig& config) {
  switch (descriptor.pass) {
    case Pass::kMaskPlan:
      return mask_plan_text(descriptor);
    case Pass::kMaskBuild:
      return mask_build_text(descriptor);
    case Pass::kBackward:
      return uses_wgmma(descriptor) ? backward_sm90_text(descriptor, config) : backward_text(descriptor, config);
    case Pass::kForward:
      break;
  }
  return uses_wgmma(descriptor) ? forward_sm90_text(descriptor, config) : forward_text(descriptor, config);
}

}  // namespace

std::string_view column_mask_template(MaskForm form) {
  switch (form) {
    case MaskForm::kC1:
      return "mask/columns_c1.cuh";
    case MaskForm::kC2:
      return "mask/columns_c2.cuh";
    case MaskForm::kF2:
      return "mask/columns_f2.cuh";
    case MaskForm::kF4:
      return "mask/columns_f4.cuh";
    default:
      return "mask/columns_none.cuh";
  }
}

std::string_view row_mask_template(MaskForm form) {
  if (form == MaskForm::kWindow) return "mask/rows_window.cuh";
  return has_diagonal(form) ? "mask/rows_causal.cuh" : "mask/rows_all.cuh";
}

std::string attention_entry_name(const KernelDescriptor& descriptor, const TileConfig& config) {
  std::string name = fmt::format("flashmask_{}_{}_d{}", to_string(descriptor.pass), to_string(descriptor.dtype),
                                 descriptor.head_dim_qk);
  if (descriptor.head_dim_v != descriptor.head_dim_qk) name += fmt::format("_{}", descriptor.head_dim_v);
  return name + fmt::format("_{}_{}x{}", to_string(descriptor.mask_form), config.tile_q, config.tile_k);
}

std::string attention_config_begin(const KernelDescriptor& descriptor, const TileConfig& config) {
  return fmt::format(
      "// {} | {}\n"
      "namespace flashmask::config {{\n"
      "inline constexpr bool kIsBfloat16 = {};\n"
      "inline constexpr int kHeadDimQk = {};\n"
      "inline constexpr int kHeadDimV = {};\n"
      "inline constexpr int kPaddedHeadDimQk = {};\n"
      "inline constexpr int kPaddedHeadDimV = {};\n"
      "inline constexpr int kTileQ = {};\n"
      "inline constexpr int kTileK = {};\n"
      "inline constexpr int kWarps = {};\n"
      "inline constexpr int kThreads = {};\n"
      "inline constexpr int kStages = {};\n",
      to_string(descriptor), to_string(config), descriptor.dtype == DataType::kBfloat16, descriptor.head_dim_qk,
      descriptor.head_dim_v, padded_head_dim(descriptor.head_dim_qk), padded_head_dim(descriptor.head_dim_v),
      config.tile_q, config.tile_k, config.warps, config.warps * 32, config.stages);
}

std::string entry_text(std::string_view entry, std::string_view arguments, std::string_view function,
                       std::string_view bounds) {
  return fmt::format(
      "\nextern \"C\" __global__ void __launch_bounds__({})\n"
      "{}(const __grid_constant__ flashmask::{} arguments) {{\n"
      "  flashmask::{}(arguments);\n"
      "}}\n",
      bounds, entry, arguments, function);
}

std::vector<std::string_view> template_digests(const KernelDescriptor& descriptor) {
  const KernelText text = text_of(descriptor, default_tile_config(descriptor));
  std::vector<std::string_view> digests;
  digests.reserve(text.templates.size());
  for (const std::string_view name : text.templates) digests.push_back(find_template(name).digest);
  return digests;
}

KernelSource generate(const KernelDescriptor& descriptor, const TileConfig& config) {
  if (std::vector<std::string> rules = broken_rules(descriptor, config); !rules.empty())
    throw InvalidRequest(std::move(rules));

  const KernelText text = text_of(descriptor, config);
  KernelSource source;
  source.entry = text.entries.at(text.main_entry);
  source.entries = text.entries;
  source.threads = text.threads;
  source.shared_bytes = text.shared_bytes;
  source.descriptor = descriptor;
  source.config = config;

  std::size_t size = text.head.size() + text.tail.size();
  for (const std::string_view name : text.templates) size += find_template(name).text.size() + 1;
  source.text.reserve(size);
  source.text += text.head;
  source.template_digests.reserve(text.templates.size());
  for (const std::string_view name : text.templates) {
    const templates::Template& part = find_template(name);
    source.text += part.text;
    source.text += '\n';
    source.template_digests.push_back(part.digest);
  }
  source.text += text.tail;
  source.generated = text.head + text.tail;
  return source;
}

}  // namespace flashmask::generator
