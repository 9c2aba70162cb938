#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/entry.h"
#include "cache/store.h"
#include "generator/generate.h"
#include "runtime/compile/compiler.h"
#include "runtime/logger.h"
#include "runtime/nearest_entry.h"
#include "runtime/store/entry_check.h"
#include "runtime/store/kernel_record.h"

namespace flashmask {

/// A kernel's images and record, wherever they came from. Immutable; the views live as long as the value.
struct StoredKernel {
  KernelRecord record;
  KernelOrigin origin = KernelOrigin::kCompiled;
  KernelImage image;                 ///< the PTX may be empty: an export may leave it out
  cache::Entry entry;                ///< owns the bytes when they came from a directory or a pack
  compile::Compilation compilation;  ///< owns them when they were just compiled
};

/// Kernels that are kept: the cache keeps bytes, this knows what they mean. They are looked for in the policy's packs,
/// in its read-only directories, and in the user's directory, in this order; the first that holds a sound entry serves
/// it, and only the last is written. Thread-safe. Whatever is wrong with one of them is a miss there and one warning
/// about it, never an error.
class KernelStore {
 public:
  KernelStore(const Policy& policy, Logger& logger, PtxNeed need = PtxNeed::kOptional);
  ~KernelStore();

  /// The kernel, if there is a sound entry of it that the toolchain policy wants; null otherwise.
  std::shared_ptr<const StoredKernel> find(const cache::Digest& digest, const generator::KernelSource& source);
  /// What find() would come upon.
  struct Sighting {
    std::optional<KernelOrigin> origin;  ///< nothing: it would serve none
    std::string pack;                    ///< that it would serve the kernel from; empty: none
    std::string file;                    ///< path of the entry that it would serve; empty: none
    std::string toolchain;               ///< that compiled it
    std::string miss;                    ///< why it would serve none, as a sentence
  };
  /// Looks without touching: a corrupt entry stays, nothing is logged or counted.
  Sighting look(const cache::Digest& digest, const generator::KernelSource& source) const;
  /// The right to compile a kernel that find() did not find, for one caller among all processes that share the user's
  /// directory.
  struct Claim {
    std::shared_ptr<const StoredKernel> found;  ///< what another process has compiled meanwhile; null: compile it
    std::optional<cache::Claim> held;           ///< keeps other processes waiting until it ends: after publish()
  };
  /// Waits while another process compiles the kernel, as long as the policy says. Where locks do not work, everybody
  /// compiles.
  Claim claim(const cache::Digest& digest, const generator::KernelSource& source);
  /// Every sound kernel of every place. Reads all of them, and touches none.
  std::vector<CachedKernel> kernels() const;
  /// Writes a compiled kernel into the user's directory; true if it was stored. A failure is one warning in the life of
  /// the store.
  bool publish(const cache::Digest& digest, const StoredKernel& kernel);
  /// Whether there is a directory to publish into.
  bool enabled() const { return !disabled_by_policy_; }
  /// Where find() looks, for a message: "the cache /home/…, the pack /opt/…".
  std::string places() const;
  /// What the policy names and cannot be opened, with the mend; one sentence each.
  const std::vector<std::string>& unusable() const { return unusable_; }

 private:
  class Tier;

  void warn_once(const std::string& message);
  void report_miss(Tier& tier, const cache::LookupResult& missed, const cache::Digest& digest,
                   const generator::KernelSource& source);

  std::string toolchain_;
  PtxNeed need_;
  std::chrono::milliseconds compile_wait_;
  bool disabled_by_policy_ = false;
  std::vector<std::unique_ptr<Tier>> shared_;  ///< packs, then read-only directories
  std::unique_ptr<Tier> own_;                  ///< the user's directory
  std::vector<std::string> unusable_;
  Logger& logger_;
  std::atomic<bool> warned_{false};
};

}  // namespace flashmask
