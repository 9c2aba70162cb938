#include "flashmask/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "flashmask/error.h"
#include "runtime/manifest/read_axes.h"
#include "runtime/manifest/request_order.h"
#include "runtime/manifest/torn_blocks.h"

namespace flashmask {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::string_view kVersionKey = "version";
constexpr std::string_view kKernelsKey = "kernels";
constexpr std::array kKeys = {kVersionKey, kKernelsKey};

void judge_version(const TomlTable& document, TextErrors& errors) {
  for (const TomlKey& key : document) {
    if (key.name != kVersionKey) continue;
    if (const auto* version = std::get_if<std::int64_t>(&key.value.content); !version || *version != kVersion)
      errors.add(key.value.place,
                 fmt::format("version = {}: this library reads version {}", shown(key.value), kVersion));
    return;
  }
  errors.add({}, fmt::format("a manifest begins with its version: version = {}", kVersion));
}

void read_tables(const TomlKey& key, const std::vector<Target>& targets, std::vector<KernelRequest>& requests,
                 TextErrors& errors) {
  const auto* tables = std::get_if<TomlArray>(&key.value.content);
  if (!tables) {
    errors.add(key.place, fmt::format("kernels = {}: tables are needed, each headed [[kernels]]", shown(key.value)));
    return;
  }
  for (const TomlValue& value : *tables) {
    const auto* table = std::get_if<TomlTable>(&value.content);
    if (!table) {
      errors.add(value.place, fmt::format("kernels = [{}]: tables are needed, each headed [[kernels]]", shown(value)));
      continue;
    }
    const auto axes = read_axes(*table, value.place, targets, errors);
    if (!axes) continue;
    if (const std::size_t added = count(*axes); added > kMostManifestKernels - requests.size()) {
      errors.add(value.place,
                 fmt::format("this table stands for {} kernels, {} stand before it: a manifest has at most "
                             "{}",
                             added, requests.size(), kMostManifestKernels));
      return;
    }
    expand(*axes, requests);
  }
}

std::vector<KernelRequest> requests_of(std::string_view text, const std::vector<Target>& targets,
                                       TextErrors& errors) try {
  std::vector<KernelRequest> requests;
  const TomlTable document = parse_toml(text);
  judge_version(document, errors);
  for (const TomlKey& key : document) {
    if (key.name == kKernelsKey)
      read_tables(key, targets, requests, errors);
    else if (key.name != kVersionKey)
      add_unknown_key(key, kKeys, errors);
  }
  sort_and_collapse(requests);
  return requests;
} catch (const TextError& error) {
  errors.add(error.place, error.what);
  return {};
}

/// Whether an appended block was written to its end, which is its target; what it says is not judged.
bool is_whole(std::string_view block) try {
  for (const TomlKey& key : parse_toml(block)) {
    const auto* tables = std::get_if<TomlArray>(&key.value.content);
    if (key.name != kKernelsKey || !tables) continue;
    for (const TomlValue& value : *tables) {
      const auto* table = std::get_if<TomlTable>(&value.content);
      if (table &&
          std::none_of(table->begin(), table->end(), [](const TomlKey& each) { return each.name == kTargetKey; }))
        return false;
    }
  }
  return true;
} catch (const TextError&) {
  return false;
}

}  // namespace

Manifest parse_manifest(std::string_view text, const std::string& name, const std::vector<Target>& targets) {
  Manifest manifest;
  TextErrors errors(name);
  manifest.requests = requests_of(text, targets, errors);
  if (errors.empty()) return manifest;

  const MendedText mended = without_torn_blocks(text, is_whole);
  if (mended.torn.empty()) errors.raise();
  TextErrors remaining(name);
  manifest.requests = requests_of(mended.text, targets, remaining);
  remaining.raise();
  for (const LineRange& torn : mended.torn)
    manifest.warnings.push_back(fmt::format(
        "{}:{}: lines {} to {} are no whole table, as after a crash while they were recorded, and are passed over",
        name, torn.first, torn.first, torn.last));
  return manifest;
}

Manifest read_manifest(const std::string& path, const std::vector<Target>& targets) {
  const auto fail = [&path](const char* doing) {
    throw Error(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kStorage,
                fmt::format("{}: {}: {}", path, doing, std::strerror(errno)));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) fail("cannot be opened");
  std::string text;
  std::array<char, 65536> buffer;
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    text.append(buffer.data(), got);
    if (text.size() > kMostManifestBytes)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: a manifest has at most {} bytes, this is longer", path, kMostManifestBytes));
  }
  if (std::ferror(file.get())) fail("cannot be read");
  return parse_manifest(text, path, targets);
}

}  // namespace flashmask
