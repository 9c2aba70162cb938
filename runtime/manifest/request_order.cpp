#include "runtime/manifest/request_order.h"

#include <algorithm>
#include <tuple>

namespace flashmask {
namespace {

auto key_of(const KernelDescriptor& descriptor) {
  return std::tuple(descriptor.target.compute_capability, descriptor.target.arch_specific, descriptor.pass,
                    descriptor.dtype, descriptor.head_dim_qk, descriptor.head_dim_v, descriptor.mask_form,
                    descriptor.causal_alignment, descriptor.deterministic);
}

auto key_of(const TileConfig& config) {
  return std::tuple(config.tile_q, config.tile_k, config.warps, config.stages, config.query_in_registers,
                    config.column_warps, config.overlap, config.turns, config.query_slots);
}

}  // namespace

bool RequestOrder::operator()(const KernelRequest& a, const KernelRequest& b) const {
  const auto key_a = key_of(a.descriptor), key_b = key_of(b.descriptor);
  if (key_a != key_b) return key_a < key_b;
  if (!a.config || !b.config) return !a.config && b.config;
  return key_of(*a.config) < key_of(*b.config);
}

void sort_and_collapse(std::vector<KernelRequest>& requests) {
  std::sort(requests.begin(), requests.end(), RequestOrder{});
  requests.erase(std::unique(requests.begin(), requests.end()), requests.end());
}

}  // namespace flashmask
