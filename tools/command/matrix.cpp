#include "tools/command/matrix.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>

#include "tools/command/interrupt.h"
#include "tools/command/progress.h"

namespace flashmask::command {
namespace {

constexpr int kBarWidth = 20;

MatrixOutcome outcome_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
      return MatrixOutcome::kUnsupported;
    case ErrorCode::kNotCached:
      return MatrixOutcome::kNotCached;
    default:
      return MatrixOutcome::kFailed;
  }
}

/// Every rule that a request breaks, where its target has tiles to choose from.
std::vector<std::string> rules_broken_by(const KernelRequest& request) {
  std::vector<std::string> rules = broken_rules(request.descriptor);
  if (rules.empty() && request.config) rules = broken_rules(request.descriptor, *request.config);
  return rules;
}

void make(Runtime& runtime, MatrixKernel& kernel) {
  if (const std::vector<std::string> rules = rules_broken_by(kernel.request); !rules.empty()) {
    kernel.outcome = MatrixOutcome::kUnsupported;
    kernel.reason = fmt::format("{}", fmt::join(rules, "; "));
    return;
  }
  RequestOptions options;
  options.config = kernel.request.config;
  const CompiledKernel made = runtime.compile(kernel.request.descriptor, options);
  runtime.forget_images(made.digest);
  kernel.config = made.config;
  kernel.digest = made.digest;
  kernel.origin = made.origin;
  kernel.toolchain = made.toolchain;
  kernel.compile_seconds = made.compile_seconds;
  kernel.cubin_bytes = made.cubin.size();
  kernel.resources = made.resources;
  kernel.outcome = made.origin == KernelOrigin::kCompiled ? MatrixOutcome::kCompiled : MatrixOutcome::kFound;
}

/// Looks whether the cache serves what was found or compiled: it may have failed to keep it, or have made room since.
void look_again(const Runtime& runtime, MatrixKernel& kernel) {
  if (kernel.outcome != MatrixOutcome::kFound && kernel.outcome != MatrixOutcome::kCompiled) return;
  RequestOptions options;
  options.config = kernel.request.config;
  const Explanation told = runtime.explain(kernel.request.descriptor, options);
  if (told.origin != KernelOrigin::kCompiled) return;
  kernel.reason =
      fmt::format("it was {}, and the cache does not hold it: {}", to_string(kernel.outcome), told.cache_miss);
  kernel.hint = "the warnings say why; a cache that is too small is given more by FLASHMASK_CACHE_SIZE";
  kernel.outcome = MatrixOutcome::kFailed;
}

void try_to_make(Runtime& runtime, MatrixKernel& kernel) {
  try {
    make(runtime, kernel);
  } catch (const Error& error) {
    kernel.outcome = outcome_of(error.code());
    kernel.reason = error.what();
    kernel.hint = error.hint();
    if (kernel.outcome == MatrixOutcome::kNotCached) {
      // Said once for all of them, not with a command for each.
      kernel.reason = "the cache does not hold it, and compiling is forbidden (FLASHMASK_NO_JIT)";
      kernel.hint = "the same command with FLASHMASK_NO_JIT=0 compiles them";
    }
  } catch (const std::exception& error) {
    kernel.outcome = MatrixOutcome::kFailed;
    kernel.reason = error.what();
  }
}

}  // namespace

std::string_view to_string(MatrixOutcome outcome) {
  switch (outcome) {
    case MatrixOutcome::kLeft:
      return "left";
    case MatrixOutcome::kFound:
      return "found";
    case MatrixOutcome::kCompiled:
      return "compiled";
    case MatrixOutcome::kUnsupported:
      return "unsupported";
    case MatrixOutcome::kFailed:
      return "failed";
    case MatrixOutcome::kNotCached:
      return "not cached";
  }
  return "unknown";
}

std::size_t MatrixCounts::finished() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < kMatrixOutcomes; ++i)
    if (static_cast<MatrixOutcome>(i) != MatrixOutcome::kLeft) sum += counts_[i].load();
  return sum;
}

std::vector<MatrixKernel> kernels_of(const Runtime& runtime, const std::vector<KernelRequest>& requests) {
  std::vector<MatrixKernel> kernels;
  const auto is_named = [&](const KernelRequest& wanted) {
    return std::ranges::find(requests, wanted) != requests.end();
  };
  for (const KernelRequest& request : requests) {
    kernels.emplace_back().request = request;
    if (request.config) continue;
    for (const TileConfig& config : runtime.tuned_configs(request.descriptor)) {
      KernelRequest tuned{request.descriptor, config};
      if (config == default_tile_config(request.descriptor) || is_named(tuned)) continue;
      MatrixKernel& kernel = kernels.emplace_back();
      kernel.request = std::move(tuned);
      kernel.is_tuned = true;
    }
  }
  return kernels;
}

void compile_matrix(Runtime& runtime, std::vector<MatrixKernel>& kernels, int jobs, MatrixCounts& counts) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i; !is_interrupted() && (i = next++) < kernels.size();) {
      try_to_make(runtime, kernels[i]);
      counts.add(kernels[i].outcome);
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 1; i < jobs && static_cast<std::size_t>(i) < kernels.size(); ++i) threads.emplace_back(work);
    work();
  }
  for (MatrixKernel& kernel : kernels) look_again(runtime, kernel);
}

std::string status_line(const MatrixCounts& counts, std::chrono::duration<double> elapsed) {
  const std::size_t finished = counts.finished(), compiled = counts.of(MatrixOutcome::kCompiled);
  std::string line =
      fmt::format("{} {}/{}:", progress_bar(static_cast<int>(finished), static_cast<int>(counts.kernels()), kBarWidth),
                  finished, counts.kernels());
  const char* separator = " ";
  for (const MatrixOutcome outcome : {MatrixOutcome::kFound, MatrixOutcome::kCompiled, MatrixOutcome::kUnsupported,
                                      MatrixOutcome::kFailed, MatrixOutcome::kNotCached}) {
    if (counts.of(outcome) == 0) continue;
    line += fmt::format("{}{} {}", separator, counts.of(outcome), to_string(outcome));
    separator = ", ";
  }
  if (compiled == 0) return line;
  const double seconds = elapsed.count() / static_cast<double>(compiled);
  const auto left = std::llround(seconds * static_cast<double>(counts.kernels() - finished));
  return line + fmt::format("; {}:{:02} left", left / 60, left % 60);
}

}  // namespace flashmask::command
