#include "runtime/store/pack_export.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <utility>
#include <vector>

#include "cache/atomic_file.h"
#include "cache/pack_writer.h"
#include "cache/root.h"
#include "flashmask/error.h"
#include "runtime/store/kernel_listing.h"
#include "runtime/store/kernel_record.h"

namespace flashmask {
namespace {

// A pack is shipped to others, who read it; who may write it may write code that runs.
constexpr mode_t kPackMode = S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH;

std::vector<cache::PackName> choose(const CacheContents& contents, const ExportOptions& options, ExportReport& report) {
  std::vector<cache::PackName> names;
  for (const CacheEntry& kernel : contents.entries) {
    if (!kernel.record)
      ++report.broken;
    else if (options.wanted && !options.wanted(kernel))
      ++report.left_out;
    else
      names.push_back({*cache::Digest::from_hex(kernel.digest), kernel.toolchain_tag});
  }
  return names;
}

}  // namespace

ExportReport export_kernels(cache::Store& reader, const std::string& path, const ExportOptions& options) {
  ExportReport report;
  std::vector<cache::PackName> names = choose(list_kernels(reader), options, report);
  if (names.empty())
    throw Error(
        ErrorCode::kNotFound,
        fmt::format("there is nothing to export: the cache {} holds {} kernels that are not wanted and {} broken "
                    "files, and no other",
                    reader.directory(), report.left_out, report.broken),
        "Compile the kernels first, or ask for less.");

  const cache::EntrySource source = [&](const cache::PackName& name) {
    KernelReader judge;
    cache::LookupResult found = reader.lookup(name.digest, cache::TagPolicy::exact(name.tag), judge.validator());
    if (!found)
      throw Error(ErrorCode::kStorage,
                  fmt::format("the kernel {}-{} vanished while it was exported{}{}", name.digest.hex(), name.tag,
                              found.detail.empty() ? "" : ": ", found.detail),
                  "Nothing was left behind; export again.");
    return std::move(*found.entry);
  };
  cache::PackOptions packing;
  if (options.drop_ptx) packing.drop_sections.emplace_back(kPtxSection);
  packing.progress = options.progress;

  cache::AtomicFile file(cache::FileSystem::real(), AT_FDCWD, path, kPackMode);
  cache::PackSize size;
  try {
    size = cache::write_pack(file, std::move(names), source, packing);
  } catch (const cache::PackError& error) {
    throw Error(ErrorCode::kStorage, fmt::format("{}: {}", path, error.what()), "Nothing was left behind.");
  }
  if (const int error = file.commit(); error != 0)
    throw Error(ErrorCode::kStorage,
                fmt::format("{} cannot be written: {}: {}", path, file.failed_step(), cache::words_for(-error)),
                "Nothing was left behind; name a file in an existing, writable directory with enough space.");
  report.entries = size.entries;
  report.bytes = size.bytes;
  return report;
}

}  // namespace flashmask
