#pragma once

#include <optional>
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

/// Who chose a configuration.
enum class ConfigSource {
  kRequested,      ///< the caller
  kTuned,          ///< tuning, on this GPU and in this bucket
  kNearestBucket,  ///< tuning on this GPU, in the nearest bucket
  kNearestGpu,     ///< tuning on a GPU of the same capability, with the nearest number of multiprocessors
  kDefault,        ///< the library's analysis
};
/// "requested", "tuned", "tuned, nearest bucket", "tuned, nearest GPU" or "default".
FLASHMASK_API std::string_view to_string(ConfigSource source);

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

  TileConfig config;  ///< the one asked for, else a tuned one, else the default
  ConfigSource config_source = ConfigSource::kDefault;
  std::string config_reason;   ///< why this one, as a sentence
  ResourceEstimate resources;  ///< of it
  /// Answers of tuning for this descriptor that were passed over, each with its reason: stale, illegal, modelled …
  std::vector<std::string> tuning_passed_over;
  TileChoice default_tile;  ///< every candidate for the default, also where another configuration was asked for

  std::string entry;   ///< the kernel's name in its image
  std::string digest;  ///< the name of its cache entry, in hex

  KernelOrigin origin = KernelOrigin::kCompiled;  ///< where a request would take the kernel from now
  bool may_compile = true;                        ///< the policy allows it; if not, kCompiled means Error{kNotCached}
  std::string cache_directory;                    ///< empty: there is none
  std::string cache_pack;  ///< the pack that a request would take it from: a path, or "embedded pack 1"; empty: none
  std::string cache_file;  ///< the file in a cache directory that a request would take; empty: there is none
  std::string toolchain;   ///< that compiled it, e.g. "nvrtc 13.0.88"
  std::string cache_miss;  ///< why neither serves it, as a sentence; empty if one does
  /// Where none serves it: the kernel there that is the most like it; empty where there is no kernel.
  std::optional<NearestEntry> nearest;
};

}  // namespace flashmask
