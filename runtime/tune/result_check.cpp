#include "runtime/tune/result_check.h"

#include <cstdint>
#include <random>
#include <vector>

#include "runtime/tune/bench_tensors.h"

namespace flashmask::tune {
namespace {

/// A mask of the form whose bounds lie anywhere, also beyond the ends and in the wrong order.
Mask random_mask(const KernelDescriptor& descriptor, int seqlen_q, int seqlen_k) {
  MaskShape shape{.form = descriptor.mask_form,
                  .causal_alignment = descriptor.causal_alignment,
                  .seqlen_q = seqlen_q,
                  .seqlen_k = seqlen_k};
  if (descriptor.mask_form == MaskForm::kWindow) {
    shape.window_left = seqlen_k / 3;
    shape.window_right = seqlen_k / 8;
  }
  std::mt19937 random(17);
  std::uniform_int_distribution<std::int32_t> row(-3, seqlen_q + 3);
  std::vector<std::int32_t> bounds(static_cast<std::size_t>(seqlen_k) *
                                   static_cast<std::size_t>(vectors_per_column(descriptor.mask_form)));
  for (std::int32_t& bound : bounds) bound = row(random);
  return Mask(shape, std::move(bounds));
}

}  // namespace

std::string check_against_reference(Runtime& runtime, const Kernel& kernel) {
  const TileShape tile = kernel.tile();
  // A tile and a bit of queries, two and a bit of keys: whole tiles, cut ones, and more steps than one.
  const Mask mask = random_mask(kernel.descriptor(), tile.tile_q + 9, 2 * tile.tile_k + 5);
  BenchTensors tensors(runtime, kernel.descriptor(), {.batch = 1, .num_heads_q = 2, .num_heads_kv = 1}, mask, 5);
  tensors.spoil_results();
  const auto launch = tensors.prepare(kernel);
  launch->launch();
  runtime.device()->synchronize(nullptr);
  return tensors.compare_with_reference();
}

}  // namespace flashmask::tune
