#include "runtime/device_mask/build_kernels.h"

#include <span>
#include <type_traits>
#include <utility>

namespace flashmask {
namespace {

static_assert(std::is_trivially_copyable_v<mask_build::Arguments>, "the device reads the bytes of the struct");

std::span<const std::byte> parameter_of(const mask_build::Arguments& arguments) {
  return std::as_bytes(std::span(&arguments, 1));
}

}  // namespace

BuildKernels::BuildKernels(std::shared_ptr<Device> device, const generator::KernelSource& source,
                           const StoredKernel& stored)
    : device_(std::move(device)),
      vectors_(static_cast<std::uint32_t>(vectors_per_column(source.descriptor.mask_form))),
      window_(device_->load(stored.image, source.entries.at(0), 0)),
      from_sums_(device_->load(stored.image, source.entries.at(1), 0)),
      summarise_(device_->load(stored.image, source.entries.at(2), 0)),
      carry_(device_->load(stored.image, source.entries.at(3), 0)),
      from_ids_(device_->load(stored.image, source.entries.at(4), 0)) {}

std::shared_ptr<const BuildKernels> BuildKernels::of(Runtime& runtime, MaskForm form, std::optional<Stream> stream) {
  return runtime.build_kernels(form, stream);
}

void BuildKernels::launch_over_chunks(const LoadedKernel& kernel, const mask_build::Arguments& arguments, int batch,
                                      Stream stream) const {
  constexpr auto kChunk = static_cast<std::uint32_t>(mask_build::kChunkKeys);
  const std::uint32_t chunks = (static_cast<std::uint32_t>(arguments.seqlen_k) + kChunk - 1) / kChunk;
  device_->launch(kernel,
                  {.grid = {chunks, static_cast<std::uint32_t>(batch), 1},
                   .block = static_cast<std::uint32_t>(mask_build::kThreads)},
                  parameter_of(arguments), stream);
}

void BuildKernels::write_window(const mask_build::Arguments& arguments, int batch, Stream stream) const {
  launch_over_chunks(*window_, arguments, batch, stream);
}

void BuildKernels::write_from_sums(const mask_build::Arguments& arguments, int batch, Stream stream) const {
  launch_over_chunks(*from_sums_, arguments, batch, stream);
}

void BuildKernels::write_from_ids(const mask_build::Arguments& arguments, int batch, Stream stream) const {
  launch_over_chunks(*summarise_, arguments, batch, stream);
  // A warp for each vector.
  device_->launch(*carry_, {.grid = {1, static_cast<std::uint32_t>(batch), 1}, .block = 32 * vectors_},
                  parameter_of(arguments), stream);
  launch_over_chunks(*from_ids_, arguments, batch, stream);
}

}  // namespace flashmask
