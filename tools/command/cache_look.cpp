// flashmask cache list, show and stats.

#include <fmt/format.h>

#include <map>
#include <utility>

#include "flashmask/kernel_cache.h"
#include "tools/command/cache.h"
#include "tools/command/cache_report.h"
#include "tools/command/commands.h"
#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

std::string total_text(const CacheContents& contents, const std::string& place) {
  const std::size_t broken = contents.broken();
  return fmt::format("{} {} of {} in {}{}\n", contents.entries.size(),
                     contents.entries.size() == 1 ? "entry" : "entries", size_text(contents.bytes()), place,
                     broken > 0 ? fmt::format(", {} broken", broken) : "");
}

std::string details_text(const CacheEntry& entry) {
  std::string text = fmt::format("digest        {}\ntoolchain     {}\nfile          {}, {}\n", entry.digest,
                                 entry.toolchain_tag, entry.place, size_text(entry.bytes));
  if (entry.last_used) text += fmt::format("last used     {} UTC\n", time_text(*entry.last_used));
  if (!entry.record) return text + fmt::format("broken        {}: {}\n", entry.defect, entry.detail);
  const KernelRecord& record = *entry.record;
  const KernelResources& needs = record.resources;
  text += fmt::format("kernel        {}, tiles {}\nentry         {}\n", to_string(record.descriptor),
                      to_string(record.config), record.entry);
  text += fmt::format("registers     {} per thread\n", needs.registers);
  text += fmt::format("spills        {} bytes stored, {} bytes loaded; stack {} bytes\n", needs.spill_store_bytes,
                      needs.spill_load_bytes, needs.stack_bytes);
  text +=
      fmt::format("shared memory {} bytes dynamic, {} static\n", needs.dynamic_shared_bytes, needs.static_shared_bytes);
  text += fmt::format("compiled      by {}{}\n", record.toolchain, entry.has_ptx ? "" : "; its PTX was left out");
  if (!record.log.empty()) text += fmt::format("log\n{}{}", record.log, record.log.ends_with('\n') ? "" : "\n");
  return text;
}

struct Share {
  std::size_t entries = 0;
  std::uint64_t bytes = 0;
};

/// The sound kernels by one of their fields.
template <typename Field>
std::map<std::string, Share> shares(const CacheContents& contents, Field field) {
  std::map<std::string, Share> by_value;
  for (const CacheEntry& entry : contents.entries) {
    if (!entry.record) continue;
    Share& share = by_value[std::string(field(entry))];
    ++share.entries;
    share.bytes += entry.bytes;
  }
  return by_value;
}

using Shares = std::map<std::string, Share>;

/// What stats tells, in the order in which it tells it.
std::vector<std::pair<const char*, Shares>> all_shares(const CacheContents& contents) {
  return {
      {"target", shares(contents, [](const CacheEntry& entry) { return to_string(entry.record->descriptor.target); })},
      {"pass", shares(contents, [](const CacheEntry& entry) { return to_string(entry.record->descriptor.pass); })},
      {"toolchain", shares(contents, [](const CacheEntry& entry) { return entry.toolchain_tag; })}};
}

}  // namespace

ExitCode cache_list(const CacheListArguments& arguments) {
  std::string place = arguments.pack;
  CacheContents contents;
  if (arguments.pack.empty()) {
    const KernelCache cache(Policy::from_environment());
    place = cache.directory();
    contents = cache.list();
  } else {
    contents = read_pack(arguments.pack);
  }
  if (arguments.json) {
    nlohmann::ordered_json json = begin_json("cache list");
    json[arguments.pack.empty() ? "cache" : "pack"] = place;
    json.update(json_of(contents));
    print_result(finished_json(json));
  } else {
    print_result(entries_text(contents) + remainder_text(contents) + total_text(contents, place));
  }
  return kExitOk;
}

ExitCode cache_show(const CacheShowArguments& arguments) {
  const std::vector<CacheEntry> entries = KernelCache(Policy::from_environment()).find(arguments.digest);
  if (arguments.json) {
    nlohmann::ordered_json json = begin_json("cache show");
    json["entries"] = nlohmann::ordered_json::array();
    for (const CacheEntry& entry : entries) {
      json["entries"].push_back(json_of(entry));
      if (entry.record) json["entries"].back()["log"] = entry.record->log;
    }
    print_result(finished_json(json));
  } else {
    std::string text;
    for (const CacheEntry& entry : entries) text += (text.empty() ? "" : "\n") + details_text(entry);
    print_result(text);
  }
  return kExitOk;
}

ExitCode cache_stats(const CacheStatsArguments& arguments) {
  const KernelCache cache(Policy::from_environment());
  const CacheContents contents = cache.list();
  const bool is_limited = cache.byte_limit() != kUnlimitedCacheBytes;
  if (arguments.json) {
    nlohmann::ordered_json json = begin_json("cache stats");
    json["cache"] = cache.directory();
    json["limit_bytes"] = is_limited ? nlohmann::ordered_json(cache.byte_limit()) : nullptr;
    json.update(json_of(contents));
    json.erase("entries");
    for (const auto& [name, by_value] : all_shares(contents))
      for (const auto& [value, share] : by_value)
        json[fmt::format("by_{}", name)][value] = {{"count", share.entries}, {"bytes", share.bytes}};
    print_result(finished_json(json));
    return kExitOk;
  }
  std::string text = total_text(contents, cache.directory());
  text += fmt::format("limit         {}\n", is_limited ? size_text(cache.byte_limit()) : "none");
  for (const auto& [name, by_value] : all_shares(contents))
    for (const auto& [value, share] : by_value)
      text += fmt::format("{:<13} {:<16} {:>6}  {:>10}\n", name, value, share.entries, size_text(share.bytes));
  print_result(text + remainder_text(contents));
  return kExitOk;
}

}  // namespace flashmask::command
