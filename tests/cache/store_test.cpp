#include "cache/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <set>
#include <thread>

#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Digest kDigest = digest_of("kernel");

class StoreTest : public ::testing::Test {
 protected:
  std::string cubin(const LookupResult& found) { return found ? text_of(*found.entry->section("cubin")) : "(miss)"; }
  std::string path(std::string_view tag = kTag) { return scratch_.path() + "/" + Store::entry_path(kDigest, tag); }
  void set_age(const std::string& file, time_t seconds) {
    const timespec times[2] = {{1'700'000'000 - seconds, 0}, {1'700'000'000 - seconds, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
  }
  void expect_miss(MissReason reason) {
    const LookupResult found = store_.lookup(kDigest, TagPolicy::any());
    EXPECT_FALSE(found);
    EXPECT_EQ(name_of(found.reason), name_of(reason)) << found.detail;
  }
  /// Whatever is in the place of the entry, the next publication is served.
  void expect_next_publication_is_served() {
    const PublishOutcome outcome = store_.publish(sample_entry(kDigest));
    EXPECT_TRUE(outcome) << outcome.failure;
    EXPECT_EQ(cubin(store_.lookup(kDigest, TagPolicy::any())), "ELF…cubin");
  }

  static void tell(const char* what, int count) {
    RecordProperty(what, count);
    std::printf("%d %s\n", count, what);
  }

  ScratchDirectory scratch_;
  Store store_{{.directory = scratch_.path()}};
};

TEST_F(StoreTest, AnEntryComesBackFromDisk) {
  expect_miss(MissReason::kAbsent);
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  const LookupResult found = Store({.directory = scratch_.path()}).lookup(kDigest, TagPolicy::any());
  ASSERT_TRUE(found) << found.detail;
  EXPECT_EQ(text_of(*found.entry->section("cubin")), "ELF…cubin");
  EXPECT_EQ(found.entry->toolchain_tag(), kTag);
  EXPECT_THAT(scratch_.files(), ElementsAre(Store::entry_path(kDigest, kTag)));
}

TEST_F(StoreTest, TheFileHoldsTheEncodedEntryAndIsTheUsersAlone) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  EXPECT_EQ(read_file(path()), text_of(encode(sample_entry(kDigest))));
  EXPECT_EQ(fs::status(path()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  for (fs::path folder = fs::path(path()).parent_path(); folder != scratch_.path(); folder = folder.parent_path())
    EXPECT_EQ(fs::status(folder).permissions(), fs::perms::owner_all) << folder;
}

TEST_F(StoreTest, LookingUpCreatesNothing) {
  Store store({.directory = scratch_.path() + "/not/yet"});
  EXPECT_FALSE(store.lookup(kDigest, TagPolicy::any()));
  EXPECT_FALSE(store.disabled_reason());
  EXPECT_FALSE(fs::exists(scratch_.path() + "/not"));
  EXPECT_TRUE(store.publish(sample_entry(kDigest)));
  EXPECT_EQ(fs::status(scratch_.path() + "/not").permissions(), fs::perms::owner_all);
  EXPECT_TRUE(store.lookup(kDigest, TagPolicy::any()));
}

TEST_F(StoreTest, PublishingAgainReplaces) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, kTag, "old")));
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, kTag, "new")));
  EXPECT_EQ(cubin(store_.lookup(kDigest, TagPolicy::any())), "new");
  EXPECT_EQ(scratch_.files().size(), 1u);
}

// ---- toolchains

TEST_F(StoreTest, AnyToolchainMeansTheGreatestVersionWhateverTheFilesTimesAre) {
  const char* tags[] = {"nvrtc-12.9.1", "nvrtc-13.0.88", "nvrtc-13.0.48", "nvrtc-13.0.9"};
  for (const char* tag : tags) ASSERT_TRUE(store_.publish(sample_entry(kDigest, tag, tag)));
  for (const char* latest : tags) {
    for (const char* tag : tags) set_age(path(tag), tag == latest ? 0 : 1000);
    EXPECT_EQ(cubin(store_.lookup(kDigest, TagPolicy::any())), "nvrtc-13.0.88") << "last written: " << latest;
  }
  fs::remove(path("nvrtc-13.0.88"));
  EXPECT_EQ(cubin(store_.lookup(kDigest, TagPolicy::any())), "nvrtc-13.0.48");
}

TEST_F(StoreTest, AnExactToolchainIsTakenOrNothing) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "nvrtc-12.9.1", "old")));
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "nvrtc-13.0.88", "new")));
  EXPECT_EQ(cubin(store_.lookup(kDigest, TagPolicy::exact("nvrtc-12.9.1"))), "old");
  EXPECT_FALSE(store_.lookup(kDigest, TagPolicy::exact("nvrtc-12.9")));
}

TEST_F(StoreTest, APredicateChoosesAmongToolchains) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "nvrtc-12.9.1", "old")));
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "nvrtc-13.0.48", "older")));
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "nvrtc-13.0.88", "new")));
  const auto major = [](std::string_view prefix) {
    return TagPolicy::matching([prefix](std::string_view tag) { return tag.starts_with(prefix); });
  };
  EXPECT_EQ(cubin(store_.lookup(kDigest, major("nvrtc-13."))), "new");
  const LookupResult none = store_.lookup(kDigest, major("nvrtc-14."));
  EXPECT_EQ(name_of(none.reason), "other-toolchain");
  EXPECT_THAT(none.detail, HasSubstr("3 of other toolchains"));
}

TEST_F(StoreTest, WhenTheNewestIsNoGoodTheNextOneIsServed) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "13.0", "good")));
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, "13.1", "newer")));
  fs::resize_file(path("13.1"), 100);
  EXPECT_EQ(cubin(store_.lookup(kDigest, TagPolicy::any())), "good");
  EXPECT_FALSE(fs::exists(path("13.1")));
  EXPECT_EQ(store_.counters().healed, 1u);
}

// ---- what is wrong with a file

TEST_F(StoreTest, AChangedByteAtAnyPlaceIsAMissAndHeals) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  const std::string good = read_file(path());
  int changed = 0;
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const int mask : {0x01, 0x20, 0x80, 0xff}) {
      ++changed;
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ mask);
      write_file(path(), bad);
      const LookupResult found = store_.lookup(kDigest, TagPolicy::any());
      ASSERT_FALSE(found) << "byte " << i;
      // The first line says whose file it is; whatever it leaves as ours is removed.
      const bool ours = found.reason == MissReason::kCorrupt;
      EXPECT_TRUE(ours || i < 18) << "byte " << i << ": " << name_of(found.reason);
      EXPECT_EQ(fs::exists(path()), !ours) << "byte " << i;
      write_file(path(), good);
    }
  tell("bytes changed", changed);
  fs::remove(path());
  expect_next_publication_is_served();
}

TEST_F(StoreTest, ATruncatedEntryOfAnyLengthIsAMissAndHealsItself) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  const std::string good = read_file(path());
  for (std::size_t size = 0; size < good.size(); ++size) {
    write_file(path(), std::string_view(good).substr(0, size));
    expect_miss(MissReason::kCorrupt);
    EXPECT_FALSE(fs::exists(path())) << size;
  }
  EXPECT_EQ(store_.counters().healed, good.size());
  tell("lengths cut to", static_cast<int>(good.size()));
  expect_next_publication_is_served();
}

TEST_F(StoreTest, SomebodyElsesFileIsLeftAloneUntilItsNameIsNeeded) {
  write_file(path(), "#!/bin/sh\n");
  expect_miss(MissReason::kForeign);
  EXPECT_EQ(read_file(path()), "#!/bin/sh\n");
  expect_next_publication_is_served();
}

TEST_F(StoreTest, AnEntryOfAnotherVersionIsLeftAlone) {
  std::string other = text_of(encode(sample_entry(kDigest)));
  other[std::string_view("flashmask-entry ").size()] = '2';
  write_file(path(), other);
  expect_miss(MissReason::kOtherVersion);
  EXPECT_EQ(read_file(path()), other);
}

TEST_F(StoreTest, ExchangedNamesAreNoticed) {
  write_file(path(), text_of(encode(sample_entry(digest_of("another kernel")))));
  expect_miss(MissReason::kWrongName);
  write_file(path(), text_of(encode(sample_entry(kDigest, "another-toolchain"))));
  expect_miss(MissReason::kWrongName);
  expect_next_publication_is_served();
}

TEST_F(StoreTest, AnEntryThatOthersMayWriteIsAMiss) {
  for (mode_t mode : {0620, 0602, 0666, 0777}) {
    ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
    ASSERT_EQ(chmod(path().c_str(), mode), 0);
    expect_miss(MissReason::kLoosePermissions);
  }
  expect_next_publication_is_served();
}

TEST_F(StoreTest, ASymbolicLinkInPlaceOfAnEntryIsAMiss) {
  const std::string target = scratch_.path() + "/elsewhere";
  write_file(target, text_of(encode(sample_entry(kDigest))));
  fs::create_directories(fs::path(path()).parent_path());
  fs::create_symlink(target, path());
  expect_miss(MissReason::kNotARegularFile);
  expect_next_publication_is_served();
  EXPECT_TRUE(fs::exists(target));
  EXPECT_FALSE(fs::is_symlink(path()));
}

TEST_F(StoreTest, ADirectoryInPlaceOfAnEntryIsAMissAndAFailedStore) {
  fs::create_directories(path());
  expect_miss(MissReason::kNotARegularFile);
  const PublishOutcome outcome = store_.publish(sample_entry(kDigest));
  EXPECT_THAT(outcome.failure, HasSubstr("rename"));
  EXPECT_THAT(scratch_.files(), IsEmpty());
}

TEST_F(StoreTest, AFifoInPlaceOfAnEntryIsAMissAndHoldsNobodyUp) {
  fs::create_directories(fs::path(path()).parent_path());
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  expect_miss(MissReason::kNotARegularFile);
  expect_next_publication_is_served();
}

TEST_F(StoreTest, AHugeFileIsAMissThatIsNotRead) {
  write_file(path(), "flashmask-entry 1 ");
  fs::resize_file(path(), kMaxEntryBytes + 1);  // sparse
  expect_miss(MissReason::kTooLarge);
}

TEST_F(StoreTest, AnEmptyFileIsAMissAndHeals) {
  write_file(path(), "");
  fs::permissions(fs::path(path()).parent_path(), fs::perms::owner_all);
  expect_miss(MissReason::kCorrupt);
  EXPECT_FALSE(fs::exists(path()));
  expect_next_publication_is_served();
}

TEST_F(StoreTest, AnEntryThatClaimsAnotherLengthIsAMissThatAllocatesNoMoreThanTheFile) {
  const std::string good = text_of(encode(sample_entry(kDigest)));
  const std::size_t length_at = std::string_view("flashmask-entry 1 ").size();
  for (const char* length : {"ffffffffffffffff", "7fffffffffffffff", "0000000010000001", "0000000000000000"}) {
    write_file(path(), std::string(good).replace(length_at, 16, length));
    fs::permissions(fs::path(path()).parent_path(), fs::perms::owner_all);
    expect_miss(MissReason::kCorrupt);
    EXPECT_FALSE(fs::exists(path())) << length;
  }
}

TEST_F(StoreTest, AHardLinkIsAFileLikeAnyOther) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  fs::create_hard_link(path(), scratch_.path() + "/kept");
  EXPECT_TRUE(store_.lookup(kDigest, TagPolicy::any()));
  ASSERT_TRUE(store_.publish(sample_entry(kDigest, kTag, "new")));
  EXPECT_EQ(read_file(scratch_.path() + "/kept"), text_of(encode(sample_entry(kDigest))))
      << "a publication replaces the name and writes through no link";
  // Under another digest's name it is an exchanged name.
  const std::string other = scratch_.path() + "/" + Store::entry_path(digest_of("other"), kTag);
  fs::create_directories(fs::path(other).parent_path());
  fs::permissions(fs::path(other).parent_path(), fs::perms::owner_all);
  fs::create_hard_link(path(), other);
  EXPECT_EQ(store_.lookup(digest_of("other"), TagPolicy::any()).reason, MissReason::kWrongName);
  EXPECT_TRUE(fs::exists(other));
}

TEST_F(StoreTest, FilesThatAreNoEntriesOfTheDigestAreNotLookedAt) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  const std::string folder = fs::path(path()).parent_path();
  write_file(folder + "/" + kDigest.hex() + "-", "x");
  write_file(folder + "/" + kDigest.hex() + "-a b", "x");
  write_file(folder + "/" + kDigest.hex() + "-.x", "x");
  write_file(folder + "/.tmp-1-2-3", "x");
  EXPECT_TRUE(store_.lookup(kDigest, TagPolicy::any()));
  EXPECT_EQ(store_.counters().misses(), 0u);
}

// ---- the validator

TEST_F(StoreTest, WhatTheValidatorRefusesIsAMissWithItsReasonAndStays) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  const LookupResult found = store_.lookup(kDigest, TagPolicy::any(), [](const Entry& entry) {
    EXPECT_TRUE(entry.section("cubin"));
    return std::optional<std::string>("e_flags say sm_80");
  });
  EXPECT_EQ(name_of(found.reason), "refused");
  EXPECT_THAT(found.detail, HasSubstr("e_flags say sm_80"));
  EXPECT_TRUE(store_.lookup(kDigest, TagPolicy::any(), [](const Entry&) { return std::nullopt; }));
}

// ---- names

TEST_F(StoreTest, ATagThatWouldLeaveTheDirectoryIsRefused) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  for (const char* tag : {"../../escape", "a/b", "..", "", "/tmp/x"}) {
    EXPECT_FALSE(store_.publish(sample_entry(kDigest, tag))) << tag;
    EXPECT_EQ(store_.lookup(kDigest, TagPolicy::exact(tag)).reason, MissReason::kOtherToolchain) << tag;
  }
  EXPECT_THAT(scratch_.files(), ElementsAre(Store::entry_path(kDigest, kTag)));
}

// ---- the directory

TEST_F(StoreTest, ADirectoryThatOthersMayWriteIsRefusedWithTheMend) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  for (const std::string& folder : {scratch_.path(), scratch_.path() + "/v1"}) {
    ASSERT_EQ(chmod(folder.c_str(), 0777), 0);
    Store store({.directory = scratch_.path()});
    const std::string mend = "chmod go-w '" + folder + "'";
    EXPECT_THAT(store.disabled_reason().value_or(""), HasSubstr(mend));
    const LookupResult found = store.lookup(kDigest, TagPolicy::any());
    EXPECT_EQ(name_of(found.reason), "disabled");
    EXPECT_THAT(found.detail, HasSubstr(mend));
    EXPECT_THAT(store.publish(sample_entry(kDigest)).failure, HasSubstr(mend));
    ASSERT_EQ(chmod(folder.c_str(), 0700), 0);
    EXPECT_TRUE(store.lookup(kDigest, TagPolicy::any())) << "mended while the process runs";
  }
}

TEST_F(StoreTest, AFolderThatOthersMayWriteOrALinkInItsPlaceIsNotUsed) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  const std::string folder = fs::path(path()).parent_path();
  ASSERT_EQ(chmod(folder.c_str(), 0777), 0);
  for (const TagPolicy& policy : {TagPolicy::any(), TagPolicy::exact(kTag)}) {
    const LookupResult found = store_.lookup(kDigest, policy);
    EXPECT_EQ(name_of(found.reason), "disabled");
    EXPECT_THAT(found.detail, HasSubstr("chmod go-w '" + folder + "'"));
  }
  EXPECT_THAT(store_.publish(sample_entry(kDigest)).failure, HasSubstr("chmod go-w '" + folder + "'"));
  ASSERT_EQ(chmod(folder.c_str(), 0700), 0);
  EXPECT_TRUE(store_.lookup(kDigest, TagPolicy::any()));

  fs::rename(folder, scratch_.path() + "/elsewhere");
  fs::create_directory_symlink(scratch_.path() + "/elsewhere", folder);
  for (const TagPolicy& policy : {TagPolicy::any(), TagPolicy::exact(kTag)})
    EXPECT_EQ(name_of(store_.lookup(kDigest, policy).reason), "unreadable");
  EXPECT_FALSE(store_.publish(sample_entry(kDigest)));
}

/// As if the process ran as another user.
class OtherUser : public FileSystem {
 public:
  uid_t user() override { return 4711; }
};

TEST_F(StoreTest, AnotherUsersDirectoryAndEntriesAreRefused) {
  if (geteuid() == 0) {
    // What root owns is trusted; so the files are given to a third user.
    ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
    ASSERT_EQ(chown(path().c_str(), 4712, static_cast<gid_t>(-1)), 0);
    expect_miss(MissReason::kForeignOwner);
    ASSERT_EQ(chown(scratch_.path().c_str(), 4712, static_cast<gid_t>(-1)), 0);
  }
  OtherUser other;
  Store store({.directory = scratch_.path(), .file_system = &other});
  EXPECT_THAT(store.disabled_reason().value_or(""), HasSubstr("chown 4711"));
  EXPECT_FALSE(store.publish(sample_entry(kDigest)));
}

TEST_F(StoreTest, AnEntryOfAnotherUserIsNeitherServedNorCountedNorRemoved) {
  class Foreign : public FileSystem {
   public:
    int status(int descriptor, struct stat& status) override {
      return disown(FileSystem::status(descriptor, status), status);
    }
    int status_at(int directory, const char* path, struct stat& status) override {
      return disown(FileSystem::status_at(directory, path, status), status);
    }

   private:
    static int disown(int result, struct stat& status) {
      if (S_ISREG(status.st_mode)) status.st_uid = 4712;
      return result;
    }
  } files;
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  Store store({.directory = scratch_.path(), .byte_limit = fs::file_size(path()), .file_system = &files});
  const LookupResult found = store.lookup(kDigest, TagPolicy::any());
  EXPECT_EQ(name_of(found.reason), "foreign-owner");
  EXPECT_THAT(found.detail, HasSubstr("4712"));
  EXPECT_TRUE(store.publish(sample_entry(digest_of("another"))));
  EXPECT_EQ(store.clear().kept, 2u);
  EXPECT_TRUE(fs::exists(path()));
}

TEST_F(StoreTest, ALinkToTheDirectoryIsFollowedAndItsTargetJudged) {
  const std::string target = scratch_.path() + "/disk", link = scratch_.path() + "/link";
  fs::create_directory(target);
  fs::create_symlink(target, link);
  ASSERT_EQ(chmod(target.c_str(), 0700), 0);
  EXPECT_TRUE(Store({.directory = link}).publish(sample_entry(kDigest)));
  EXPECT_TRUE(fs::exists(target + "/" + Store::entry_path(kDigest, kTag)));
  ASSERT_EQ(chmod(target.c_str(), 0770), 0);
  EXPECT_TRUE(Store({.directory = link}).disabled_reason());
}

TEST_F(StoreTest, ALinkBelowTheDirectoryIsRefused) {
  fs::create_directory(scratch_.path() + "/elsewhere");
  fs::create_symlink(scratch_.path() + "/elsewhere", scratch_.path() + "/v1");
  EXPECT_FALSE(store_.publish(sample_entry(kDigest)));
  EXPECT_EQ(name_of(store_.lookup(kDigest, TagPolicy::any()).reason), "disabled");
}

TEST_F(StoreTest, ARelativeOrMissingDirectoryDisablesTheStore) {
  for (const char* directory : {"", "cache", "./cache", "~/cache"}) {
    Store store({.directory = directory});
    EXPECT_THAT(store.disabled_reason().value_or(""), HasSubstr("absolute")) << directory;
    EXPECT_EQ(name_of(store.lookup(kDigest, TagPolicy::any()).reason), "disabled");
    EXPECT_FALSE(store.publish(sample_entry(kDigest)));
  }
}

TEST_F(StoreTest, AFileInPlaceOfTheDirectoryDisablesTheStore) {
  write_file(scratch_.path() + "/file", "x");
  for (const std::string& directory : {scratch_.path() + "/file", scratch_.path() + "/file/below"}) {
    Store store({.directory = directory});
    EXPECT_EQ(name_of(store.lookup(kDigest, TagPolicy::any()).reason), "disabled");
    EXPECT_FALSE(store.publish(sample_entry(kDigest)));
  }
}

TEST_F(StoreTest, ADisabledStoreTellsItsReason) {
  const auto store = Store::disabled("HOME is not set");
  EXPECT_EQ(store->disabled_reason(), "HOME is not set");
  EXPECT_EQ(store->lookup(kDigest, TagPolicy::any()).detail, "HOME is not set");
  EXPECT_EQ(store->publish(sample_entry(kDigest)).failure, "HOME is not set");
}

TEST_F(StoreTest, ADirectoryRemovedUnderARunningProcessIsMadeAgain) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  fs::remove_all(scratch_.path() + "/v1");
  expect_miss(MissReason::kAbsent);
  expect_next_publication_is_served();
  fs::remove_all(scratch_.path());
  expect_miss(MissReason::kAbsent);
  expect_next_publication_is_served();
}

TEST_F(StoreTest, AReadOnlyStoreReadsAndNeverWrites) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  Store reader({.directory = scratch_.path(), .access = StoreOptions::Access::kReadOnly});
  EXPECT_TRUE(reader.lookup(kDigest, TagPolicy::any()));
  EXPECT_THAT(reader.publish(sample_entry(digest_of("y"))).failure, HasSubstr("read-only"));
  fs::resize_file(path(), 50);
  EXPECT_EQ(name_of(reader.lookup(kDigest, TagPolicy::any()).reason), "corrupt");
  EXPECT_TRUE(fs::exists(path()));
}

TEST_F(StoreTest, ADirectoryThatAnotherProcessRemovedAndMadeAnewIsReadByTheRunningOnes) {
  ASSERT_TRUE(store_.publish(sample_entry(kDigest)));
  ASSERT_TRUE(store_.lookup(kDigest, TagPolicy::any()));
  fs::remove_all(scratch_.path() + "/v1");
  ASSERT_TRUE(Store({.directory = scratch_.path()}).publish(sample_entry(kDigest, kTag, "another's")));
  EXPECT_EQ(cubin(store_.lookup(kDigest, TagPolicy::any())), "another's");
}

TEST_F(StoreTest, MovingTheDirectoryKeepsAllHits) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(store_.publish(sample_entry(digest_of(std::to_string(i)))));
  const ScratchDirectory elsewhere;
  const std::string moved = elsewhere.path() + "/moved";
  fs::copy(scratch_.path(), moved, fs::copy_options::recursive);  // as to another disk: all times are new
  fs::permissions(moved, fs::perms::owner_all);
  for (const auto& item : fs::recursive_directory_iterator(moved))
    if (item.is_directory()) fs::permissions(item.path(), fs::perms::owner_all);
  Store store({.directory = moved});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(store.lookup(digest_of(std::to_string(i)), TagPolicy::any())) << i;
  EXPECT_EQ(store.counters().misses(), 0u);
}

TEST_F(StoreTest, AnotherVersionsDirectoryIsNeitherReadNorTouched) {
  // As after an upgrade and a downgrade: the same names, in the directory of a format that is not ours.
  const std::string theirs = scratch_.path() + "/v2" + Store::entry_path(kDigest, kTag).substr(2);
  const std::string content = text_of(encode(sample_entry(kDigest)));
  write_file(theirs, content);
  write_file(scratch_.path() + "/v2/.locks", "");
  expect_miss(MissReason::kAbsent);
  Store store({.directory = scratch_.path(), .byte_limit = content.size()});
  EXPECT_TRUE(store.publish(sample_entry(digest_of("another"))));
  EXPECT_TRUE(store.publish(sample_entry(kDigest)));
  EXPECT_EQ(store.counters().evicted, 1u);
  store.collect(0);
  store.clear();
  EXPECT_EQ(read_file(theirs), content);
  EXPECT_TRUE(fs::exists(scratch_.path() + "/v2/.locks"));
}

// ---- counters

TEST_F(StoreTest, EverythingIsCounted) {
  store_.lookup(kDigest, TagPolicy::any());
  store_.publish(sample_entry(kDigest));
  store_.publish(sample_entry(kDigest, "a/b"));
  store_.lookup(kDigest, TagPolicy::any());
  store_.lookup(kDigest, TagPolicy::exact("another"));
  fs::resize_file(path(), 10);
  store_.lookup(kDigest, TagPolicy::any());
  const StoreCounters counters = store_.counters();
  EXPECT_EQ(counters.hits, 1u);
  EXPECT_EQ(counters.misses(), 3u);
  EXPECT_EQ(counters.misses(MissReason::kAbsent), 2u);
  EXPECT_EQ(counters.misses(MissReason::kCorrupt), 1u);
  EXPECT_EQ(counters.stores, 1u);
  EXPECT_EQ(counters.failed_stores, 1u);
  EXPECT_EQ(counters.healed, 1u);
}

TEST_F(StoreTest, EveryReasonHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kMissReasons; ++i) names.insert(name_of(static_cast<MissReason>(i)));
  EXPECT_EQ(names.size(), kMissReasons);
  EXPECT_FALSE(names.contains("unknown"));
}

TEST_F(StoreTest, ManyThreadsShareAStore) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const Digest digest = digest_of(std::to_string((t + i) % 5));
        if (!store_.publish(sample_entry(digest))) ++wrong;
        if (!store_.lookup(digest, TagPolicy::any())) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(scratch_.files().size(), 5u);
  EXPECT_EQ(store_.counters().stores, 160u);
}

}  // namespace
}  // namespace flashmask::cache
