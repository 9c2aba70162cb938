#include "tools/command/cache.h"

#include <variant>

#include "tools/command/commands.h"

namespace flashmask::command {
namespace {

struct Dispatch {
  ExitCode operator()(const CacheListArguments& arguments) const { return cache_list(arguments); }
  ExitCode operator()(const CacheShowArguments& arguments) const { return cache_show(arguments); }
  ExitCode operator()(const CacheStatsArguments& arguments) const { return cache_stats(arguments); }
  ExitCode operator()(const CacheVerifyArguments& arguments) const { return cache_verify(arguments); }
  ExitCode operator()(const CacheCollectArguments& arguments) const { return cache_collect(arguments); }
  ExitCode operator()(const CacheClearArguments& arguments) const { return cache_clear(arguments); }
  ExitCode operator()(const CacheExtractArguments& arguments) const { return cache_extract(arguments); }
  ExitCode operator()(const CacheExportArguments& arguments) const { return cache_export(arguments); }
  ExitCode operator()(const CacheImportArguments& arguments) const { return cache_import(arguments); }
};

}  // namespace

ExitCode cache(const CacheArguments& arguments) {
  return std::visit(Dispatch{}, arguments);
}

}  // namespace flashmask::command
