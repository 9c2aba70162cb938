#include "runtime/kernel_table.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace flashmask {
namespace {

/// A kernel that is nothing but its identity.
class NoKernel final : public Kernel {
 public:
  const KernelDescriptor& descriptor() const override { return descriptor_; }
  const TileConfig& config() const override { return config_; }
  const KernelResources& resources() const override { return resources_; }
  KernelOrigin origin() const override { return KernelOrigin::kMemory; }
  const std::string& digest() const override { return digest_; }

 private:
  KernelDescriptor descriptor_;
  TileConfig config_;
  KernelResources resources_;
  std::string digest_;
};

RequestKey key_of(int number) {
  RequestKey key;
  key.descriptor.head_dim_qk = number;
  if (number % 3 == 0) key.config = TileConfig{number, 64, 4, 2, number % 2 == 0};
  return key;
}

TEST(KernelTable, FindsWhatWasInsertedThroughEveryGrowth) {
  KernelTable table;
  std::vector<std::shared_ptr<const Kernel>> kernels;
  for (int i = 0; i < 1000; ++i) {
    kernels.push_back(std::make_shared<NoKernel>());
    table.insert(key_of(i), kernels.back());
  }
  for (int i = 0; i < 1000; ++i) {
    const auto* found = table.find(key_of(i));
    ASSERT_NE(found, nullptr) << i;
    EXPECT_EQ(*found, kernels[static_cast<std::size_t>(i)]) << i;
  }
  EXPECT_EQ(table.find(key_of(1000)), nullptr);
}

TEST(KernelTable, TheFirstKernelOfAKeyStays) {
  KernelTable table;
  const auto first = std::make_shared<NoKernel>();
  table.insert(key_of(1), first);
  table.insert(key_of(1), std::make_shared<NoKernel>());
  EXPECT_EQ(*table.find(key_of(1)), first);
}

TEST(KernelTable, ADescriptorWithAndWithoutAConfigurationAreTwoKeys) {
  KernelTable table;
  RequestKey key = key_of(1);
  table.insert(key, std::make_shared<NoKernel>());
  key.config = TileConfig{};
  EXPECT_EQ(table.find(key), nullptr);
}

TEST(KernelTable, EveryFieldOfAConfigurationMakesAnotherKeyWithAnotherHash) {
  RequestKey key = key_of(1);
  key.config = TileConfig{128, 128, 8, 2};
  std::vector<RequestKey> keys(10, key);
  keys[1].config->tile_q = 64;
  keys[2].config->tile_k = 64;
  keys[3].config->warps = 4;
  keys[4].config->stages = 3;
  keys[5].config->query_in_registers = true;
  keys[6].config->column_warps = 2;
  keys[7].config->overlap = true;
  keys[8].config->turns = true;
  keys[9].config->query_slots = 2;
  KernelTable table;
  std::set<std::size_t> hashes;
  std::vector<std::shared_ptr<const Kernel>> kernels;
  for (const RequestKey& each : keys) {
    EXPECT_TRUE(hashes.insert(KernelTable::hash(each)).second) << to_string(*each.config);
    kernels.push_back(std::make_shared<NoKernel>());
    table.insert(each, kernels.back());
  }
  for (std::size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(*table.find(keys[i]), kernels[i]) << i;
}

TEST(KernelTable, ReadersSeeWholeKernelsWhileItGrows) {
  KernelTable table;
  const auto kernel = std::make_shared<NoKernel>();
  table.insert(key_of(0), kernel);
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&] {
      while (!stop) {
        for (int k = 0; k < 600; ++k) {
          const auto* found = table.find(key_of(k));
          EXPECT_TRUE(!found || *found == kernel);
        }
        EXPECT_NE(table.find(key_of(0)), nullptr);
      }
    });
  for (int k = 1; k < 600; ++k) table.insert(key_of(k), kernel);
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace flashmask
