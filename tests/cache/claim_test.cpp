#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>
#include <vector>

#include "cache/store.h"
#include "fake_clock.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

using namespace std::chrono_literals;

const Digest kDigest = digest_of("kernel");

class ClaimTest : public ::testing::Test {
 protected:
  Claim claim(Store& store, std::chrono::nanoseconds limit = 60s) {
    return store.claim(kDigest, TagPolicy::any(), {}, limit);
  }

  ScratchDirectory scratch_;
  FakeClock clock_;
  Store store_{{.directory = scratch_.path() + "/cache", .clock = &clock_}};
  Store other_{{.directory = scratch_.path() + "/cache", .clock = &clock_}};
};

TEST_F(ClaimTest, TheFirstOneMakesTheEntryAtOnce) {
  const Claim held = claim(store_);
  EXPECT_EQ(held.turn, Turn::kHeld);
  EXPECT_FALSE(held.found);
  EXPECT_EQ(clock_.elapsed(), 0s);
  EXPECT_EQ(store_.counters().waits, 0u);
  EXPECT_EQ(store_.counters().misses(), 0u) << "looking for a turn is no request of its own";
}

TEST_F(ClaimTest, TheOthersGetItsEntryWhileTheClaimIsStillHeld) {
  const Claim held = claim(store_);
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  const Claim served = claim(other_);
  EXPECT_EQ(served.turn, Turn::kServed);
  ASSERT_TRUE(served.found);
  EXPECT_EQ(text_of(*served.found.entry->section("cubin")), "ELF…cubin");
  EXPECT_EQ(other_.counters().waits, 1u);
  EXPECT_EQ(other_.counters().shared, 1u);
  EXPECT_EQ(other_.counters().hits, 1u);
}

TEST_F(ClaimTest, AnEntryThatWasPublishedBetweenTheMissAndTheClaimIsServed) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  EXPECT_EQ(claim(other_).turn, Turn::kServed);
  EXPECT_EQ(other_.counters().waits, 0u);
}

TEST_F(ClaimTest, AClaimThatEndsWithoutAnEntryPassesOn) {
  {
    const Claim held = claim(store_);
  }
  const Claim next = claim(other_);
  EXPECT_EQ(next.turn, Turn::kHeld);
}

TEST_F(ClaimTest, WaitingEndsWithTheLimitAndIsCounted) {
  const Claim held = claim(store_);
  const Claim late = claim(other_, 60s);
  EXPECT_EQ(late.turn, Turn::kTimedOut);
  EXPECT_EQ(clock_.elapsed(), 60s);
  EXPECT_EQ(other_.counters().timeouts, 1u);
  EXPECT_TRUE(other_.publish(sample_entry(kDigest))) << "who gave up waiting can publish all the same";
}

TEST_F(ClaimTest, OtherDigestsDoNotWait) {
  const Claim held = claim(store_);
  EXPECT_EQ(other_.claim(digest_of("another"), TagPolicy::any()).turn, Turn::kHeld);
}

TEST_F(ClaimTest, TwoClaimsOfOneStoreExcludeEachOtherToo) {
  const Claim held = claim(store_);
  EXPECT_EQ(claim(store_, 1s).turn, Turn::kTimedOut);
}

TEST_F(ClaimTest, AnEntryThatIsNotWantedDoesNotEndTheWaiting) {
  const Claim held = claim(store_);
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "nvrtc-12.9.1")));
  EXPECT_EQ(other_.claim(kDigest, TagPolicy::exact("nvrtc-13.0.88"), {}, 1s).turn, Turn::kTimedOut);
  const Validator refuse = [](const Entry&) { return std::optional<std::string>("no"); };
  EXPECT_EQ(other_.claim(kDigest, TagPolicy::any(), refuse, 1s).turn, Turn::kTimedOut);
}

TEST_F(ClaimTest, HalfAnEntryIsNeverServedToOneWhoWaits) {
  const Claim held = claim(store_);
  const std::string whole = text_of(encode(sample_entry(kDigest)));
  const std::string path = scratch_.path() + "/cache/" + Store::entry_path(kDigest, kTag);
  for (std::size_t size = 0; size < whole.size(); size += 17) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::filesystem::permissions(std::filesystem::path(path).parent_path(), std::filesystem::perms::owner_all);
    write_file(path, whole.substr(0, size));
    EXPECT_EQ(claim(other_, 10ms).turn, Turn::kTimedOut) << size;
  }
}

TEST_F(ClaimTest, AStoreThatCannotLockGoesOnAtOnce) {
  Store reader({.directory = scratch_.path(), .access = StoreOptions::Access::kReadOnly, .clock = &clock_});
  EXPECT_EQ(claim(reader).turn, Turn::kUnlocked);
  EXPECT_EQ(claim(*Store::disabled("no home")).turn, Turn::kUnlocked);
  class WithoutLocks : public FileSystem {
   public:
    int lock_byte(int, off_t) override { return -ENOLCK; }
  } files;
  Store lockless({.directory = scratch_.path() + "/cache", .file_system = &files, .clock = &clock_});
  const Claim held = claim(store_);
  EXPECT_EQ(claim(lockless).turn, Turn::kUnlocked);
  EXPECT_EQ(clock_.elapsed(), 0s);
}

TEST_F(ClaimTest, ADirectoryRemovedUnderARunningProcessIsMadeAgain) {
  {
    const Claim held = claim(store_);
  }
  std::filesystem::remove_all(scratch_.path() + "/cache");
  const Claim held = claim(store_);
  EXPECT_EQ(held.turn, Turn::kHeld);
  EXPECT_EQ(claim(other_, 1s).turn, Turn::kTimedOut) << "the lock is in the new directory";
}

TEST_F(ClaimTest, SixtyFourThreadsOfOneStoreMakeOneEntry) {
  Store store({.directory = scratch_.path() + "/cache"});
  std::atomic<int> made = 0, wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i)
    threads.emplace_back([&] {
      const Claim mine = store.claim(kDigest, TagPolicy::any());
      if (mine.turn == Turn::kServed) return;
      if (mine.turn != Turn::kHeld) ++wrong;
      ++made;
      std::this_thread::sleep_for(20ms);
      if (!store.publish(sample_entry(kDigest))) ++wrong;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 1);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace flashmask::cache
