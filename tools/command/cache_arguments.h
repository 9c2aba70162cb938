#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flashmask/kernel_descriptor.h"

namespace flashmask::command {

struct CacheListArguments {
  std::string pack;  ///< list this pack instead of the cache; empty: the cache
  bool json = false;
};

struct CacheShowArguments {
  std::string digest;  ///< its first digits
  bool json = false;
};

struct CacheStatsArguments {
  bool json = false;
};

struct CacheVerifyArguments {
  std::string pack;      ///< verify this pack instead of the cache; empty: the cache
  bool rebuild = false;  ///< compile every kernel again and compare
  bool remove = false;   ///< remove what is broken
  bool json = false;
};

/// `flashmask cache gc`.
struct CacheCollectArguments {
  std::optional<std::uint64_t> bytes;  ///< empty: what FLASHMASK_CACHE_SIZE allows
  bool json = false;
};

struct CacheClearArguments {
  bool json = false;
};

struct CacheExtractArguments {
  std::string digest;  ///< its first digits
  std::string section;
  std::filesystem::path output;
};

struct CacheExportArguments {
  std::filesystem::path output;
  std::vector<Target> targets;  ///< empty: all
  bool drop_ptx = false;
  bool json = false;
};

struct CacheImportArguments {
  std::string pack;
  std::vector<Target> targets;  ///< empty: all
  bool json = false;
};

using CacheArguments = std::variant<CacheListArguments, CacheShowArguments, CacheStatsArguments, CacheVerifyArguments,
                                    CacheCollectArguments, CacheClearArguments, CacheExtractArguments,
                                    CacheExportArguments, CacheImportArguments>;

}  // namespace flashmask::command
