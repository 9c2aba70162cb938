#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_descriptor.h"
#include "flashmask/target_limits.h"
#include "flashmask/tile_choice.h"
#include "flashmask/tile_config.h"

namespace flashmask {

/// Where a kernel comes from; kMemory: from this process, kDisk: from a cache directory, kCompiled: from NVRTC, now,
/// kPack: from a pack. The numbers are those of the C interface.
enum class KernelOrigin { kMemory = 0, kDisk = 1, kCompiled = 2, kPack = 3 };
FLASHMASK_API std::string_view to_string(KernelOrigin origin);

/// A field in which a kernel of the cache is another one than the request's, with both values as the command writes
/// them.
struct FieldDifference {
  std::string field;  ///< "head_dim_qk", "tile_k", "toolchain", "text of the kernel"
  std::string wanted;
  std::string found;

  friend bool operator==(const FieldDifference&, const FieldDifference&) = default;
};

/// The kernel of the cache that is the most like one that is not there.
struct NearestEntry {
  std::string digest;     ///< the name of its entry, in hex
  std::string toolchain;  ///< that compiled it
  std::vector<FieldDifference> differences;
};

/// What a request would get, and why. Runtime::explain() makes it.
struct Explanation {
  KernelDescriptor descriptor;
  TargetLimits limits;  ///< of the target

  std::string family;          ///< of kernels, by the instructions that they multiply with: "mma.sync"
  std::string family_targets;  ///< where it runs: "sm_80 and up"
  std::string family_note;     ///< what the target leads one to expect and is not there yet; may be empty

  TileConfig config;           ///< the one asked for, else the default
  std::string config_reason;   ///< why this one, as a sentence
  ResourceEstimate resources;  ///< of it
  TileChoice default_tile;     ///< every candidate for the default, also where another configuration was asked for

  std::string entry;   ///< the kernel's name in its image
  std::string digest;  ///< the name of its cache entry, in hex

  KernelOrigin origin = KernelOrigin::kCompiled;  ///< where a request would take the kernel from now
  bool may_compile = true;                        ///< the policy allows it; if not, kCompiled means Error{kNotCached}
  std::string cache_directory;                    ///< empty: there is none
  std::string cache_pack;  ///< the pack that a request would take it from: a path, or "embedded pack 1"; empty: none
  std::string cache_file;  ///< the file in a cache directory that a request would take; empty: there is none
  std::string toolchain;   ///< that compiled it, e.g. "nvrtc 13.0.88"
  std::string cache_miss;  ///< why neither serves it, as a sentence; empty if one does
  std::optional<NearestEntry> nearest;  ///< if neither serves it: the most alike of all that packs and caches hold
};

}  // namespace flashmask
