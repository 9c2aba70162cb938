#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "flashmask/runtime.h"
#include "flashmask/tuning.h"

namespace flashmask {

/// What a request is looked up by.
struct RequestKey {
  KernelDescriptor descriptor;
  std::optional<TileConfig> config;
  TuningBucket bucket{};  ///< of the hint, where that may choose a configuration; else unknown
  friend bool operator==(const RequestKey&, const RequestKey&) = default;
};

/// Kernels by request. A lookup takes no lock and allocates nothing, whoever compiles or inserts meanwhile: slots are
/// only ever filled, and a table that grew stays readable until the end. Thread-safe.
class KernelTable {
 public:
  KernelTable();
  ~KernelTable();

  /// The kernel of the key, or null. It lives as long as the table.
  const std::shared_ptr<const Kernel>* find(const RequestKey& key) const;
  /// Adds a kernel; a key that is there keeps the kernel that it has.
  void insert(const RequestKey& key, std::shared_ptr<const Kernel> kernel);
  /// Of every field of the key.
  static std::size_t hash(const RequestKey& key);

 private:
  struct Node;
  struct Slots;
  static void place(Slots& slots, const Node* node);

  std::atomic<const Slots*> current_;
  std::mutex mutex_;  // writers only
  std::vector<std::unique_ptr<Slots>> generations_;
  std::vector<std::unique_ptr<const Node>> nodes_;
};

}  // namespace flashmask
