#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "tests/forward/forwarding_device.h"
#include "tests/mutants/mutation.h"

namespace flashmask::mutants {

/// An emulated device that changes one statement of one kernel when it is loaded, or, without a mutation, keeps the PTX
/// of what is loaded.
class MutatingDevice final : public forward_tests::ForwardingDevice {
 public:
  /// `mutation` must outlive the device.
  MutatingDevice(const EmulatorOptions& options, const Mutation* mutation)
      : ForwardingDevice(open_emulated_device(options)), mutation_(mutation) {}

  /// What was loaded, by entry.
  const std::map<std::string, std::string>& loaded() const { return loaded_; }

  std::shared_ptr<const LoadedKernel> load(const KernelImage& image, const std::string& entry,
                                           std::uint32_t shared_bytes) override;

 private:
  const Mutation* mutation_;
  std::map<std::string, std::string> loaded_;
};

}  // namespace flashmask::mutants
