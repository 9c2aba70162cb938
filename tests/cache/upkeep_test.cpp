// What the command shows of a store, and removes from it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>

#include "cache/store.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Digest digest_number(int number) {
  return digest_of("kernel " + std::to_string(number));
}

class UpkeepTest : public ::testing::Test {
 protected:
  std::string path(int number, std::string_view tag = kTag) {
    return scratch_.path() + "/" + Store::entry_path(digest_number(number), tag);
  }
  /// A file of any content in the place of entry `number`.
  void put(int number, std::string_view content) {
    write_file(path(number), content);
    fs::permissions(fs::path(path(number)).parent_path(), fs::perms::owner_all);
  }
  std::map<int, std::string> defects(const StoreContents& contents) {
    std::map<int, std::string> found;
    for (int i = 0; i < 20; ++i)
      for (const StoredFile& file : contents.files)
        if (file.digest == digest_number(i)) found[i] = file.defect ? name_of(*file.defect) : "";
    return found;
  }
  /// One of everything that can lie in the place of an entry; 0 is a good one.
  void put_one_of_everything() {
    const std::string good = text_of(encode(sample_entry(digest_number(0))));
    ASSERT_TRUE(store_.publish(sample_entry(digest_number(0))));
    put(1, good.substr(0, 300));
    std::string flipped = text_of(encode(sample_entry(digest_number(2))));
    flipped[200] = static_cast<char>(flipped[200] ^ 1);
    put(2, flipped);
    put(3, good);  // under another's name
    put(4, "#!/bin/sh\n");
    std::string other_version = good;
    other_version[std::string_view("flashmask-entry ").size()] = '2';
    put(5, other_version);
    put(6, "");
    put(7, "x");
    fs::remove(path(7));
    fs::create_directory(path(7));
    put(8, "x");
    fs::remove(path(8));
    fs::create_symlink(path(0), path(8));
    put(9, text_of(encode(sample_entry(digest_number(9)))));
    fs::permissions(path(9), fs::perms::all);
    put(10, "x");
    fs::remove(path(10));
    ASSERT_EQ(mkfifo(path(10).c_str(), 0600), 0);
    put(11, "flashmask-entry 1 ");
    fs::resize_file(path(11), kMaxEntryBytes + 1);
    put(12, text_of(encode(sample_entry(digest_number(12)))));
    if (geteuid() == 0) {
      ASSERT_EQ(chown(path(12).c_str(), 4712, static_cast<gid_t>(-1)), 0);
    }
  }

  ScratchDirectory scratch_;
  Store store_{{.directory = scratch_.path()}};
};

TEST_F(UpkeepTest, ListingTellsWhatThereIsNewestToolchainFirst) {
  for (const char* tag : {"nvrtc-12.9.1", "nvrtc-13.0.100", "nvrtc-13.0.88"})
    ASSERT_TRUE(store_.publish(sample_entry(digest_number(0), tag)));
  const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path(0, "nvrtc-12.9.1").c_str(), times, 0), 0);
  const StoreContents contents = store_.list();
  ASSERT_EQ(contents.files.size(), 3u);
  EXPECT_EQ(contents.files[0].toolchain_tag, "nvrtc-13.0.100");
  EXPECT_EQ(contents.files[1].toolchain_tag, "nvrtc-13.0.88");
  const StoredFile& oldest = contents.files[2];
  EXPECT_EQ(oldest.toolchain_tag, "nvrtc-12.9.1");
  EXPECT_EQ(oldest.digest, digest_number(0));
  EXPECT_EQ(scratch_.path() + "/" + oldest.path, path(0, "nvrtc-12.9.1"));
  EXPECT_EQ(oldest.bytes, fs::file_size(path(0, "nvrtc-12.9.1")));
  EXPECT_EQ(oldest.last_used.time_since_epoch(), 1'700'000'000s);
  EXPECT_FALSE(oldest.defect);
  EXPECT_EQ(contents.bytes(), 3 * oldest.bytes);
  EXPECT_THAT(contents.failure, IsEmpty());
  EXPECT_THAT(contents.strays, IsEmpty());
}

TEST_F(UpkeepTest, StraysAndTemporaryFilesAreToldApart) {
  ASSERT_TRUE(store_.publish(sample_entry(digest_number(0))));
  const std::string folder = fs::path(path(0)).parent_path();
  write_file(folder + "/.tmp-1-2", "half");
  write_file(folder + "/notes.txt", "x");
  write_file(scratch_.path() + "/v1/README", "x");
  // A good name in a folder of other digests: no lookup comes there.
  const std::string misplaced = folder.substr(folder.size() - 2) == "00" ? "01" : "00";
  fs::create_directory(scratch_.path() + "/v1/" + misplaced);
  fs::permissions(scratch_.path() + "/v1/" + misplaced, fs::perms::owner_all);
  const std::string name = fs::path(path(0)).filename();
  write_file(scratch_.path() + "/v1/" + misplaced + "/" + name, "x");
  const StoreContents contents = store_.list();
  EXPECT_EQ(contents.files.size(), 1u);
  EXPECT_EQ(contents.temporary_files, 1u);
  EXPECT_EQ(contents.temporary_bytes, 4u);
  EXPECT_THAT(contents.strays,
              ::testing::UnorderedElementsAre("v1/README", "v1/" + folder.substr(folder.size() - 2) + "/notes.txt",
                                              "v1/" + misplaced + "/" + name));
}

TEST_F(UpkeepTest, BrokenFilesAreListedWithWhatTheirBeginningTells) {
  put_one_of_everything();
  std::map<int, std::string> expected = {{0, ""},
                                         {1, "corrupt"},
                                         {2, ""},  // only reading it in full tells
                                         {3, ""},
                                         {4, "foreign"},
                                         {5, "other-version"},
                                         {6, "corrupt"},
                                         {7, "not-a-regular-file"},
                                         {8, "not-a-regular-file"},
                                         {9, "loose-permissions"},
                                         {10, "not-a-regular-file"},
                                         {11, "too-large"},
                                         {12, geteuid() == 0 ? "foreign-owner" : ""}};
  EXPECT_EQ(defects(store_.list()), expected);
}

TEST_F(UpkeepTest, VerifyingReadsEachFileHealsNothingAndCountsNothing) {
  put_one_of_everything();
  const std::vector<std::string> before = scratch_.files();
  const StoreContents contents = store_.verify();
  std::map<int, std::string> found = defects(contents);
  EXPECT_EQ(found[0], "");
  EXPECT_EQ(found[1], "corrupt");
  EXPECT_EQ(found[2], "corrupt");
  EXPECT_EQ(found[3], "wrong-name");
  EXPECT_EQ(found[9], "loose-permissions");
  EXPECT_EQ(scratch_.files(), before);
  EXPECT_EQ(store_.counters().hits + store_.counters().misses() + store_.counters().healed, 0u);
  for (const StoredFile& file : contents.files) EXPECT_EQ(file.detail.empty(), !file.defect) << file.path;
}

TEST_F(UpkeepTest, VerifyingAsksTheValidator) {
  ASSERT_TRUE(store_.publish(sample_entry(digest_number(0))));
  const StoreContents contents = store_.verify([](const Entry& entry) {
    return std::optional<std::string>("e_flags of " + std::string(entry.toolchain_tag()));
  });
  ASSERT_EQ(contents.files.size(), 1u);
  EXPECT_EQ(contents.files[0].defect, MissReason::kRefused);
  EXPECT_EQ(contents.files[0].detail, std::string("e_flags of ") + kTag);
}

TEST_F(UpkeepTest, AListedFileIsRemovedWhateverItsDefectExceptADirectory) {
  put_one_of_everything();
  for (const StoredFile& file : store_.list().files) {
    const Removal removal = store_.remove(file);
    const bool directory = file.digest == digest_number(7);
    EXPECT_EQ(removal.files, directory ? 0u : 1u) << file.path;
    EXPECT_EQ(removal.failure.empty(), !directory) << file.path;
    EXPECT_EQ(fs::exists(fs::symlink_status(scratch_.path() + "/" + file.path)), directory) << file.path;
  }
}

TEST_F(UpkeepTest, AFileThatChangedSinceItWasListedIsNotRemoved) {
  ASSERT_TRUE(store_.publish(sample_entry(digest_number(0))));
  const StoredFile listed = store_.list().files.front();
  ASSERT_TRUE(store_.publish(sample_entry(digest_number(0))));
  const Removal removal = store_.remove(listed);
  EXPECT_EQ(removal.files, 0u);
  EXPECT_EQ(removal.kept, 1u);
  EXPECT_TRUE(store_.lookup(digest_number(0), TagPolicy::any()));
  EXPECT_EQ(store_.remove(store_.list().files.front()).files, 1u);
  EXPECT_EQ(store_.remove(listed).kept, 0u) << "it is gone, as wished";
}

TEST_F(UpkeepTest, ClearingRemovesOurEntriesAndNothingElse) {
  put_one_of_everything();
  const std::string folder = fs::path(path(0)).parent_path();
  write_file(folder + "/notes.txt", "x");
  write_file(folder + "/.tmp-1-2", "being written");
  write_file(scratch_.path() + "/v2/ab/entry", "x");
  const Removal removal = store_.clear();
  EXPECT_THAT(removal.failure, IsEmpty());
  const std::map<int, std::string> left = defects(store_.list());
  std::vector<int> numbers;
  for (const auto& [number, defect] : left) numbers.push_back(number);
  // A script, another version, a directory, a link, a FIFO, what is too large to be ours, another user's.
  std::vector<int> expected = {4, 5, 7, 8, 10, 11};
  if (geteuid() == 0) expected.push_back(12);
  EXPECT_EQ(numbers, expected);
  EXPECT_EQ(removal.kept, expected.size());
  EXPECT_EQ(removal.files, 13 - expected.size());
  EXPECT_TRUE(fs::exists(folder + "/notes.txt"));
  EXPECT_TRUE(fs::exists(folder + "/.tmp-1-2"));
  EXPECT_TRUE(fs::exists(scratch_.path() + "/v2/ab/entry"));
}

TEST_F(UpkeepTest, NoDirectoryIsAnEmptyStoreAndARefusedOneSaysWhy) {
  Store none({.directory = scratch_.path() + "/not/there"});
  EXPECT_THAT(none.list().files, IsEmpty());
  EXPECT_THAT(none.list().failure, IsEmpty());
  EXPECT_EQ(none.clear().files, 0u);
  EXPECT_THAT(none.clear().failure, IsEmpty());
  EXPECT_FALSE(fs::exists(scratch_.path() + "/not"));

  const auto disabled = Store::disabled("HOME is not set");
  EXPECT_EQ(disabled->list().failure, "HOME is not set");
  EXPECT_EQ(disabled->verify().failure, "HOME is not set");
  EXPECT_EQ(disabled->clear().failure, "HOME is not set");
  EXPECT_EQ(disabled->collect(0).failure, "HOME is not set");
}

TEST_F(UpkeepTest, AFolderThatCannotBeReadIsToldAndTheRestIsListed) {
  ASSERT_TRUE(store_.publish(sample_entry(digest_number(0))));
  ASSERT_TRUE(store_.publish(sample_entry(digest_number(1))));
  const std::string folder = fs::path(path(0)).parent_path();
  ASSERT_NE(folder, fs::path(path(1)).parent_path());
  fs::permissions(folder, fs::perms::all);
  const StoreContents contents = store_.list();
  EXPECT_THAT(contents.failure, HasSubstr("chmod go-w '" + folder + "'"));
  ASSERT_EQ(contents.files.size(), 1u);
  EXPECT_EQ(contents.files[0].digest, digest_number(1));
}

}  // namespace
}  // namespace flashmask::cache
