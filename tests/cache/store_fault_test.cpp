// Every call to the operating system is failed at every position, once and from then on, with every error that a full,
// read-only, broken or remote disk gives. Whatever fails: nothing is thrown, nothing wrong is served, no good entry is
// lost, no descriptor leaks, no half entry has a name, and the next process works.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>

#include "cache/atomic_file.h"
#include "cache/store.h"
#include "faulty_file_system.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

using Mode = FaultyFileSystem::Mode;

constexpr int kErrors[] = {ENOSPC, EIO, EDQUOT, EROFS, EACCES, ESTALE, ENOENT, EMFILE, ELOOP, ENOTSUP};

const Digest kDigest = digest_of("kernel");
const Digest kBroken = digest_of("broken");

/// Everything that a store does: an absent entry, two publications, a choice among two, a corrupt entry. Checks what
/// must hold during all failures.
void live(FileSystem& files, const ScratchDirectory& scratch) {
  Store store({.directory = scratch.path() + "/deep/cache", .file_system = &files});
  const auto check = [](const LookupResult& found, std::string_view one, std::string_view other) {
    if (found) {
      const std::string cubin = text_of(*found.entry->section("cubin"));
      EXPECT_TRUE(cubin == one || cubin == other) << cubin;
    }
  };
  check(store.lookup(kDigest, TagPolicy::any()), "", "");
  const bool first = store.publish(sample_entry(kDigest, "old", "old")).stored;
  check(store.lookup(kDigest, TagPolicy::exact("old")), "old", "old");
  const bool second = store.publish(sample_entry(kDigest, "new", "new")).stored;
  check(store.lookup(kDigest, TagPolicy::any()), "old", "new");

  const std::string broken = scratch.path() + "/deep/cache/" + Store::entry_path(kBroken, kTag);
  const bool third = store.publish(sample_entry(kBroken)).stored;
  if (third) std::filesystem::resize_file(broken, 100);
  EXPECT_FALSE(store.lookup(kBroken, TagPolicy::any()));

  const StoreCounters counters = store.counters();
  EXPECT_EQ(counters.stores, static_cast<std::uint64_t>(first) + second + third);
  EXPECT_EQ(counters.hits + counters.misses(), 4u);

  // What was published is there, and whole, for a process without trouble.
  Store witness({.directory = scratch.path() + "/deep/cache"});
  EXPECT_EQ(static_cast<bool>(witness.lookup(kDigest, TagPolicy::exact("old"))), first);
  EXPECT_EQ(static_cast<bool>(witness.lookup(kDigest, TagPolicy::exact("new"))), second);
}

void expect_next_process_works(const ScratchDirectory& scratch) {
  FaultyFileSystem faultless(0, 0, Mode::kOnce);
  Store store({.directory = scratch.path() + "/deep/cache", .file_system = &faultless});
  const PublishOutcome outcome = store.publish(sample_entry(kBroken));
  EXPECT_TRUE(outcome) << outcome.failure;
  EXPECT_TRUE(store.lookup(kBroken, TagPolicy::any()));
}

std::size_t temporaries(const ScratchDirectory& scratch) {
  std::size_t count = 0;
  for (const std::string& name : scratch.files()) count += name.find(".tmp-") != std::string::npos;
  return count;
}

/// Fails each position in turn until the whole life passes without reaching it; tells how often each call was failed.
std::map<std::string, int> fail_every_call(int error, Mode mode) {
  std::map<std::string, int> failed;
  for (int position = 1;; ++position) {
    SCOPED_TRACE("error " + std::to_string(error) + " at call " + std::to_string(position));
    ScratchDirectory scratch;
    FaultyFileSystem files(position, error, mode);
    EXPECT_NO_THROW(live(files, scratch));
    EXPECT_EQ(files.open_descriptors(), 0u) << files.failed_call();
    // With one failure only the removal itself can leave a temporary file behind.
    if (mode == Mode::kOnce && files.failed_call() != "unlink") {
      EXPECT_EQ(temporaries(scratch), 0u) << files.failed_call();
    }
    expect_next_process_works(scratch);
    if (files.failed_call().empty() || ::testing::Test::HasFailure()) return failed;
    ++failed[files.failed_call()];
  }
}

TEST(StoreFaults, ALifeWithoutFaultsSucceeds) {
  ScratchDirectory scratch;
  FaultyFileSystem files(0, 0, Mode::kOnce);
  live(files, scratch);
  EXPECT_EQ(files.open_descriptors(), 0u);
  EXPECT_EQ(temporaries(scratch), 0u);
  Store store({.directory = scratch.path() + "/deep/cache"});
  EXPECT_TRUE(store.lookup(kDigest, TagPolicy::exact("old")));
  EXPECT_TRUE(store.lookup(kDigest, TagPolicy::exact("new")));
}

TEST(StoreFaults, EachCallFailingOnceIsHarmless) {
  int total = 0;
  for (int error : kErrors) {
    const std::map<std::string, int> failed = fail_every_call(error, Mode::kOnce);
    for (const char* call :
         {"open", "close", "read", "write", "fsync", "fstat", "fstatat", "rename", "unlink", "mkdir", "list"})
      EXPECT_TRUE(failed.contains(call)) << call << " is never called, so this test proves nothing of it";
    for (const auto& [call, count] : failed) total += count;
  }
  RecordProperty("faults", total);
  std::printf("%d faults injected\n", total);
}

TEST(StoreFaults, AllCallsFailingFromOneOnIsHarmless) {
  int total = 0;
  for (int error : kErrors)
    for (const auto& [call, count] : fail_every_call(error, Mode::kFromThenOn)) total += count;
  RecordProperty("faults", total);
  std::printf("%d faults injected\n", total);
}

TEST(StoreFaults, AnInterruptedCallIsRepeated) {
  for (int position = 1;; ++position) {
    ScratchDirectory scratch;
    FaultyFileSystem files(position, EINTR, Mode::kOnce);
    Store store({.directory = scratch.path(), .file_system = &files});
    const PublishOutcome outcome = store.publish(sample_entry(kDigest));
    const bool found = static_cast<bool>(store.lookup(kDigest, TagPolicy::exact(kTag)));
    const std::string& call = files.failed_call();
    if (call.empty()) break;
    if (call == "open" || call == "read" || call == "write" || call == "fsync" || call == "close") {
      EXPECT_TRUE(outcome) << call << ": " << outcome.failure;
      EXPECT_TRUE(found) << call;
    }
  }
}

TEST(StoreFaults, AFailedStoreSaysWhatFailedAndWhy) {
  class FullDisk : public FileSystem {
   public:
    ssize_t write(int, std::span<const std::byte>) override { return -ENOSPC; }
  } files;
  ScratchDirectory scratch;
  Store store({.directory = scratch.path(), .file_system = &files});
  const PublishOutcome outcome = store.publish(sample_entry(kDigest));
  EXPECT_THAT(outcome.failure, ::testing::HasSubstr("write: No space left on device"));
  EXPECT_THAT(outcome.failure, ::testing::HasSubstr(Store::entry_path(kDigest, kTag)));
  EXPECT_EQ(store.counters().failed_stores, 1u);
  EXPECT_THAT(scratch.files(), ::testing::IsEmpty());
}

TEST(StoreFaults, AReadOnlyDiskIsReadAndNotWritten) {
  class ReadOnlyDisk : public FileSystem {
   public:
    int open_at(int directory, const char* path, int flags, mode_t mode) override {
      return flags & O_CREAT ? -EROFS : FileSystem::open_at(directory, path, flags, mode);
    }
    int make_directory_at(int directory, const char* path, mode_t) override {
      struct stat status{};
      return status_at(directory, path, status) == 0 ? -EEXIST : -EROFS;
    }
    int unlink_at(int, const char*) override { return -EROFS; }
    int rename_at(int, const char*, const char*) override { return -EROFS; }
  } files;
  ScratchDirectory scratch;
  ASSERT_TRUE(Store({.directory = scratch.path()}).publish(sample_entry(kDigest)));
  Store store({.directory = scratch.path(), .file_system = &files});
  EXPECT_TRUE(store.lookup(kDigest, TagPolicy::any()));
  EXPECT_THAT(store.publish(sample_entry(kBroken)).failure, ::testing::HasSubstr("Read-only file system"));
  std::filesystem::resize_file(scratch.path() + "/" + Store::entry_path(kDigest, kTag), 100);
  EXPECT_EQ(store.lookup(kDigest, TagPolicy::any()).reason, MissReason::kCorrupt);
  EXPECT_EQ(store.counters().healed, 0u);
}

TEST(StoreFaults, AFileSystemWithoutFsyncIsUsedAllTheSame) {
  for (int error : {EINVAL, ENOTSUP}) {
    class NoSync : public FileSystem {
     public:
      explicit NoSync(int e) : error_(e) {}
      int sync(int) override { return -error_; }

     private:
      int error_;
    } files(error);
    ScratchDirectory scratch;
    Store store({.directory = scratch.path(), .file_system = &files});
    EXPECT_TRUE(store.publish(sample_entry(kDigest)));
    EXPECT_TRUE(store.lookup(kDigest, TagPolicy::any()));
  }
}

TEST(StoreFaults, HealingNeverRemovesAnEntryPublishedMeanwhile) {
  // Another process publishes a good entry just after we have read the corrupt one.
  class Race : public FileSystem {
   public:
    explicit Race(const std::string& directory) : directory_(directory) {}
    int status_at(int directory, const char* path, struct stat& status) override {
      Store({.directory = directory_}).publish(sample_entry(kDigest));
      return FileSystem::status_at(directory, path, status);
    }

   private:
    std::string directory_;
  };
  ScratchDirectory scratch;
  Race files(scratch.path());
  Store store({.directory = scratch.path(), .file_system = &files});
  const std::string path = scratch.path() + "/" + Store::entry_path(kDigest, kTag);
  std::string bad = text_of(encode(sample_entry(kDigest)));
  bad.back() = static_cast<char>(bad.back() ^ 1);
  write_file(path, bad);
  std::filesystem::permissions(scratch.path() + "/v1", std::filesystem::perms::owner_all);
  EXPECT_EQ(store.lookup(kDigest, TagPolicy::any()).reason, MissReason::kCorrupt);
  EXPECT_EQ(store.counters().healed, 0u);
  EXPECT_TRUE(store.lookup(kDigest, TagPolicy::any()));
}

TEST(AtomicFile, WithoutCommitNothingIsPublished) {
  ScratchDirectory scratch;
  FileSystem& files = FileSystem::real();
  const Descriptor directory(files, files.open_at(AT_FDCWD, scratch.path().c_str(), O_RDONLY | O_DIRECTORY, 0));
  {
    AtomicFile file(files, directory.number(), "entry");
    file.write(bytes_of("half"));
    EXPECT_EQ(scratch.files().size(), 1u);
  }
  EXPECT_THAT(scratch.files(), ::testing::IsEmpty());
}

TEST(AtomicFile, ReadersSeeTheOldBytesUntilCommit) {
  ScratchDirectory scratch;
  write_file(scratch.path() + "/entry", "old");
  FileSystem& files = FileSystem::real();
  const Descriptor directory(files, files.open_at(AT_FDCWD, scratch.path().c_str(), O_RDONLY | O_DIRECTORY, 0));
  AtomicFile file(files, directory.number(), "entry");
  file.write(bytes_of("new"));
  EXPECT_EQ(read_file(scratch.path() + "/entry"), "old");
  EXPECT_EQ(file.commit(), 0);
  EXPECT_EQ(read_file(scratch.path() + "/entry"), "new");
}

}  // namespace
}  // namespace flashmask::cache
