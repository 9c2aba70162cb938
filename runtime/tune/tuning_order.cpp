#include "runtime/tune/tuning_order.h"

#include <tuple>

namespace flashmask::tune {
namespace {

auto rank(const TuningGpu& gpu) {
  return std::tie(gpu.name, gpu.compute_capability, gpu.multiprocessors, gpu.l2_bytes, gpu.shared_bytes_per_block);
}

auto rank(const KernelDescriptor& descriptor) {
  return std::tie(descriptor.pass, descriptor.target.compute_capability, descriptor.target.arch_specific,
                  descriptor.dtype, descriptor.head_dim_qk, descriptor.head_dim_v, descriptor.mask_form,
                  descriptor.causal_alignment, descriptor.deterministic);
}

auto rank(const TuningKey& key) {
  return std::tuple_cat(std::tie(key.basis), rank(key.gpu), rank(key.descriptor),
                        std::tie(key.bucket, key.method, key.templates));
}

}  // namespace

bool precedes(const TuningKey& a, const TuningKey& b) {
  return rank(a) < rank(b);
}

}  // namespace flashmask::tune
