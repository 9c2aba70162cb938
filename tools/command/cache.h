#pragma once

#include "tools/command/cache_arguments.h"
#include "tools/command/exit_code.h"

namespace flashmask::command {

// Each does its work on the cache of the environment's policy and prints its result, as commands.h tells.

ExitCode cache_list(const CacheListArguments& arguments);
ExitCode cache_show(const CacheShowArguments& arguments);
ExitCode cache_stats(const CacheStatsArguments& arguments);
ExitCode cache_verify(const CacheVerifyArguments& arguments);
ExitCode cache_collect(const CacheCollectArguments& arguments);
ExitCode cache_clear(const CacheClearArguments& arguments);
ExitCode cache_extract(const CacheExtractArguments& arguments);
ExitCode cache_export(const CacheExportArguments& arguments);
ExitCode cache_import(const CacheImportArguments& arguments);

}  // namespace flashmask::command
