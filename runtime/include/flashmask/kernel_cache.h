#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/export.h"
#include "flashmask/kernel_record.h"
#include "flashmask/runtime.h"

namespace flashmask {

/// A kernel that is kept: a file of a cache directory, or an entry of a pack.
struct CacheEntry {
  std::string digest;         ///< 64 hexadecimal digits
  std::string toolchain_tag;  ///< "nvrtc-13.0.88"
  std::string place;          ///< the full path of the file; of a pack, its name
  std::uint64_t bytes = 0;
  std::optional<std::chrono::system_clock::time_point> last_used;  ///< or stored; exact to an hour. Not of a pack
  std::optional<KernelRecord> record;                              ///< nothing: it is broken, and serves nobody
  bool has_ptx = false;                                            ///< an export may leave it out
  std::string defect;  ///< a word for what is wrong: "corrupt", "foreign-owner", …; empty if sound
  std::string detail;  ///< the same as a sentence
};

/// What lies in a cache directory.
struct CacheContents {
  std::vector<CacheEntry> entries;    ///< by digest; of one digest, the newest toolchain first
  std::vector<std::string> strays;    ///< full paths of files that are nobody's, and never touched
  std::uint64_t temporary_files = 0;  ///< being written, or left by processes that were killed
  std::uint64_t temporary_bytes = 0;
  std::string failure;  ///< why there may be more than is told here; empty: nothing was left out

  FLASHMASK_API std::uint64_t bytes() const;  ///< of the entries
  FLASHMASK_API std::size_t broken() const;   ///< entries without a record
};

/// What a removal did.
struct CacheRemoval {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t temporary_files = 0;  ///< that killed processes had left
  std::uint64_t kept = 0;             ///< not removed although asked for: used or changed meanwhile, or not ours
  std::string failure;                ///< why something could not be done; empty: all was
};

/// Called after each step of something long. May throw, to stop: what was thrown comes out, and nothing half-done is
/// left behind.
using CacheProgress = std::function<void(std::size_t done, std::size_t all)>;

struct ExportOptions {
  std::function<bool(const CacheEntry&)> wanted;  ///< of sound kernels; empty: all
  bool drop_ptx = false;                          ///< smaller; the emulator then cannot run them
  CacheProgress progress;
};

struct ExportReport {
  std::size_t entries = 0;
  std::uint64_t bytes = 0;   ///< of the pack
  std::size_t left_out = 0;  ///< not wanted
  std::size_t broken = 0;    ///< broken files of the cache, which are never exported
};

struct ImportOptions {
  std::vector<Target> targets;  ///< only kernels for these; empty: all
  CacheProgress progress;
};

struct ImportReport {
  std::size_t stored = 0;
  std::size_t present = 0;            ///< were there already, and stayed as they were
  std::size_t left_out = 0;           ///< for other targets
  std::vector<std::string> failures;  ///< of storing; each a sentence
};

/// What became of compiling one kernel of a cache again.
struct RebuiltKernel {
  enum class Outcome {
    kEqual,           ///< every byte of its images
    kDifferent,       ///< the entry is not what this compiler makes of this text
    kOtherToolchain,  ///< by another compiler: not compared
    kOtherText,       ///< by another version of this library: not compared
    kFailed,          ///< the compiler refused it
  };
  CacheEntry entry;
  Outcome outcome = Outcome::kEqual;
  std::string detail;  ///< as a sentence; empty for kEqual
};
/// "equal", "different", "other-toolchain", "other-text", "failed".
FLASHMASK_API std::string_view to_string(RebuiltKernel::Outcome outcome);

/// The kernels of a pack, each read in full and judged as a request would judge it. Throws Error as
/// KernelCache::import_pack() does for a pack that cannot be opened.
FLASHMASK_API CacheContents read_pack(const std::string& path);

/// The user's cache directory as its owner sees it: to look at, to check, to shrink, to pack and unpack. Needs neither
/// a device nor a compiler. Thread-safe; other threads and processes may use the directory meanwhile.
class FLASHMASK_API KernelCache {
 public:
  /// The directory of the policy, which need not exist yet. Throws Error{kNotFound} if the policy has none, and
  /// Error{kStorage}, with the command that mends it, if it cannot be used.
  explicit KernelCache(const Policy& policy);
  ~KernelCache();
  KernelCache(const KernelCache&) = delete;
  KernelCache& operator=(const KernelCache&) = delete;

  const std::string& directory() const;
  /// What the policy allows it to grow to, in bytes; kUnlimitedCacheBytes: no limit.
  std::uint64_t byte_limit() const;

  /// Every file, read in full and judged as a request would judge it; nothing is removed, and nothing counts as used.
  CacheContents list() const;
  /// The kernels whose digest begins with these hexadecimal digits, as list() tells them: one digest, of one or more
  /// toolchains. Throws Error: kInvalidArgument for what is no prefix or for one of several digests, kNotFound.
  std::vector<CacheEntry> find(std::string_view digest_prefix) const;
  /// The bytes of a section ("cubin" or "ptx") of the kernel with this digest prefix, of the newest toolchain that the
  /// policy wants. Throws what find() throws, and Error{kNotFound} without such a section.
  std::vector<std::byte> extract(std::string_view digest_prefix, std::string_view section) const;

  /// Removes the least recently used kernels until `bytes` are left, and temporary files that killed processes left.
  CacheRemoval collect(std::uint64_t bytes);
  /// Removes all kernels, whole or broken. What is not ours stays.
  CacheRemoval clear();
  /// Removes the broken files that begin like entries of ours: "corrupt", "malformed", "wrong-name", "refused".
  CacheRemoval remove_broken();

  /// Writes the sound kernels that are wanted into one file, for Policy::packs or import_pack(); equal kernels give
  /// equal bytes. The file appears whole or not at all. Throws Error: kNotFound if there is none to export, kStorage.
  ExportReport export_pack(const std::string& path, const ExportOptions& options = {}) const;
  /// Stores the kernels of a pack. The pack is treated as hostile: all of it is checked before any of it is stored,
  /// and one bad entry refuses it. Throws Error: kNotFound, kStorage (permissions, I/O), kInvalidArgument (damaged, or
  /// an entry that is refused), kUnsupported (a newer version, or no kernel for the targets that are wanted).
  ImportReport import_pack(const std::string& path, const ImportOptions& options = {});

  /// Compiles every sound kernel again, with its own tile configuration, and compares. `compiler` is a runtime without
  /// a cache (without_cache()), or it would find what it is to be compared with: else Error{kInvalidArgument}. Throws
  /// Error{kNotFound} without NVRTC.
  std::vector<RebuiltKernel> rebuild(Runtime& compiler, const CacheProgress& progress = {}) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The policy without anything to find kernels in, and free to compile.
FLASHMASK_API Policy without_cache(Policy policy);

}  // namespace flashmask
