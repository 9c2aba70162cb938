#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "flashmask/manifest.h"
#include "flashmask/runtime.h"

namespace flashmask::command {

/// What became of a kernel of a manifest.
enum class MatrixOutcome {
  kLeft,         ///< nothing yet: an interrupt came before
  kFound,        ///< the cache had it
  kCompiled,     ///< now, and the cache has it
  kUnsupported,  ///< its target cannot have it
  kFailed,       ///< it could not be compiled or kept
  kNotCached,    ///< it is not in the cache, and the policy forbids to compile
};
inline constexpr std::size_t kMatrixOutcomes = 6;
std::string_view to_string(MatrixOutcome outcome);

struct MatrixKernel {
  KernelRequest request;
  bool is_tuned = false;  ///< not of the manifest: answers of tuning name its configuration
  MatrixOutcome outcome = MatrixOutcome::kLeft;
  std::string reason;  ///< every broken rule, or what failed; empty where nothing is wrong
  std::string hint;
  // Of what was found or compiled:
  TileConfig config;
  std::string digest;
  KernelOrigin origin = KernelOrigin::kCompiled;
  std::string toolchain;
  double compile_seconds = 0;  ///< what compiling took; 0: it was found
  std::size_t cubin_bytes = 0;
  KernelResources resources;
};

/// How many kernels had which outcome, while they are being made. Thread-safe.
class MatrixCounts {
 public:
  /// How many there are to make.
  void expect(std::size_t kernels) { kernels_ = kernels; }
  void add(MatrixOutcome outcome) { ++counts_[static_cast<std::size_t>(outcome)]; }
  std::size_t of(MatrixOutcome outcome) const { return counts_[static_cast<std::size_t>(outcome)].load(); }
  std::size_t kernels() const { return kernels_.load(); }
  /// All that had an outcome.
  std::size_t finished() const;

 private:
  std::atomic<std::size_t> kernels_{0};
  std::atomic<std::size_t> counts_[kMatrixOutcomes]{};
};

/// The kernels of a manifest, and behind each request that names no configuration those that answers of tuning name for
/// it (Runtime::tuned_configs()), which a request may take instead; none twice.
std::vector<MatrixKernel> kernels_of(const Runtime& runtime, const std::vector<KernelRequest>& requests);

/// Finds or compiles every kernel, with so many threads, in their order. What the runtime's cache does not hold
/// afterwards counts as failed. Stops early once is_interrupted(); what is under way then is finished and kept.
void compile_matrix(Runtime& runtime, std::vector<MatrixKernel>& kernels, int jobs, MatrixCounts& counts);

/// One line of progress: a bar, the counts, and the time left if as many more have to be compiled as are not looked at.
std::string status_line(const MatrixCounts& counts, std::chrono::duration<double> elapsed);

}  // namespace flashmask::command
