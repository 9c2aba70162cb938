#include "generator/kernel_family.h"

#include <fmt/format.h>

namespace flashmask::generator {

KernelFamily family_of(const KernelDescriptor& descriptor) {
  KernelFamily family{is_attention(descriptor.pass) ? "mma.sync" : "masks", "sm_80 and up", ""};
  if (const Target target = descriptor.target; target.arch_specific)
    family.note = fmt::format("there is no family for {} of its own yet; {} gets the same instructions",
                              to_string(target), to_string(Target{target.compute_capability, false}));
  return family;
}

}  // namespace flashmask::generator
