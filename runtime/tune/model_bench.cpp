#include "runtime/tune/model_bench.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "flashmask/mask_tiles.h"
#include "runtime/tune/bench_tensors.h"
#include "runtime/tune/result_check.h"

namespace flashmask::tune {
namespace {

/// A mask of the form that hides as little as the form can: what is counted is the work of full tiles.
Mask open_mask(const KernelDescriptor& descriptor, int seqlen) {
  const MaskShape shape{.form = descriptor.mask_form,
                        .causal_alignment = descriptor.causal_alignment,
                        .seqlen_q = seqlen,
                        .seqlen_k = seqlen};
  const auto vectors = static_cast<std::size_t>(vectors_per_column(descriptor.mask_form));
  std::vector<std::int32_t> bounds(static_cast<std::size_t>(seqlen) * vectors);
  // Lower intervals begin behind the last row; upper ones end before the first.
  for (std::size_t n = 0; n < bounds.size(); ++n) {
    const std::size_t vector = n % vectors;
    const bool is_upper = (descriptor.mask_form == MaskForm::kF2 && vector == 1) ||
                          (descriptor.mask_form == MaskForm::kF4 && vector >= 2);
    bounds[n] = is_upper ? 0 : seqlen;
  }
  return Mask(shape, std::move(bounds));
}

}  // namespace

WorkAmount work_of(const KernelDescriptor& descriptor, const Mask& mask, const TileShape& tile, int heads) {
  const TileMap map = classify_tiles(mask, tile);
  const double quarters = 4.0 * static_cast<double>(map.full_tiles()) + 5.0 * static_cast<double>(map.partial_tiles());
  const int blocks = descriptor.pass == Pass::kBackward ? map.key_tiles() : map.row_tiles();
  return {.quarters = quarters * heads,
          .tiles = static_cast<double>(map.full_tiles() + map.partial_tiles()) * heads,
          .blocks = static_cast<double>(blocks) * heads};
}

void ModelBench::check(const TileConfig& config) {
  const auto kernel = runtime_.request(problem_.descriptor, {.hint = {}, .config = config});
  if (const std::string wrong = check_against_reference(runtime_, *kernel); !wrong.empty())
    throw BenchFailure(TrialOutcome::kWrong, wrong);
}

ModelBench::Counted ModelBench::count(const Kernel& kernel, int tiles) {
  const TileShape tile = kernel.tile();
  const Mask mask = open_mask(kernel.descriptor(), tiles * std::max(tile.tile_q, tile.tile_k));
  BenchTensors tensors(runtime_, kernel.descriptor(), {}, mask, 3);
  const auto launch = tensors.prepare(kernel);
  static_cast<void>(runtime_.device()->take_statistics());
  launch->launch();
  runtime_.device()->synchronize(nullptr);
  return {work_of(kernel.descriptor(), mask, tile, 1), runtime_.device()->take_statistics()};
}

BenchTime ModelBench::time(const TileConfig& config, int) {
  const auto kernel = runtime_.request(problem_.descriptor, {.hint = {}, .config = config});
  const Counted small = count(*kernel, 1);
  const Counted large = count(*kernel, 2);
  const auto cost = [&](auto quantity) {
    return solve_cost(small.work, static_cast<double>(quantity(small.statistics)), large.work,
                      static_cast<double>(quantity(large.statistics)));
  };
  const LinearCost instructions = cost([](const LaunchStatistics& s) { return s.instructions; });
  const LinearCost conflicts = cost([](const LaunchStatistics& s) { return s.shared_bank_conflicts; });
  const LinearCost bytes = cost([](const LaunchStatistics& s) { return s.global_bytes_read + s.global_bytes_written; });
  const WorkAmount work = work_of(problem_.descriptor, mask_, kernel->tile(), problem_.batch * problem_.num_heads_q);
  return {.seconds = modelled_seconds(problem_.descriptor, config,
                                      {.instructions_per_quarter = instructions.per_quarter,
                                       .instructions_per_block = instructions.per_block,
                                       .conflicts_per_quarter = conflicts.per_quarter,
                                       .bytes_per_quarter = bytes.per_quarter,
                                       .bytes_per_block = bytes.per_block},
                                      work, modelled_gpu(problem_.descriptor.target))};
}

}  // namespace flashmask::tune
