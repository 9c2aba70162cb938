#pragma once

#include <memory>
#include <optional>

#include "flashmask/device.h"
#include "flashmask/runtime.h"
#include "generator/generate.h"
#include "runtime/store/kernel_store.h"
#include "templates/mask_build_arguments.cuh"

namespace flashmask {

/// The kernels that write masks of one form, loaded on a device. Immutable, thread-safe. The launches enqueue; their
/// arguments break no rule, and the columns of a batch entry are `seqlen_k` of them.
class BuildKernels {
 public:
  BuildKernels(std::shared_ptr<Device> device, const generator::KernelSource& source, const StoredKernel& stored);

  /// Those of a runtime, loaded once per form; not while the stream that is named is captured.
  static std::shared_ptr<const BuildKernels> of(Runtime& runtime, MaskForm form, std::optional<Stream> stream = {});

  void write_window(const mask_build::Arguments& arguments, int batch, Stream stream) const;
  void write_from_sums(const mask_build::Arguments& arguments, int batch, Stream stream) const;
  void write_from_ids(const mask_build::Arguments& arguments, int batch, Stream stream) const;

 private:
  void launch_over_chunks(const LoadedKernel& kernel, const mask_build::Arguments& arguments, int batch,
                          Stream stream) const;

  std::shared_ptr<Device> device_;
  std::uint32_t vectors_;
  std::shared_ptr<const LoadedKernel> window_;
  std::shared_ptr<const LoadedKernel> from_sums_;
  std::shared_ptr<const LoadedKernel> summarise_;
  std::shared_ptr<const LoadedKernel> carry_;
  std::shared_ptr<const LoadedKernel> from_ids_;
};

}  // namespace flashmask
