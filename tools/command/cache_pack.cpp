// flashmask cache export, import and extract.

#include <fmt/format.h>

#include <algorithm>

#include "flashmask/error.h"
#include "flashmask/kernel_cache.h"
#include "tools/command/cache.h"
#include "tools/command/cache_report.h"
#include "tools/command/cache_steps.h"
#include "tools/command/commands.h"
#include "tools/command/interrupt.h"
#include "tools/command/output_path.h"
#include "tools/safetensors/atomic_file.h"

namespace flashmask::command {
namespace {

/// Runs work that stops between its steps when a signal comes, and undoes what is half-done.
template <typename Work>
auto run_in_steps(const char* what, Work&& work) {
  decltype(work(CacheProgress())) report;
  {
    const UninterruptedSection publishing;
    CacheSteps steps(what);
    try {
      report = work(steps.callback());
    } catch (const Interrupted&) {
      // The signal waits for the end of this section.
    }
  }
  if (is_interrupted()) end_by_interrupt();
  return report;
}

}  // namespace

ExitCode cache_extract(const CacheExtractArguments& arguments) {
  require_writable(arguments.output);
  const std::vector<std::byte> bytes =
      KernelCache(Policy::from_environment()).extract(arguments.digest, arguments.section);
  const UninterruptedSection publishing;
  safetensors::AtomicFile file(arguments.output);
  file.write(bytes);
  file.commit();
  return kExitOk;
}

ExitCode cache_export(const CacheExportArguments& arguments) {
  require_writable(arguments.output);
  const KernelCache cache(Policy::from_environment());
  ExportOptions options;
  options.drop_ptx = arguments.drop_ptx;
  if (!arguments.targets.empty())
    options.wanted = [&](const CacheEntry& entry) {
      return std::ranges::find(arguments.targets, entry.record->descriptor.target) != arguments.targets.end();
    };
  const std::string output = arguments.output.string();
  const ExportReport report = run_in_steps("exporting", [&](const CacheProgress& progress) {
    options.progress = progress;
    return cache.export_pack(output, options);
  });
  if (arguments.json) {
    nlohmann::ordered_json json = begin_json("cache export");
    json["cache"] = cache.directory();
    json["pack"] = output;
    json["count"] = report.entries;
    json["bytes"] = report.bytes;
    json["left_out"] = report.left_out;
    json["broken"] = report.broken;
    print_result(finished_json(json));
  } else {
    print_result(fmt::format("exported      {} kernels, {}, to {}\n", report.entries, size_text(report.bytes), output));
  }
  if (report.broken > 0)
    fmt::print(stderr, "flashmask: warning: {} broken files were left out; flashmask cache verify tells them\n",
               report.broken);
  return kExitOk;
}

ExitCode cache_import(const CacheImportArguments& arguments) {
  KernelCache cache(Policy::from_environment());
  const ImportReport report = run_in_steps("importing", [&](const CacheProgress& progress) {
    return cache.import_pack(arguments.pack, {arguments.targets, progress});
  });
  if (arguments.json) {
    nlohmann::ordered_json json = begin_json("cache import");
    json["cache"] = cache.directory();
    json["pack"] = arguments.pack;
    json["stored"] = report.stored;
    json["present"] = report.present;
    json["left_out"] = report.left_out;
    json["failures"] = report.failures;
    print_result(finished_json(json));
  } else {
    std::string text = fmt::format("stored        {} kernels in {}\n", report.stored, cache.directory());
    if (report.present > 0) text += fmt::format("present       {} were there already\n", report.present);
    if (report.left_out > 0) text += fmt::format("left out      {} for other targets\n", report.left_out);
    print_result(text);
  }
  for (const std::string& failure : report.failures) print_error(failure, "");
  if (report.failures.empty()) return kExitOk;
  return report.stored + report.present > 0 ? kExitPartly : kExitFailed;
}

}  // namespace flashmask::command
