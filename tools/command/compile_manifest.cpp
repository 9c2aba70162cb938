#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>

#include "flashmask/runtime.h"
#include "tools/command/commands.h"
#include "tools/command/interrupt.h"
#include "tools/command/matrix_report.h"
#include "tools/command/progress.h"

namespace flashmask::command {
namespace {

void require_cache(const Policy& policy) {
  // Where nothing may be compiled, packs and read-only directories do.
  if (!policy.cache_directory.empty() || policy.no_jit) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("there is no cache that the kernels could be compiled into: {}",
                          policy.cache_refusal.empty() ? "FLASHMASK_CACHE_DIR=off" : policy.cache_refusal),
              "name one: FLASHMASK_CACHE_DIR=/absolute/directory");
}

MatrixRun run_matrix(const CompileManifestArguments& arguments, const Manifest& manifest, Policy policy) {
  using Clock = std::chrono::steady_clock;
  MatrixRun run;
  run.manifest = arguments.manifest;
  run.cache_directory = policy.cache_directory;
  run.jobs = arguments.jobs.value_or(static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  MatrixCounts counts;
  const Clock::time_point start = Clock::now();
  Progress progress([&counts, start] { return status_line(counts, Clock::now() - start); });
  policy.log = [&progress](LogLevel level, const std::string& message) { progress.log(level, message); };
  for (const std::string& warning : manifest.warnings) progress.log(LogLevel::kWarning, warning);
  Runtime runtime(nullptr, std::move(policy));
  run.kernels = kernels_of(runtime, manifest.requests);
  counts.expect(run.kernels.size());
  compile_matrix(runtime, run.kernels, run.jobs, counts);
  run.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return run;
}

}  // namespace

ExitCode compile_manifest(const CompileManifestArguments& arguments) {
  const Manifest manifest = read_manifest(arguments.manifest, arguments.targets);
  Policy policy = Policy::from_environment();
  require_cache(policy);
  MatrixRun run;
  {
    const UninterruptedSection publishing;
    run = run_matrix(arguments, manifest, std::move(policy));
    fmt::print(stderr, "{}", missing_text(run.kernels));
    print_result(arguments.json ? report_json(run) : report_text(run));
  }
  if (is_interrupted()) end_by_interrupt();
  return exit_code_of(run);
}

}  // namespace flashmask::command
