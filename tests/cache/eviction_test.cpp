// The byte limit: what goes, what stays, and what a publication does about it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cache/store.h"
#include "fake_clock.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string kContent(5000, 'x');

Digest digest_number(int number) {
  return digest_of("kernel " + std::to_string(number));
}

EntryView entry_number(int number) {
  return {digest_number(number), kTag, "{}", {{"cubin", bytes_of(kContent)}}};
}

const std::uint64_t kEntryBytes = encode(entry_number(0)).size();

class EvictionTest : public ::testing::Test {
 protected:
  std::string path(int number, std::string_view tag = kTag) {
    return scratch_.path() + "/" + Store::entry_path(digest_number(number), tag);
  }
  void set_age(const std::string& file, std::chrono::seconds age) {
    const auto time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() - age);
    const timespec times[2] = {{time, 0}, {time, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0) << file;
  }
  std::chrono::seconds age_of(const std::string& file) {
    struct stat status{};
    EXPECT_EQ(stat(file.c_str(), &status), 0) << file;
    return std::chrono::seconds(time(nullptr) - status.st_mtim.tv_sec);
  }
  /// Entries 0 … count-1, each a minute younger than the one before.
  void fill(int count) {
    Store unlimited({.directory = scratch_.path()});
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(unlimited.publish(entry_number(i)));
      set_age(path(i), 1min * (count - i));
    }
  }
  std::vector<int> kept(int count) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i)
      if (fs::exists(fs::symlink_status(path(i)))) numbers.push_back(i);
    return numbers;
  }
  StoreOptions limited(std::uint64_t entries) {
    return {.directory = scratch_.path(), .byte_limit = entries * kEntryBytes};
  }

  ScratchDirectory scratch_;
};

TEST_F(EvictionTest, APublicationDisplacesTheLeastRecentlyUsed) {
  fill(4);
  Store store(limited(4));
  EXPECT_TRUE(store.publish(entry_number(4)));
  EXPECT_EQ(kept(5), (std::vector{1, 2, 3, 4}));
  EXPECT_TRUE(store.publish(entry_number(5)));
  EXPECT_EQ(kept(6), (std::vector{2, 3, 4, 5}));
  EXPECT_EQ(store.counters().evicted, 2u);
  EXPECT_TRUE(store.lookup(digest_number(5), TagPolicy::any()));
}

/// A file server whose clock stands still: what it writes has one time, unless it is set.
class StandingClock : public FileSystem {
 public:
  explicit StandingClock(time_t now = time(nullptr)) : tick_{now, 0} {}
  int sync(int descriptor) override {
    const timespec times[2] = {tick_, tick_};
    return futimens(descriptor, times);
  }

 private:
  timespec tick_;
};

TEST_F(EvictionTest, OfEntriesWrittenWithinOneTickOfTheClockTheFirstPublishedGoesFirst) {
  StandingClock files;
  StoreOptions options = limited(6);
  options.file_system = &files;
  Store store(options);
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(store.publish(entry_number(i)));
    std::vector<int> last;
    for (int k = std::max(0, i - 5); k <= i; ++k) last.push_back(k);
    ASSERT_EQ(kept(i + 1), last);
  }
}

TEST_F(EvictionTest, AnEntryWrittenBeforeOthersButNamedAfterThemIsYoungerThanThey) {
  // Its publisher waits for its turn while another one is published.
  class Overtaken : public FileSystem {
   public:
    explicit Overtaken(std::function<void()> other) : other_(std::move(other)) {}
    int sync(int descriptor) override {
      const int result = FileSystem::sync(descriptor);
      if (other_) std::exchange(other_, {})();
      return result;
    }

   private:
    std::function<void()> other_;
  };
  Store other(limited(2));
  Overtaken files([&] { ASSERT_TRUE(other.publish(entry_number(1))); });
  StoreOptions options = limited(2);
  options.file_system = &files;
  EXPECT_TRUE(Store(options).publish(entry_number(0)));
  EXPECT_TRUE(other.publish(entry_number(2)));
  EXPECT_EQ(kept(3), (std::vector{0, 2}));
}

TEST_F(EvictionTest, OneEntryFromTheFutureNeitherTakesLaterOnesAlongNorEndsTheirOrder) {
  fill(1);
  set_age(path(0), -2h);
  StandingClock files;
  StoreOptions options = limited(4);
  options.file_system = &files;
  Store store(options);
  for (int i = 1; i < 20; ++i) EXPECT_TRUE(store.publish(entry_number(i)));
  EXPECT_LT(std::chrono::abs(age_of(path(19))), 10s);
  EXPECT_EQ(kept(20), (std::vector{0, 17, 18, 19}));
}

TEST_F(EvictionTest, TheOrderOfPublicationHoldsWhereTimesAreKeptInWholeSeconds) {
  class WholeSeconds : public StandingClock {
   public:
    int set_modified_at(int directory, const char* path, const timespec& time) override {
      return FileSystem::set_modified_at(directory, path, {time.tv_sec, 0});
    }
  } files;
  StoreOptions options = limited(3);
  options.file_system = &files;
  Store store(options);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(store.publish(entry_number(i)));
  EXPECT_EQ(kept(20), (std::vector{17, 18, 19}));
}

TEST_F(EvictionTest, WithinTheLimitNothingGoes) {
  fill(3);
  Store store(limited(4));
  EXPECT_TRUE(store.publish(entry_number(3)));
  EXPECT_EQ(kept(4), (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(store.counters().evicted, 0u);
}

TEST_F(EvictionTest, ReplacingAnEntryNeedsNoRoomOfItsOwn) {
  fill(4);
  Store store(limited(4));
  EXPECT_TRUE(store.publish(entry_number(0)));
  EXPECT_EQ(kept(4), (std::vector{0, 1, 2, 3}));
}

TEST_F(EvictionTest, ALimitThatWasLoweredHoldsFromTheNextPublicationOn) {
  fill(6);
  EXPECT_TRUE(Store(limited(2)).publish(entry_number(6)));
  EXPECT_EQ(kept(7), (std::vector{5, 6}));
}

TEST_F(EvictionTest, AnEntryLargerThanTheLimitIsNotStoredAndDisplacesNothing) {
  fill(2);
  Store store({.directory = scratch_.path(), .byte_limit = kEntryBytes - 1});
  EXPECT_THAT(store.publish(entry_number(2)).failure,
              ::testing::AllOf(HasSubstr(std::to_string(kEntryBytes)), HasSubstr(std::to_string(kEntryBytes - 1))));
  EXPECT_EQ(kept(3), (std::vector{0, 1}));
  EXPECT_TRUE(Store(limited(1)).publish(entry_number(2))) << "one that just fits is stored";
  EXPECT_EQ(kept(3), (std::vector{2}));
}

TEST_F(EvictionTest, OneJustPublishedStaysEvenIfItsTimeIsTheOldest) {
  fill(3);
  StandingClock files(1);  // in 1970
  StoreOptions options = limited(3);
  options.file_system = &files;
  const PublishOutcome outcome = Store(options).publish(entry_number(3));
  EXPECT_TRUE(outcome) << outcome.failure;
  EXPECT_EQ(kept(4), (std::vector{1, 2, 3}));
}

TEST_F(EvictionTest, TheAgeOfTemporaryFilesIsToldByTheFileServersClock) {
  fill(1);
  const std::string temporary = fs::path(path(0)).parent_path() / ".tmp-1-young";
  write_file(temporary, "half an ent");
  const timespec times[2] = {{0, 0}, {0, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, temporary.c_str(), times, 0), 0);
  StandingClock files(1);  // in 1970
  EXPECT_TRUE(Store({.directory = scratch_.path(), .file_system = &files}).publish(entry_number(1)));
  EXPECT_TRUE(fs::exists(temporary)) << "a second old over there, half a century here";
}

TEST_F(EvictionTest, AHitProtectsAnEntry) {
  fill(4);
  set_age(path(0), 2h);
  Store store(limited(4));
  EXPECT_TRUE(store.lookup(digest_number(0), TagPolicy::any()));
  EXPECT_TRUE(store.publish(entry_number(4)));
  EXPECT_EQ(kept(5), (std::vector{0, 2, 3, 4}));
}

TEST_F(EvictionTest, AHitRenewsTheTimeOfLastUseAtMostHourly) {
  fill(1);
  Store store(limited(4));
  for (const auto& [age, renewed] : std::vector<std::pair<std::chrono::seconds, bool>>{
           {59min, false}, {61min, true}, {24h * 365, true}, {-59min, false}, {-61min, true}}) {
    set_age(path(0), age);
    const std::uint64_t before = store.counters().touched;
    EXPECT_TRUE(store.lookup(digest_number(0), TagPolicy::exact(kTag)));
    EXPECT_EQ(store.counters().touched - before, renewed) << age.count();
    EXPECT_EQ(std::chrono::abs(age_of(path(0))) < 1min, renewed) << age.count();
  }
}

TEST_F(EvictionTest, AReadOnlyStoreNeitherRenewsNorRemoves) {
  fill(3);
  set_age(path(0), 5h);
  StoreOptions options = limited(1);
  options.access = StoreOptions::Access::kReadOnly;
  Store store(options);
  EXPECT_TRUE(store.lookup(digest_number(0), TagPolicy::any()));
  EXPECT_GT(age_of(path(0)), 4h);
  EXPECT_FALSE(store.publish(entry_number(3)));
  for (const Removal& removal : {store.collect(0), store.clear(), store.remove(store.list().files.front())}) {
    EXPECT_EQ(removal.files, 0u);
    EXPECT_THAT(removal.failure, HasSubstr("read-only"));
  }
  EXPECT_EQ(kept(4), (std::vector{0, 1, 2}));
}

TEST_F(EvictionTest, AHitIsServedEvenIfItsTimeCannotBeRenewed) {
  class NotMine : public FileSystem {
   public:
    int touch(int) override { return -EPERM; }
  } files;
  fill(1);
  set_age(path(0), 5h);
  Store store({.directory = scratch_.path(), .file_system = &files});
  EXPECT_TRUE(store.lookup(digest_number(0), TagPolicy::any()));
  EXPECT_EQ(store.counters().touched, 0u);
}

/// Does something to a file just before the cache takes its last look at it.
class Meddler : public FileSystem {
 public:
  explicit Meddler(std::string name, std::function<void()> meddle)
      : name_(std::move(name)), meddle_(std::move(meddle)) {}
  int status_at(int directory, const char* path, struct stat& status) override {
    if (path == name_ && ++looks_ == 2) meddle_();  // the first look is the inventory's
    return FileSystem::status_at(directory, path, status);
  }

 private:
  std::string name_;
  std::function<void()> meddle_;
  int looks_ = 0;
};

TEST_F(EvictionTest, AnEntryUsedOrReplacedSinceItWasJudgedStaysAndTheNextOneGoes) {
  const std::vector<std::function<void()>> meddlers = {
      [&] { set_age(path(0), 0s); },
      [&] { ASSERT_TRUE(Store({.directory = scratch_.path()}).publish(entry_number(0))); },
      [&] { fs::resize_file(path(0), kEntryBytes / 2); },
  };
  for (const auto& meddle : meddlers) {
    fs::remove_all(scratch_.path() + "/v1");
    fill(4);
    Meddler files(fs::path(path(0)).filename(), meddle);
    StoreOptions options = limited(4);
    options.file_system = &files;
    EXPECT_TRUE(Store(options).publish(entry_number(4)));
    EXPECT_EQ(kept(5), (std::vector{0, 2, 3, 4}));
  }
}

TEST_F(EvictionTest, AnEntryThatSomebodyElseRemovedIsRoomEnough) {
  fill(4);
  Meddler files(fs::path(path(0)).filename(), [&] { fs::remove(path(0)); });
  StoreOptions options = limited(4);
  options.file_system = &files;
  EXPECT_TRUE(Store(options).publish(entry_number(4)));
  EXPECT_EQ(kept(5), (std::vector{1, 2, 3, 4}));
}

TEST_F(EvictionTest, WhatIsNoEntryOfOursIsNeitherCountedNorRemoved) {
  fill(3);
  const std::string folder = fs::path(path(0)).parent_path();
  const std::string other_version = "flashmask-entry 2 " + std::string(2 * kEntryBytes, ' ');
  write_file(path(10), std::string(2 * kEntryBytes, '#'));  // somebody's file under the name of an entry
  write_file(path(11), other_version);
  write_file(folder + "/notes.txt", std::string(2 * kEntryBytes, 'n'));
  write_file(scratch_.path() + "/v1/README", std::string(2 * kEntryBytes, 'r'));
  write_file(scratch_.path() + "/v2/ab/entry", std::string(2 * kEntryBytes, 'v'));
  fs::create_directories(fs::path(path(12)));
  fs::create_directories(fs::path(path(13)).parent_path());
  fs::create_symlink(path(0), path(13));
  for (int i = 10; i < 14; ++i) fs::permissions(fs::path(path(i)).parent_path(), fs::perms::owner_all);
  for (int i : {10, 11}) set_age(path(i), 24h);
  Store store(limited(3));
  EXPECT_TRUE(store.publish(entry_number(3)));
  EXPECT_EQ(kept(20), (std::vector{1, 2, 3, 10, 11, 12, 13}));
  EXPECT_EQ(read_file(path(11)), other_version);
  EXPECT_TRUE(fs::exists(folder + "/notes.txt"));
  EXPECT_TRUE(fs::exists(scratch_.path() + "/v1/README"));
  EXPECT_TRUE(fs::exists(scratch_.path() + "/v2/ab/entry"));
}

TEST_F(EvictionTest, DamagedEntriesAndThoseOthersMayWriteGoLikeAllOthers) {
  fill(4);
  fs::resize_file(path(0), kEntryBytes - 1);
  set_age(path(0), 1h);
  fs::permissions(path(1), fs::perms::all);
  EXPECT_TRUE(Store(limited(3)).publish(entry_number(4)));
  EXPECT_EQ(kept(5), (std::vector{2, 3, 4}));
}

TEST_F(EvictionTest, WhatCannotBeRemovedKeepsItsRoomAndThePublicationIsRefused) {
  class Sticky : public FileSystem {
   public:
    int unlink_at(int directory, const char* path) override {
      return std::string_view(path).starts_with(".tmp") ? FileSystem::unlink_at(directory, path) : -EPERM;
    }
  } files;
  fill(3);
  StoreOptions options = limited(3);
  options.file_system = &files;
  Store store(options);
  EXPECT_THAT(store.publish(entry_number(3)).failure, HasSubstr("full"));
  EXPECT_EQ(kept(4), (std::vector{0, 1, 2}));
  EXPECT_EQ(scratch_.files().size(), 4u) << "three entries and the lock file, no temporary";
}

TEST_F(EvictionTest, OldTemporaryFilesAreReapedAndYoungOnesAreNot) {
  for (const bool with_limit : {true, false}) {
    fs::remove_all(scratch_.path() + "/v1");
    fill(1);
    const std::string folder = fs::path(path(0)).parent_path();
    write_file(folder + "/.tmp-1-old", "half an ent");
    write_file(folder + "/.tmp-2-young", "half an ent");
    fs::create_directory(folder + "/.tmp-directory");
    set_age(folder + "/.tmp-1-old", 61min);
    set_age(folder + "/.tmp-2-young", 59min);
    Store store(with_limit ? limited(9) : StoreOptions{.directory = scratch_.path()});
    EXPECT_TRUE(store.publish(entry_number(1)));
    EXPECT_FALSE(fs::exists(folder + "/.tmp-1-old"));
    EXPECT_TRUE(fs::exists(folder + "/.tmp-2-young"));
    EXPECT_TRUE(fs::exists(folder + "/.tmp-directory"));
    EXPECT_EQ(store.counters().reaped, 1u);
  }
}

TEST_F(EvictionTest, ATemporaryFileThatIsStillWrittenToIsNotReaped) {
  fill(1);
  const std::string temporary = fs::path(path(0)).parent_path() / ".tmp-1-slow";
  write_file(temporary, "half an ent");
  set_age(temporary, 2h);
  Meddler files(".tmp-1-slow", [&] { write_file(temporary, "half an entry"); });
  StoreOptions options = limited(9);
  options.file_system = &files;
  EXPECT_TRUE(Store(options).publish(entry_number(1)));
  EXPECT_TRUE(fs::exists(temporary));
}

TEST_F(EvictionTest, APublisherThatIsStoppedWhileItMakesRoomHoldsTheOthersUpForSecondsAtMost) {
  fill(3);
  FakeClock clock;
  FileSystem& real = FileSystem::real();
  const Descriptor root(real, real.open_at(AT_FDCWD, (scratch_.path() + "/v1").c_str(), O_RDONLY | O_DIRECTORY, 0));
  ByteLock stopped(real, root.number(), kEvictionByte);
  ASSERT_EQ(stopped.attempt(), ByteLock::State::kHeld);
  StoreOptions options = limited(3);
  options.clock = &clock;
  EXPECT_TRUE(Store(options).publish(entry_number(3)));
  EXPECT_EQ(clock.elapsed(), 5s);
  EXPECT_EQ(kept(4), (std::vector{1, 2, 3}));
}

TEST_F(EvictionTest, WhereLocksDoNotWorkRoomIsMadeAllTheSame) {
  class WithoutLocks : public FileSystem {
   public:
    int lock_byte(int, off_t) override { return -ENOLCK; }
  } files;
  fill(3);
  StoreOptions options = limited(3);
  options.file_system = &files;
  EXPECT_TRUE(Store(options).publish(entry_number(3)));
  EXPECT_EQ(kept(4), (std::vector{1, 2, 3}));
}

TEST_F(EvictionTest, CollectingLeavesTheMostRecentlyUsedWithinTheLimit) {
  fill(5);
  write_file(fs::path(path(0)).parent_path().string() + "/.tmp-1-old", "half");
  set_age(fs::path(path(0)).parent_path().string() + "/.tmp-1-old", 2h);
  Store store({.directory = scratch_.path()});
  const Removal removal = store.collect(2 * kEntryBytes + 10);
  EXPECT_EQ(removal.files, 3u);
  EXPECT_EQ(removal.bytes, 3 * kEntryBytes);
  EXPECT_EQ(removal.temporary_files, 1u);
  EXPECT_THAT(removal.failure, IsEmpty());
  EXPECT_EQ(kept(5), (std::vector{3, 4}));
  EXPECT_EQ(store.collect(2 * kEntryBytes).files, 0u);
  EXPECT_EQ(store.collect(0).files, 2u);
  EXPECT_THAT(kept(5), IsEmpty());
}

}  // namespace
}  // namespace flashmask::cache
