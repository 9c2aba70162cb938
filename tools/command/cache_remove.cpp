// flashmask cache gc and clear.

#include "flashmask/error.h"
#include "flashmask/kernel_cache.h"
#include "tools/command/cache.h"
#include "tools/command/cache_report.h"
#include "tools/command/commands.h"

namespace flashmask::command {
namespace {

ExitCode report(const KernelCache& cache, const CacheRemoval& removal, const char* command, bool as_json) {
  if (as_json) {
    nlohmann::ordered_json json = begin_json(command);
    json["cache"] = cache.directory();
    json.update(json_of(removal));
    print_result(finished_json(json));
  } else {
    print_result(removal_text(removal));
  }
  if (removal.failure.empty()) return kExitOk;
  print_error(removal.failure, "");
  return kExitFailed;
}

}  // namespace

ExitCode cache_collect(const CacheCollectArguments& arguments) {
  KernelCache cache(Policy::from_environment());
  if (!arguments.bytes && cache.byte_limit() == kUnlimitedCacheBytes)
    throw Error(ErrorCode::kInvalidArgument, "FLASHMASK_CACHE_SIZE sets no limit: how much is to stay?",
                "name it: flashmask cache gc --size 2GiB");
  return report(cache, cache.collect(arguments.bytes.value_or(cache.byte_limit())), "cache gc", arguments.json);
}

ExitCode cache_clear(const CacheClearArguments& arguments) {
  KernelCache cache(Policy::from_environment());
  return report(cache, cache.clear(), "cache clear", arguments.json);
}

}  // namespace flashmask::command
