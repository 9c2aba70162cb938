#include "flashmask/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "flashmask/device.h"
#include "runtime/tune/names.h"

namespace flashmask {
namespace {

constexpr tune::Names<TuningBasis, 2> kBases = {
    {{TuningBasis::kMeasured, "measured"}, {TuningBasis::kModelled, "modelled"}}};

constexpr tune::Names<TrialOutcome, 8> kOutcomes = {{{TrialOutcome::kTimed, "timed"},
                                                     {TrialOutcome::kSlow, "slow"},
                                                     {TrialOutcome::kUncompilable, "uncompilable"},
                                                     {TrialOutcome::kSpills, "spills"},
                                                     {TrialOutcome::kSerialised, "serialised"},
                                                     {TrialOutcome::kWrong, "wrong"},
                                                     {TrialOutcome::kCrashed, "crashed"},
                                                     {TrialOutcome::kHung, "hung"}}};

/// The greatest power of two that an int holds: what is longer belongs to it, too.
constexpr int kLargestBucket = 1 << 30;

int rounded_up(int extent) {
  if (extent <= 0) return 0;
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(std::min(extent, kLargestBucket))));
}

std::string known(int extent) {
  return extent > 0 ? std::to_string(extent) : "?";
}

}  // namespace

TuningGpu tuning_gpu(const DeviceProperties& properties) {
  return {properties.name, properties.target.compute_capability, properties.multiprocessors, properties.l2_bytes,
          properties.shared_bytes_per_block};
}

std::string_view to_string(TuningBasis basis) {
  return tune::name_of(kBases, basis);
}

std::optional<TuningBasis> parse_tuning_basis(std::string_view text) {
  return tune::value_named(kBases, text);
}

std::string_view to_string(TrialOutcome outcome) {
  return tune::name_of(kOutcomes, outcome);
}

std::optional<TrialOutcome> parse_trial_outcome(std::string_view text) {
  return tune::value_named(kOutcomes, text);
}

TuningBucket bucket_of(const ProblemHint& hint) {
  return {rounded_up(hint.seqlen_q), rounded_up(hint.seqlen_k), rounded_up(hint.heads), density_class(hint.density)};
}

std::string to_string(const TuningBucket& bucket) {
  return fmt::format("{}x{}, {} {}, {}", known(bucket.seqlen_q), known(bucket.seqlen_k), known(bucket.heads),
                     bucket.heads == 1 ? "head" : "heads",
                     bucket.density == DensityClass::kUnknown ? "?" : to_string(bucket.density));
}

}  // namespace flashmask
