#include "generator/kernel_family.h"

#include <fmt/format.h>

namespace flashmask::generator {

bool uses_wgmma(const KernelDescriptor& descriptor) {
  return is_attention(descriptor.pass) && descriptor.target == Target{90, true};
}

KernelFamily family_of(const KernelDescriptor& descriptor) {
  if (uses_wgmma(descriptor)) return {"wgmma", "sm_90a", ""};
  KernelFamily family{is_attention(descriptor.pass) ? "mma.sync" : "masks", "sm_80 and up", ""};
  if (const Target target = descriptor.target; target.arch_specific)
    family.note =
        fmt::format("there is no {} of its own for {} yet; {} gets the same instructions", to_string(descriptor.pass),
                    to_string(target), to_string(Target{target.compute_capability, false}));
  return family;
}

}  // namespace flashmask::generator
