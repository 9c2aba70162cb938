#include <fmt/format.h>

#include "generator/kernel_text.h"

namespace flashmask::generator {
namespace {

constexpr int kThreads = 256;  // the template's

}  // namespace

KernelText mask_plan_text(const KernelDescriptor& descriptor) {
  const std::string name = fmt::format("flashmask_mask_plan_{}", to_string(descriptor.mask_form));
  KernelText text;
  text.entries = {name + "_classify", name + "_arrange"};
  text.head = fmt::format(
      "// {}\n"
      "namespace flashmask::config {{\n"
      "inline constexpr bool kHasDiagonal = {};\n"
      "inline constexpr bool kBottomRight = {};\n"
      "}}  // namespace flashmask::config\n\n",
      to_string(descriptor), has_diagonal(descriptor.mask_form),
      descriptor.causal_alignment == CausalAlignment::kBottomRight);
  text.templates = {"mask_plan_types.cuh",
                    "mask_plan_arguments.cuh",
                    "primitives/shared_memory.cuh",
                    "primitives/global_memory.cuh",
                    "primitives/thread.cuh",
                    column_mask_template(descriptor.mask_form),
                    "mask_plan.cuh"};
  const std::string bounds = std::to_string(kThreads);
  text.tail = entry_text(text.entries[0], "mask_plan::Arguments", "mask_plan::classify", bounds) +
              entry_text(text.entries[1], "mask_plan::Arguments", "mask_plan::arrange", bounds);
  text.threads = kThreads;
  return text;
}

}  // namespace flashmask::generator
