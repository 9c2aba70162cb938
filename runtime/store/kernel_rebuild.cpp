#include "runtime/store/kernel_rebuild.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "flashmask/error.h"
#include "runtime/store/kernel_listing.h"
#include "runtime/store/kernel_record.h"
#include "runtime/toolchain.h"

namespace flashmask {
namespace {

using Outcome = RebuiltKernel::Outcome;

void require_no_cache(const Policy& policy) {
  if (policy.cache_directory.empty() && policy.packs.empty() && policy.embedded_packs.empty() &&
      policy.read_only_directories.empty() && !policy.no_jit)
    return;
  throw Error(
      ErrorCode::kInvalidArgument,
      "a rebuild needs a runtime that finds no kernels and may compile, or it would compare a cache with itself",
      "Make it with without_cache(policy).");
}

/// Where two images part, or nothing.
std::optional<std::string> difference(std::string_view name, std::span<const std::byte> kept,
                                      std::span<const std::byte> built) {
  const auto [at, ignored] = std::mismatch(kept.begin(), kept.end(), built.begin(), built.end());
  if (at == kept.end() && kept.size() == built.size()) return std::nullopt;
  return fmt::format("the {} of {} bytes differs from byte {} on; compiled again it has {}", name, kept.size(),
                     at - kept.begin(), built.size());
}

/// Compiles and compares one kernel; learns the compiler's toolchain.
void rebuild(const cache::Entry& entry, Runtime& compiler, std::string& compiler_tag, RebuiltKernel& rebuilt) {
  const KernelRecord& record = *rebuilt.entry.record;
  const auto told = [&](Outcome outcome, std::string detail) {
    rebuilt.outcome = outcome;
    rebuilt.detail = std::move(detail);
  };
  const auto is_of_other_toolchain = [&] { return !compiler_tag.empty() && entry.toolchain_tag() != compiler_tag; };
  const auto other_toolchain = [&] {
    told(Outcome::kOtherToolchain, fmt::format("compiled by {}; here is {}", entry.toolchain_tag(), compiler_tag));
  };
  RequestOptions options;
  options.config = record.config;
  try {
    if (compiler.explain(record.descriptor, options).digest != rebuilt.entry.digest)
      return told(Outcome::kOtherText, "this version of FlashMask gives the kernel another text");
  } catch (const Error& error) {
    return told(Outcome::kOtherText, fmt::format("this version of FlashMask has no such kernel: {}", error.what()));
  }
  if (is_of_other_toolchain()) return other_toolchain();
  CompiledKernel built;
  try {
    built = compiler.compile(record.descriptor, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kCompile) throw;
    return told(Outcome::kFailed, error.what());
  }
  compiler_tag = toolchain_tag(built.toolchain);
  if (is_of_other_toolchain()) return other_toolchain();
  if (auto parted = difference("cubin", *entry.section(kCubinSection), built.cubin))
    return told(Outcome::kDifferent, std::move(*parted));
  if (const auto ptx = entry.section(kPtxSection))
    if (auto parted = difference("PTX", *ptx, std::as_bytes(std::span(built.ptx))))
      return told(Outcome::kDifferent, std::move(*parted));
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kEqual:
      return "equal";
    case Outcome::kDifferent:
      return "different";
    case Outcome::kOtherToolchain:
      return "other-toolchain";
    case Outcome::kOtherText:
      return "other-text";
    case Outcome::kFailed:
      return "failed";
  }
  return "unknown";
}

Policy without_cache(Policy policy) {
  policy.cache_directory.clear();
  policy.cache_refusal.clear();
  policy.packs.clear();
  policy.embedded_packs.clear();
  policy.read_only_directories.clear();
  policy.no_jit = false;
  return policy;
}

std::vector<RebuiltKernel> rebuild_kernels(cache::Store& reader, Runtime& compiler, const CacheProgress& progress) {
  require_no_cache(compiler.policy());
  CacheContents contents = list_kernels(reader);
  std::erase_if(contents.entries, [](const CacheEntry& kernel) { return !kernel.record; });
  std::vector<RebuiltKernel> rebuilt;
  std::string compiler_tag;
  for (CacheEntry& kernel : contents.entries) {
    KernelReader judge;
    const cache::LookupResult found = reader.lookup(*cache::Digest::from_hex(kernel.digest),
                                                    cache::TagPolicy::exact(kernel.toolchain_tag), judge.validator());
    if (found) {  // else it was removed meanwhile
      rebuilt.push_back({std::move(kernel), Outcome::kEqual, ""});
      rebuild(*found.entry, compiler, compiler_tag, rebuilt.back());
    }
    if (progress) progress(rebuilt.size(), contents.entries.size());
  }
  return rebuilt;
}

}  // namespace flashmask
