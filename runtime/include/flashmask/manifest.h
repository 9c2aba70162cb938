#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/tile_config.h"

namespace flashmask {

/// What a manifest lists: all of a request that decides which kernel it gets.
struct KernelRequest {
  KernelDescriptor descriptor;
  std::optional<TileConfig> config;  ///< empty: the default one

  friend bool operator==(const KernelRequest&, const KernelRequest&) = default;
};

/// A list of kernels, as a file in TOML: docs/deploy.md describes its form.
struct Manifest {
  std::vector<KernelRequest> requests;  ///< in one fixed order, none twice
  /// What was passed over, a sentence each: blocks of a recorded file whose writer was killed while it wrote them.
  std::vector<std::string> warnings;
};

/// More kernels than any use has; a manifest that multiplies to more is an error.
inline constexpr std::size_t kMostManifestKernels = 100'000;
inline constexpr std::size_t kMostManifestBytes = std::size_t{16} << 20;

/// Reads a manifest; `name` stands for it in messages. `targets`, unless empty, take the place of those that it names.
/// Whether a target has the kernels is not judged here. Throws Error{kInvalidArgument} with every mistake: where it is
/// (line and column from 1), the value, and what is allowed. Pure; the text may be hostile.
FLASHMASK_API Manifest parse_manifest(std::string_view text, const std::string& name,
                                      const std::vector<Target>& targets = {});

/// The same of a file. Throws Error too when it cannot be read: kNotFound or kStorage.
FLASHMASK_API Manifest read_manifest(const std::string& path, const std::vector<Target>& targets = {});

/// A manifest of these requests, whose descriptors are legal, in as few tables as grouping by one field after the other
/// leaves: parse_manifest() of it gives each of them once. The same requests in another order give the same text.
FLASHMASK_API std::string to_text(const std::vector<KernelRequest>& requests);

}  // namespace flashmask
