#include "tests/mutants/mutating_device.h"

#include <span>
#include <string_view>

namespace flashmask::mutants {

std::shared_ptr<const LoadedKernel> MutatingDevice::load(const KernelImage& image, const std::string& entry,
                                                         std::uint32_t shared_bytes) {
  const std::string_view ptx(reinterpret_cast<const char*>(image.ptx.data()), image.ptx.size());
  if (mutation_ == nullptr) loaded_.emplace(entry, ptx);
  if (mutation_ == nullptr || mutation_->entry != entry) return ForwardingDevice::load(image, entry, shared_bytes);
  const std::string changed = mutated(ptx, *mutation_);
  return ForwardingDevice::load({.cubin = {}, .ptx = std::as_bytes(std::span(changed))}, entry, shared_bytes);
}

}  // namespace flashmask::mutants
