#include "runtime/kernel_table.h"

#include <gtest/gtest.h>

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
