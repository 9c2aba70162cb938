#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "cache/entry.h"
#include "cache/store.h"
#include "generator/generate.h"
#include "runtime/compile/compiler.h"
#include "runtime/logger.h"
#include "runtime/store/kernel_record.h"

namespace flashmask {

/// A kernel's images and record, wherever they came from. Immutable; the views live as long as the value.
struct StoredKernel {
  KernelRecord record;
  KernelOrigin origin = KernelOrigin::kCompiled;
  KernelImage image;
  cache::Entry entry;                ///< owns the bytes when they came from the disk
  compile::Compilation compilation;  ///< owns them when they were just compiled
};

/// Kernels in the cache on disk: the cache keeps bytes, this knows what they mean. Thread-safe. Whatever is wrong with
/// the disk is a miss or one warning per process-wide cause, never an error.
class KernelStore {
 public:
  KernelStore(const Policy& policy, Logger& logger);

  /// The kernel, if the disk holds a sound entry of it that the toolchain policy wants; null otherwise.
  std::shared_ptr<const StoredKernel> find(const cache::Digest& digest, const generator::KernelSource& source);
  /// What find() would come upon.
  struct Sighting {
    std::string file;       ///< path of the entry that it would serve; empty: none
    std::string toolchain;  ///< that compiled it
    std::string miss;       ///< why it would serve none, as a sentence
  };
  /// Looks without touching: a corrupt entry stays, nothing is logged or counted.
  Sighting look(const cache::Digest& digest, const generator::KernelSource& source) const;
  /// The right to compile a kernel that find() did not find, for one caller among all processes that share the
  /// directory.
  struct Claim {
    std::shared_ptr<const StoredKernel> found;  ///< what another process has compiled meanwhile; null: compile it
    std::optional<cache::Claim> held;           ///< keeps other processes waiting until it ends: after publish()
  };
  /// Waits while another process compiles the kernel, a minute at most. Where locks do not work, everybody compiles.
  Claim claim(const cache::Digest& digest, const generator::KernelSource& source);
  /// Writes a compiled kernel; true if it was stored. A failure is one warning in the life of the store.
  bool publish(const cache::Digest& digest, const StoredKernel& kernel);
  /// Whether there is a disk cache at all.
  bool enabled() const { return !disabled_by_policy_; }

 private:
  void warn_once(const std::string& message);
  cache::TagPolicy wanted_tags() const;

  std::string toolchain_;
  bool disabled_by_policy_ = false;
  std::unique_ptr<cache::Store> store_;
  Logger& logger_;
  std::atomic<bool> warned_{false};
};

}  // namespace flashmask
