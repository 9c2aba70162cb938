#include "runtime/store/pack_import.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <set>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "flashmask/error.h"
#include "runtime/store/entry_check.h"
#include "runtime/store/kernel_listing.h"

namespace flashmask {
namespace {

constexpr std::size_t kToldRefusals = 8;

/// The entries that are to be stored, once all of the pack was found good.
std::vector<const cache::PackRecord*> check(const cache::Pack& pack, const ImportOptions& options,
                                            ImportReport& report) {
  std::vector<const cache::PackRecord*> chosen;
  std::vector<std::string> refusals;
  std::set<std::string> targets;
  std::size_t done = 0;
  for (const cache::PackRecord& entry : pack.records()) {
    KernelRecord record;
    const cache::LookupResult found =
        pack.read(entry, [&](const cache::Entry& judged) { return refuse_entry(judged, record); });
    if (!found)
      refusals.push_back(found.detail);
    else if (targets.insert(to_string(record.descriptor.target));
             !options.targets.empty() &&
             std::ranges::find(options.targets, record.descriptor.target) == options.targets.end())
      ++report.left_out;
    else
      chosen.push_back(&entry);
    if (options.progress) options.progress(++done, 2 * pack.records().size());
  }
  if (!refusals.empty()) {
    const std::size_t told = std::min(refusals.size(), kToldRefusals);
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("nothing was imported, as {} of {} entries are refused:\n  {}{}", refusals.size(),
                            pack.records().size(), fmt::join(std::span(refusals).first(told), "\n  "),
                            told < refusals.size() ? fmt::format("\n  and {} more", refusals.size() - told) : ""),
                "Export the pack anew, with the version of FlashMask that is to use it.");
  }
  if (chosen.empty() && !options.targets.empty()) {
    std::vector<std::string> wanted;
    for (const Target target : options.targets) wanted.push_back(to_string(target));
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("the pack {} holds kernels for {}; wanted are those for {}", pack.name(),
                    targets.empty() ? "nothing" : fmt::format("{}", fmt::join(targets, ", ")), fmt::join(wanted, ", ")),
        "Export a pack of kernels that were compiled for these targets.");
  }
  return chosen;
}

/// A copy of an entry that nobody else can write, judged anew: between the first check and this one the pack's file may
/// have been changed.
cache::LookupResult private_copy(const cache::Pack& pack, const cache::PackRecord& record) {
  cache::LookupResult found = pack.read(record);
  if (!found) return found;
  const std::span<const std::byte> bytes = found.entry->bytes();
  const auto copy = std::make_shared_for_overwrite<std::byte[]>(bytes.size());
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  auto decoded = cache::decode(copy, bytes.size());
  cache::Entry* entry = std::get_if<cache::Entry>(&decoded);
  KernelRecord ignored;
  if (!entry || entry->digest() != record.digest || entry->toolchain_tag() != record.tag ||
      refuse_entry(*entry, ignored))
    return cache::miss(cache::MissReason::kCorrupt,
                       fmt::format("the pack {} was changed while it was imported", pack.name()));
  found.entry = std::move(*entry);
  return found;
}

/// Whether the directory holds this kernel, with as much as the pack gives.
bool is_present(cache::Store& reader, const cache::Entry& entry) {
  KernelReader judge;
  const cache::LookupResult found =
      reader.lookup(entry.digest(), cache::TagPolicy::exact(std::string(entry.toolchain_tag())), judge.validator());
  return found && (found.entry->section(kPtxSection) || !entry.section(kPtxSection));
}

}  // namespace

ImportReport import_kernels(cache::Store& reader, cache::Store& writer, std::uint64_t byte_limit,
                            const std::string& path, const ImportOptions& options) {
  const std::shared_ptr<const cache::Pack> pack = require_pack(path);
  ImportReport report;
  const std::vector<const cache::PackRecord*> chosen = check(*pack, options, report);
  std::uint64_t bytes = 0;
  for (const cache::PackRecord* record : chosen) bytes += record->size;
  if (bytes > byte_limit)
    throw Error(ErrorCode::kStorage,
                fmt::format("the kernels of the pack {} take {} bytes, and the cache {} may grow to {}", path, bytes,
                            writer.directory(), byte_limit),
                fmt::format("Raise FLASHMASK_CACHE_SIZE, or use the pack as it is: FLASHMASK_PACKS={}", path));

  std::size_t done = 2 * pack->records().size() - chosen.size();
  for (const cache::PackRecord* record : chosen) {
    const cache::LookupResult found = private_copy(*pack, *record);
    if (!found) throw Error(ErrorCode::kInvalidArgument, found.detail, "Import it again.");
    const cache::Entry& entry = *found.entry;
    if (is_present(reader, entry)) {
      ++report.present;
    } else {
      const cache::PublishOutcome outcome =
          writer.publish({entry.digest(), entry.toolchain_tag(), entry.metadata(), entry.sections()});
      if (outcome)
        ++report.stored;
      else
        report.failures.push_back(outcome.failure);
    }
    if (options.progress) options.progress(++done, 2 * pack->records().size());
  }
  return report;
}

}  // namespace flashmask
