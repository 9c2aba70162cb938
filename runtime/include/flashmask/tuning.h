#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/kernel_record.h"
#include "flashmask/problem_hint.h"
#include "flashmask/tile_config.h"

namespace flashmask {

struct DeviceProperties;

/// What of a device decides which configuration is the fastest on it.
struct TuningGpu {
  std::string name;  ///< "NVIDIA H100 80GB HBM3"
  int compute_capability = 0;
  int multiprocessors = 0;
  std::uint64_t l2_bytes = 0;
  std::uint64_t shared_bytes_per_block = 0;

  friend bool operator==(const TuningGpu&, const TuningGpu&) = default;
};
FLASHMASK_API TuningGpu tuning_gpu(const DeviceProperties& properties);

/// Where seconds come from. What is modelled never answers for what is measured.
enum class TuningBasis {
  kMeasured,  ///< by the events of a GPU
  kModelled,  ///< by the cost model, of what the emulator counted
};
/// "measured" or "modelled".
FLASHMASK_API std::string_view to_string(TuningBasis basis);
FLASHMASK_API std::optional<TuningBasis> parse_tuning_basis(std::string_view text);

/// The problems that one answer serves. Lengths and heads are rounded up to powers of two; 0: unknown.
struct TuningBucket {
  int seqlen_q = 0;
  int seqlen_k = 0;
  int heads = 0;  ///< batch * num_heads_q
  DensityClass density = DensityClass::kUnknown;

  friend auto operator<=>(const TuningBucket&, const TuningBucket&) = default;
};
FLASHMASK_API TuningBucket bucket_of(const ProblemHint& hint);
/// "8192x8192, 16 heads, medium"; "?" for what is unknown.
FLASHMASK_API std::string to_string(const TuningBucket& bucket);

/// What an answer belongs to. Records under another key never answer for it exactly.
struct TuningKey {
  TuningBasis basis = TuningBasis::kMeasured;
  TuningGpu gpu;
  KernelDescriptor descriptor;
  TuningBucket bucket;
  std::string method;     ///< how it was measured, with a version: "events, cold L2, N(0,1), 1"
  std::string templates;  ///< hex digest of the templates that the descriptor's kernels are made of

  friend bool operator==(const TuningKey&, const TuningKey&) = default;
};

/// The circumstances of a measurement: kept beside it, never part of the key.
struct TuningProvenance {
  std::string driver;     ///< "13.0"; empty when modelled
  int sm_clock_mhz = 0;   ///< while it was measured; 0: not known
  std::string toolchain;  ///< "nvrtc 13.0.88"
  std::string library;    ///< version of this library
  std::string problem;    ///< that stood for the bucket, as the command takes it
  std::string effort;     ///< "quick", "normal" or "full"
  std::string date;       ///< UTC, "2026-11-27T12:00:00Z"

  friend bool operator==(const TuningProvenance&, const TuningProvenance&) = default;
};

/// What became of a configuration.
enum class TrialOutcome {
  kTimed,         ///< a finalist: it has rounds
  kSlow,          ///< its coarse time is too far behind the best
  kUncompilable,  ///< the compiler refused it
  kSpills,        ///< registers are spilled
  kSerialised,    ///< ptxas serialises its wgmma (a "(C75" line in its log)
  kWrong,         ///< its result differs from the reference
  kCrashed,
  kHung,
};
/// "timed", "slow", "uncompilable", "spills", "serialised", "wrong", "crashed" or "hung".
FLASHMASK_API std::string_view to_string(TrialOutcome outcome);
FLASHMASK_API std::optional<TrialOutcome> parse_trial_outcome(std::string_view text);

/// One configuration that was tried.
struct TuningTrial {
  TileConfig config;
  TrialOutcome outcome = TrialOutcome::kTimed;
  std::string reason;  ///< with numbers; empty for a finalist
  KernelResources resources;
  int ctas_per_sm = 0;         ///< by the resource model
  double compile_seconds = 0;  ///< 0: it was in the cache
  double coarse_seconds = 0;   ///< 0: it was not timed
};

/// One round of finalists, timed one after the other, so that what drifts is common to all of them.
struct TuningRound {
  std::string session;  ///< of the process that timed it
  int sm_clock_mhz = 0;
  std::vector<std::pair<TileConfig, double>> seconds;
};

/// An answer.
struct TuningRecord {
  TuningKey key;
  TileConfig config;
  TileConfig default_config;   ///< of the library that measured
  double seconds = 0;          ///< median of the chosen configuration
  double default_seconds = 0;  ///< median of the default
  double band = 0;             ///< relative noise band of the decision
  int rounds = 0;
  std::string reason;  ///< why this one, as a sentence
  TuningProvenance provenance;

  friend bool operator==(const TuningRecord&, const TuningRecord&) = default;
};

}  // namespace flashmask
