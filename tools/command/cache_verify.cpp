#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "flashmask/kernel_cache.h"
#include "tools/command/cache.h"
#include "tools/command/cache_report.h"
#include "tools/command/cache_steps.h"
#include "tools/command/commands.h"

namespace flashmask::command {
namespace {

using Outcome = RebuiltKernel::Outcome;

bool is_failure(const RebuiltKernel& rebuilt) {
  return rebuilt.outcome == Outcome::kDifferent || rebuilt.outcome == Outcome::kFailed;
}

std::string rebuilt_text(const std::vector<RebuiltKernel>& rebuilt) {
  std::map<std::string_view, std::size_t> counts;
  std::string text;
  for (const RebuiltKernel& each : rebuilt) {
    ++counts[to_string(each.outcome)];
    if (each.outcome != Outcome::kEqual)
      text += fmt::format("{:<13} {}: {}: {}\n", to_string(each.outcome), each.entry.digest.substr(0, 12),
                          to_string(each.entry.record->descriptor), each.detail);
  }
  for (const auto& [name, count] : counts) text += fmt::format("rebuilt       {} {}\n", count, name);
  return text;
}

nlohmann::ordered_json json_of(const RebuiltKernel& rebuilt) {
  return {{"digest", rebuilt.entry.digest},
          {"toolchain", rebuilt.entry.toolchain_tag},
          {"place", rebuilt.entry.place},
          {"outcome", to_string(rebuilt.outcome)},
          {"detail", rebuilt.detail}};
}

std::vector<RebuiltKernel> rebuild(const KernelCache& cache, const Policy& policy) {
  CacheSteps steps("compiling again");
  Runtime compiler(nullptr, without_cache(policy));
  return cache.rebuild(compiler, steps.callback());
}

}  // namespace

ExitCode cache_verify(const CacheVerifyArguments& arguments) {
  CacheContents contents;
  CacheRemoval removal;
  std::vector<RebuiltKernel> rebuilt;
  std::string place = arguments.pack;
  if (arguments.pack.empty()) {
    const Policy policy = Policy::from_environment();
    KernelCache cache(policy);
    place = cache.directory();
    contents = cache.list();
    if (arguments.remove) removal = cache.remove_broken();
    if (arguments.rebuild) rebuilt = rebuild(cache, policy);
  } else {
    contents = read_pack(arguments.pack);
  }
  const std::size_t broken = contents.broken();
  const std::size_t left = broken - std::min<std::size_t>(broken, removal.files);
  const bool ok = left == 0 && contents.failure.empty() && removal.failure.empty() &&
                  std::none_of(rebuilt.begin(), rebuilt.end(), is_failure);
  if (arguments.json) {
    nlohmann::ordered_json json = begin_json("cache verify");
    json[arguments.pack.empty() ? "cache" : "pack"] = place;
    json["ok"] = ok;
    json.update(command::json_of(contents));
    if (arguments.remove) json["removed"] = command::json_of(removal);
    if (arguments.rebuild) {
      json["rebuilt"] = nlohmann::ordered_json::array();
      for (const RebuiltKernel& each : rebuilt) json["rebuilt"].push_back(json_of(each));
    }
    print_result(finished_json(json));
  } else {
    CacheContents unsound = contents;
    std::erase_if(unsound.entries, [](const CacheEntry& entry) { return entry.record.has_value(); });
    std::string text = entries_text(unsound) + remainder_text(contents);
    if (arguments.remove) text += removal_text(removal);
    text += rebuilt_text(rebuilt);
    print_result(text + fmt::format("{}: {} sound, {} broken{}\n", place, contents.entries.size() - broken, broken,
                                    ok ? "" : "; not in order"));
  }
  if (!removal.failure.empty()) print_error(removal.failure, "");
  return ok ? kExitOk : kExitFailed;
}

}  // namespace flashmask::command
