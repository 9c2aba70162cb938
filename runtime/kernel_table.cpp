#include "runtime/kernel_table.h"

#include <cstdint>
#include <utility>

namespace flashmask {
namespace {

constexpr std::size_t kFirstCapacity = 64;  // a power of two

std::uint64_t mix(std::uint64_t value, std::uint64_t next) {
  // The finaliser of splitmix64 over the running value: a few multiplications, and every bit counts.
  value = (value ^ next) + 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::uint64_t pair_of(int high, int low) {
  return std::uint64_t{static_cast<std::uint32_t>(high)} << 32 | static_cast<std::uint32_t>(low);
}

}  // namespace

struct KernelTable::Node {
  std::size_t hash;
  RequestKey key;
  std::shared_ptr<const Kernel> kernel;
};

struct KernelTable::Slots {
  explicit Slots(std::size_t capacity) : mask(capacity - 1), slots(capacity) {}
  std::size_t mask;
  std::vector<std::atomic<const Node*>> slots;  // open addressing; at most half full
};

KernelTable::KernelTable() {
  generations_.push_back(std::make_unique<Slots>(kFirstCapacity));
  current_.store(generations_.back().get(), std::memory_order_release);
}

KernelTable::~KernelTable() = default;

std::size_t KernelTable::hash(const RequestKey& key) {
  const KernelDescriptor& descriptor = key.descriptor;
  const auto small = static_cast<std::uint64_t>(descriptor.pass) << 32 |
                     static_cast<std::uint64_t>(descriptor.dtype) << 24 |
                     static_cast<std::uint64_t>(descriptor.mask_form) << 16 |
                     static_cast<std::uint64_t>(descriptor.causal_alignment) << 8 |
                     static_cast<std::uint64_t>(descriptor.target.arch_specific) << 1 |
                     static_cast<std::uint64_t>(descriptor.deterministic);
  std::uint64_t value = mix(0, pair_of(descriptor.head_dim_qk, descriptor.head_dim_v));
  value = mix(value, small ^ static_cast<std::uint64_t>(descriptor.target.compute_capability) << 40);
  if (key.config) {
    value = mix(value, pair_of(key.config->tile_q, key.config->tile_k));
    value = mix(value, pair_of(key.config->warps, key.config->stages));
    value = mix(value, pair_of(key.config->query_in_registers ? 1 : 0, key.config->column_warps));
    value = mix(value, pair_of((key.config->overlap ? 2 : 0) + (key.config->turns ? 1 : 0), key.config->query_slots));
  }
  if (key.bucket != TuningBucket{}) {
    value = mix(value, pair_of(key.bucket.seqlen_q, key.bucket.seqlen_k));
    value = mix(value, pair_of(key.bucket.heads, static_cast<int>(key.bucket.density)));
  }
  return value;
}

const std::shared_ptr<const Kernel>* KernelTable::find(const RequestKey& key) const {
  const Slots& slots = *current_.load(std::memory_order_acquire);
  const std::size_t wanted = hash(key);
  for (std::size_t i = wanted;; ++i) {
    const Node* node = slots.slots[i & slots.mask].load(std::memory_order_acquire);
    if (!node) return nullptr;
    if (node->hash == wanted && node->key == key) return &node->kernel;
  }
}

void KernelTable::place(Slots& slots, const Node* node) {
  std::size_t i = node->hash;
  while (slots.slots[i & slots.mask].load(std::memory_order_relaxed)) ++i;
  slots.slots[i & slots.mask].store(node, std::memory_order_release);
}

void KernelTable::insert(const RequestKey& key, std::shared_ptr<const Kernel> kernel) {
  std::lock_guard lock(mutex_);
  if (find(key)) return;
  nodes_.push_back(std::make_unique<const Node>(Node{hash(key), key, std::move(kernel)}));
  if (2 * nodes_.size() > generations_.back()->slots.size()) {
    auto grown = std::make_unique<Slots>(2 * generations_.back()->slots.size());
    for (const auto& node : nodes_) place(*grown, node.get());
    generations_.push_back(std::move(grown));
    current_.store(generations_.back().get(), std::memory_order_release);
  } else {
    place(*generations_.back(), nodes_.back().get());
  }
}

}  // namespace flashmask
