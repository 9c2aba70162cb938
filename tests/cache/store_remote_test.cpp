// File systems of other machines: names that appear late, handles that go stale, clocks and locks that are not ours.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cache/store.h"
#include "fake_clock.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

using namespace std::chrono_literals;

const Digest kDigest = digest_of("kernel");

/// When the names that were made on one machine are seen on the others.
struct Visibility {
  FakeClock& clock;
  std::chrono::nanoseconds delay;
  std::mutex mutex;
  std::map<std::string, std::chrono::nanoseconds> made;

  void make(const std::string& path) {
    std::lock_guard lock(mutex);
    made[std::filesystem::path(path).filename()] = clock.elapsed();
  }
  bool hides(const std::string& path) {
    std::lock_guard lock(mutex);
    const auto found = made.find(std::filesystem::path(path).filename());
    return found != made.end() && clock.elapsed() < found->second + delay;
  }
};

/// One machine's view. A machine sees even its own new names late, which is more than any real one does.
class LateFileSystem : public FileSystem {
 public:
  explicit LateFileSystem(Visibility& visibility) : visibility_(visibility) {}

  int open_at(int directory, const char* path, int flags, mode_t mode) override {
    if (!(flags & O_CREAT) && visibility_.hides(path)) return -ENOENT;
    return FileSystem::open_at(directory, path, flags, mode);
  }
  int status_at(int directory, const char* path, struct stat& status) override {
    return visibility_.hides(path) ? -ENOENT : FileSystem::status_at(directory, path, status);
  }
  int rename_at(int directory, const char* from, const char* to) override {
    const int result = FileSystem::rename_at(directory, from, to);
    if (result == 0) visibility_.make(to);
    return result;
  }
  int list(int directory, const char* path, std::string_view prefix, std::vector<std::string>& names) override {
    const int result = FileSystem::list(directory, path, prefix, names);
    std::erase_if(names, [&](const std::string& name) { return visibility_.hides(name); });
    return result;
  }

 private:
  Visibility& visibility_;
};

class LateTest : public ::testing::Test {
 protected:
  StoreOptions options(FileSystem& files) {
    return {.directory = scratch_.path(), .byte_limit = 1 << 20, .file_system = &files, .clock = &clock_};
  }
  ScratchDirectory scratch_;
  FakeClock clock_;
  Visibility visibility_{clock_, 2s, {}, {}};
  LateFileSystem here_{visibility_}, there_{visibility_};
  Store maker_{options(here_)};
  Store other_{options(there_)};
};

TEST_F(LateTest, APublicationThatNobodySeesYetHasSucceeded) {
  EXPECT_TRUE(maker_.publish(sample_entry(kDigest)));
  EXPECT_EQ(name_of(maker_.lookup(kDigest, TagPolicy::any()).reason), "absent");
  EXPECT_EQ(name_of(other_.lookup(kDigest, TagPolicy::exact(kTag)).reason), "absent");
  clock_.sleep(2s);
  EXPECT_TRUE(maker_.lookup(kDigest, TagPolicy::any()));
  EXPECT_TRUE(other_.lookup(kDigest, TagPolicy::exact(kTag)));
}

TEST_F(LateTest, WhoWaitsGetsTheEntryWhenItIsSeenWhileItsMakerStillHoldsTheClaim) {
  const Claim held = maker_.claim(kDigest, TagPolicy::any());
  ASSERT_TRUE(maker_.publish(sample_entry(kDigest)));
  const auto begin = clock_.elapsed();
  const Claim served = other_.claim(kDigest, TagPolicy::any());
  EXPECT_EQ(served.turn, Turn::kServed);
  EXPECT_GE(clock_.elapsed() - begin, 1900ms);
  EXPECT_LT(clock_.elapsed() - begin, 2200ms);
}

TEST_F(LateTest, WhoGetsTheClaimBeforeTheEntryIsSeenMakesItAgainAndNothingIsLost) {
  {
    const Claim held = maker_.claim(kDigest, TagPolicy::any());
    ASSERT_TRUE(maker_.publish(sample_entry(kDigest)));
  }
  {
    const Claim held = other_.claim(kDigest, TagPolicy::any());
    EXPECT_EQ(held.turn, Turn::kHeld);
    EXPECT_TRUE(other_.publish(sample_entry(kDigest)));
  }
  clock_.sleep(2s);
  for (Store* store : {&maker_, &other_}) {
    const LookupResult found = store->lookup(kDigest, TagPolicy::any());
    ASSERT_TRUE(found) << found.detail;
    EXPECT_EQ(text_of(found.entry->bytes()), text_of(encode(sample_entry(kDigest))));
  }
}

TEST_F(LateTest, ThePublisherReadsNothingBack) {
  class Watched : public FileSystem {
   public:
    bool renamed = false;
    std::vector<std::string> afterwards;
    int open_at(int directory, const char* path, int flags, mode_t mode) override {
      note("open");
      return FileSystem::open_at(directory, path, flags, mode);
    }
    ssize_t read(int descriptor, std::span<std::byte> into) override {
      note("read");
      return FileSystem::read(descriptor, into);
    }
    int status(int descriptor, struct stat& status) override {
      note("fstat");
      return FileSystem::status(descriptor, status);
    }
    int status_at(int directory, const char* path, struct stat& status) override {
      note("fstatat");
      return FileSystem::status_at(directory, path, status);
    }
    int unlink_at(int directory, const char* path) override {
      note("unlink");
      return FileSystem::unlink_at(directory, path);
    }
    int rename_at(int directory, const char* from, const char* to) override {
      renamed = true;
      return FileSystem::rename_at(directory, from, to);
    }

   private:
    void note(const char* call) {
      if (renamed) afterwards.push_back(call);
    }
  } files;
  Store store(options(files));
  EXPECT_TRUE(store.publish(sample_entry(kDigest)));
  EXPECT_TRUE(files.renamed);
  EXPECT_THAT(files.afterwards, ::testing::IsEmpty());
}

/// Handles of one kind are stale for a number of times, as after another client has replaced what they stood for.
class StaleFileSystem : public FileSystem {
 public:
  StaleFileSystem(std::string call, int times) : call_(std::move(call)), times_(times) {}

  int open_at(int directory, const char* path, int flags, mode_t mode) override {
    const std::string_view kind = std::string_view(path) == "v1" ? "open root"
                                  : flags & O_DIRECTORY          ? "open folder"
                                                                 : "open entry";
    if (directory != AT_FDCWD && is_stale(kind)) return -ESTALE;
    return FileSystem::open_at(directory, path, flags, mode);
  }
  int status(int descriptor, struct stat& status) override {
    FileSystem::status(descriptor, status);
    return S_ISREG(status.st_mode) && is_stale("fstat") ? -ESTALE : 0;
  }
  ssize_t read(int descriptor, std::span<std::byte> into) override {
    return is_stale("read") ? -ESTALE : FileSystem::read(descriptor, into);
  }
  int list(int directory, const char* path, std::string_view prefix, std::vector<std::string>& names) override {
    return is_stale("list") ? -ESTALE : FileSystem::real().list(directory, path, prefix, names);
  }

 private:
  bool is_stale(std::string_view call) { return call == call_ && times_-- > 0; }
  std::string call_;
  int times_;
};

TEST(StaleHandles, AreOpenedAnewOnceAndThenAMissThatTouchesNothing) {
  for (const char* call : {"open folder", "open entry", "fstat", "read", "list"}) {
    SCOPED_TRACE(call);
    ScratchDirectory scratch;
    ASSERT_TRUE(Store({.directory = scratch.path()}).publish(sample_entry(kDigest)));
    StaleFileSystem once(call, 1);
    EXPECT_TRUE(Store({.directory = scratch.path(), .file_system = &once}).lookup(kDigest, TagPolicy::any()));
    StaleFileSystem always(call, 1000);
    Store store({.directory = scratch.path(), .file_system = &always});
    const LookupResult found = store.lookup(kDigest, TagPolicy::any());
    EXPECT_FALSE(found);
    EXPECT_TRUE(found.reason == MissReason::kUnreadable || found.reason == MissReason::kDisabled);
    EXPECT_THAT(found.detail, ::testing::HasSubstr("Stale"));
    EXPECT_TRUE(Store({.directory = scratch.path()}).lookup(kDigest, TagPolicy::any()));
  }
}

TEST(StaleHandles, DoNotStopAPublication) {
  ScratchDirectory scratch;
  StaleFileSystem files("open folder", 1);
  EXPECT_TRUE(Store({.directory = scratch.path(), .file_system = &files}).publish(sample_entry(kDigest)));
}

}  // namespace
}  // namespace flashmask::cache
