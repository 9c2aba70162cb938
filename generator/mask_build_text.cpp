#include <fmt/format.h>

#include "generator/kernel_text.h"
#include "templates/mask_build_arguments.cuh"

namespace flashmask::generator {
namespace {

/// The functions of the template that are entries, in the order of KernelText's promise.
constexpr std::string_view kFunctions[] = {"write_window", "write_from_sums", "summarise", "carry", "write_from_ids"};

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
    text.tail += entry_text(text.entries.back(), "mask_build::Arguments", fmt::format("mask_build::{}", function),
                            std::to_string(mask_build::kThreads));
  }
  text.threads = mask_build::kThreads;
  return text;
}

}  // namespace flashmask::generator
