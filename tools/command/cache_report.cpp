#include "tools/command/cache_report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "tools/command/kernel_json.h"

namespace flashmask::command {
namespace {

constexpr std::size_t kShownDigits = 12;

int spills_of(const KernelResources& resources) {
  return resources.spill_store_bytes + resources.spill_load_bytes;
}

int shared_of(const KernelResources& resources) {
  return resources.static_shared_bytes + resources.dynamic_shared_bytes;
}

std::tm utc(std::chrono::system_clock::time_point time) {
  return fmt::gmtime(std::chrono::system_clock::to_time_t(time));
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  const auto number = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  if (bytes < std::uint64_t{1} << 20) return fmt::format("{:.1f} KiB", number / 1024);
  return fmt::format("{:.1f} MiB", number / (1 << 20));
}

std::string time_text(std::chrono::system_clock::time_point time) {
  return fmt::format("{:%Y-%m-%d %H:%M}", utc(time));
}

std::string entries_text(const CacheContents& contents) {
  std::vector<const CacheEntry*> sound;
  for (const CacheEntry& entry : contents.entries)
    if (entry.record) sound.push_back(&entry);
  std::ranges::stable_sort(sound, {}, [](const CacheEntry* entry) { return to_string(entry->record->descriptor); });
  std::size_t kernel_width = std::string_view("kernel").size(), tiles_width = std::string_view("tiles").size(),
              toolchain_width = std::string_view("toolchain").size();
  for (const CacheEntry* entry : sound) {
    kernel_width = std::max(kernel_width, to_string(entry->record->descriptor).size());
    tiles_width = std::max(tiles_width, to_string(entry->record->config).size());
    toolchain_width = std::max(toolchain_width, entry->toolchain_tag.size());
  }
  std::string text;
  const auto line = [&](auto&&... cells) {
    text += fmt::format("{:<{}}  {:<{}}  {:<{}}  {:<{}}  {:>9}  {:>6}  {:>6}  {:>10}  {}\n", cells...);
  };
  if (!sound.empty())
    line("digest", kShownDigits, "kernel", kernel_width, "tiles", tiles_width, "toolchain", toolchain_width,
         "registers", "spills", "shared", "size", "last used (UTC)");
  for (const CacheEntry* entry : sound) {
    const KernelRecord& record = *entry->record;
    line(entry->digest.substr(0, kShownDigits), kShownDigits, to_string(record.descriptor), kernel_width,
         to_string(record.config), tiles_width, entry->toolchain_tag, toolchain_width, record.resources.registers,
         spills_of(record.resources), shared_of(record.resources), size_text(entry->bytes),
         entry->last_used ? time_text(*entry->last_used)
         : entry->has_ptx ? "-"
                          : "-, without PTX");
  }
  for (const CacheEntry& entry : contents.entries)
    if (!entry.record)
      text += fmt::format("broken        {}{}: {}\n", entry.place,
                          entry.last_used ? "" : fmt::format(", {}-{}", entry.digest, entry.toolchain_tag),
                          entry.detail.empty() ? entry.defect : entry.detail);
  return text;
}

std::string remainder_text(const CacheContents& contents) {
  std::string text;
  if (contents.temporary_files > 0)
    text += fmt::format("temporary     {} files of {}, being written or left by killed processes\n",
                        contents.temporary_files, size_text(contents.temporary_bytes));
  for (const std::string& stray : contents.strays) text += fmt::format("stray         {}\n", stray);
  if (!contents.failure.empty()) text += fmt::format("not read      {}\n", contents.failure);
  return text;
}

std::string removal_text(const CacheRemoval& removal) {
  std::string text = fmt::format("removed       {} files of {}\n", removal.files, size_text(removal.bytes));
  if (removal.temporary_files > 0) text += fmt::format("temporary     {} files removed\n", removal.temporary_files);
  if (removal.kept > 0)
    text += fmt::format("kept          {} files that were used meanwhile or are not the cache's\n", removal.kept);
  return text;
}

nlohmann::ordered_json json_of(const CacheEntry& entry) {
  nlohmann::ordered_json json = {{"digest", entry.digest}, {"toolchain", entry.toolchain_tag},
                                 {"place", entry.place},   {"bytes", entry.bytes},
                                 {"last_used", nullptr},   {"sound", entry.record.has_value()}};
  if (entry.last_used) json["last_used"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc(*entry.last_used));
  if (entry.record) {
    const KernelRecord& record = *entry.record;
    json["descriptor"] = json_of(record.descriptor);
    json["config"] = json_of(record.config);
    json["entry"] = record.entry;
    json["resources"] = json_of(record.resources);
    json["has_ptx"] = entry.has_ptx;
  } else {
    json["defect"] = entry.defect;
    json["detail"] = entry.detail;
  }
  return json;
}

nlohmann::ordered_json json_of(const CacheContents& contents) {
  nlohmann::ordered_json json = {{"count", contents.entries.size()},
                                 {"broken", contents.broken()},
                                 {"bytes", contents.bytes()},
                                 {"temporary_files", contents.temporary_files},
                                 {"temporary_bytes", contents.temporary_bytes},
                                 {"strays", contents.strays},
                                 {"failure", contents.failure}};
  json["entries"] = nlohmann::ordered_json::array();
  for (const CacheEntry& entry : contents.entries) json["entries"].push_back(json_of(entry));
  return json;
}

nlohmann::ordered_json json_of(const CacheRemoval& removal) {
  return {{"files", removal.files},
          {"bytes", removal.bytes},
          {"temporary_files", removal.temporary_files},
          {"kept", removal.kept},
          {"failure", removal.failure}};
}

nlohmann::ordered_json begin_json(std::string_view command) {
  return {{"schema", kSchema}, {"command", command}, {"version", version()}};
}

std::string finished_json(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace flashmask::command
