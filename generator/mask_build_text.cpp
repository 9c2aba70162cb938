#include <fmt/format.h>

#include "generator/kernel_text.h"
#include "templates/mask_build_arguments.cuh"

namespace flashmask::generator {
namespace {

/// The functions of the template that are entries, in the order of KernelText's promise.
constexpr std::string_view kFunctions[] = {"write_window", "write_from_sums", "summarise", "carry", "write_from_ids"};

std::string entry_text(std::string_view entry, std::string_view function) {
  return fmt::format(
      "\nextern \"C\" __global__ void __launch_bounds__({})\n"
      "{}(const __grid_constant__ flashmask::mask_build::Arguments arguments) {{\n"
      "  flashmask::mask_build::{}(arguments);\n"
      "}}\n",
      mask_build::kThreads, entry, function);
}

}  // namespace

KernelText mask_build_text(const KernelDescriptor& descriptor) {
  KernelText text;
  text.head = fmt::format(
      "// {}\n"
      "namespace flashmask::config {{\n"
      "inline constexpr int kVectors = {};\n"
      "}}  // namespace flashmask::config\n\n",
      to_string(descriptor), vectors_per_column(descriptor.mask_form));
  text.templates = {"mask_build_arguments.cuh", "mask_build.cuh"};
  for (const std::string_view function : kFunctions) {
    text.entries.push_back(fmt::format("flashmask_mask_build_{}_{}", to_string(descriptor.mask_form), function));
    text.tail += entry_text(text.entries.back(), function);
  }
  text.threads = mask_build::kThreads;
  return text;
}

}  // namespace flashmask::generator
