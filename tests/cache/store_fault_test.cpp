// Every call to the operating system is failed at every position, once and from then on, with every error that a full,
// read-only, broken or remote disk gives. Whatever fails: nothing is thrown, nothing wrong is served, no good entry is
// lost, no descriptor leaks, no half entry has a name, and the next process works.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cache/atomic_file.h"
#include "cache/store.h"
#include "fake_clock.h"
#include "faulty_file_system.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

using Mode = FaultyFileSystem::Mode;

constexpr int kErrors[] = {ENOSPC, EIO,   EDQUOT, EROFS, EACCES,  ESTALE, ENOLCK,
                           ENOENT, EPERM, EMFILE, ELOOP, ENOTSUP, EAGAIN};

const Digest kDigest = digest_of("kernel");
const Digest kBroken = digest_of("broken");

/// What happened in a scenario, step by step.
using Log = std::vector<std::string>;

/// A scenario uses a store through `files` and checks what must hold during all failures.
using Scenario = Log (*)(FaultyFileSystem& files, const ScratchDirectory& scratch);

std::string directory_in(const ScratchDirectory& scratch) {
  return scratch.path() + "/deep/cache";
}

std::string word(bool success) {
  return success ? "yes" : "no";
}

std::string word(Turn turn) {
  return "turn " + std::to_string(static_cast<int>(turn));
}

/// What a kernel's way through the cache does: an absent entry, claims, two publications, a choice among two, a corrupt
/// entry.
Log live(FaultyFileSystem& files, const ScratchDirectory& scratch) {
  Log log;
  FakeClock clock;
  Store store({.directory = directory_in(scratch), .file_system = &files, .clock = &clock});
  const auto look_up = [&](const TagPolicy& policy, std::string_view one, std::string_view other) {
    const LookupResult found = store.lookup(kDigest, policy);
    if (found) {
      const std::string cubin = text_of(*found.entry->section("cubin"));
      EXPECT_TRUE(cubin == one || cubin == other) << cubin;
    }
    log.push_back(word(static_cast<bool>(found)));
  };
  const auto make = [&](const EntryView& entry) {
    const Claim claim = store.claim(entry.digest, TagPolicy::exact(std::string(entry.toolchain_tag)));
    EXPECT_FALSE(claim.found);
    log.push_back(word(claim.turn));
    const bool stored = store.publish(entry).stored;
    log.push_back(word(stored));
    return stored;
  };
  look_up(TagPolicy::any(), "", "");
  const bool first = make(sample_entry(kDigest, "old", "old"));
  look_up(TagPolicy::exact("old"), "old", "old");
  const bool second = make(sample_entry(kDigest, "new", "new"));
  look_up(TagPolicy::any(), "old", "new");

  const std::string broken = directory_in(scratch) + "/" + Store::entry_path(kBroken, kTag);
  const bool third = make(sample_entry(kBroken));
  if (third) std::filesystem::resize_file(broken, 100);
  EXPECT_FALSE(store.lookup(kBroken, TagPolicy::any()));
  log.push_back(word(std::filesystem::exists(broken)));

  const StoreCounters counters = store.counters();
  EXPECT_EQ(counters.stores, static_cast<std::uint64_t>(first) + second + third);
  EXPECT_EQ(counters.hits + counters.misses(), 4u);

  // What was published is there, and whole, for a process without trouble.
  Store witness({.directory = directory_in(scratch)});
  EXPECT_EQ(static_cast<bool>(witness.lookup(kDigest, TagPolicy::exact("old"))), first);
  EXPECT_EQ(static_cast<bool>(witness.lookup(kDigest, TagPolicy::exact("new"))), second);
  return log;
}

constexpr const char* kLeftBehind = ".tmp-1-left-behind";

/// What happens in a cache that is full: hits that renew an entry's time, evictions, a temporary file that a killed
/// process has left, and what people do with the command.
Log live_in_a_full_cache(FaultyFileSystem& files, const ScratchDirectory& scratch) {
  constexpr int kCapacity = 2;
  static const std::uint64_t entry_bytes = encode(sample_entry(kDigest)).size();
  const auto digest = [](int number) { return digest_of("kernel " + std::to_string(number)); };
  const auto set_age = [](const std::string& path, int hours) {
    const timespec times[2] = {{time(nullptr) - 3600 * hours, 0}, {time(nullptr) - 3600 * hours, 0}};
    EXPECT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0) << path;
  };
  Store calm({.directory = directory_in(scratch)});
  const auto path = [&](int number) { return directory_in(scratch) + "/" + Store::entry_path(digest(number), kTag); };
  for (int i = 0; i < kCapacity; ++i) {
    EXPECT_TRUE(calm.publish(sample_entry(digest(i))));
    set_age(path(i), 10 - i);
  }
  const std::string left_behind = std::filesystem::path(path(0)).parent_path() / kLeftBehind;
  write_file(left_behind, "half an entry");
  set_age(left_behind, 2);

  Log log;
  FakeClock clock;
  Store store({.directory = directory_in(scratch),
               .byte_limit = kCapacity * entry_bytes,
               .file_system = &files,
               .clock = &clock});
  log.push_back(word(static_cast<bool>(store.lookup(digest(0), TagPolicy::any()))));
  log.push_back(std::to_string(store.counters().touched));
  for (int i = kCapacity; i < kCapacity + 2; ++i) {
    const bool stored = store.publish(sample_entry(digest(i))).stored;
    log.push_back(word(stored));
    EXPECT_EQ(static_cast<bool>(calm.lookup(digest(i), TagPolicy::any())), stored) << "a fresh one was removed";
    EXPECT_LE(calm.list().bytes(), (kCapacity + 1) * entry_bytes) << "more than the limit and one entry";
  }
  log.push_back(std::to_string(store.counters().evicted));
  log.push_back(word(std::filesystem::exists(left_behind)));

  const StoreContents contents = store.verify();
  for (const StoredFile& file : contents.files) {
    // What could not be read is told so; nothing is called damaged for it.
    EXPECT_TRUE(!file.defect || file.defect == MissReason::kUnreadable || file.defect == MissReason::kNotARegularFile)
        << file.detail;
    log.push_back(word(!file.defect));
  }
  if (!contents.files.empty()) log.push_back(std::to_string(store.remove(contents.files.front()).files));
  log.push_back(std::to_string(store.collect(entry_bytes / 2).files));
  EXPECT_TRUE(calm.publish(sample_entry(digest(0))));
  const Removal cleared = store.clear();
  log.push_back(std::to_string(cleared.files));
  // A system that says "not there" of what is there is believed.
  EXPECT_TRUE(!std::filesystem::exists(path(0)) || !cleared.failure.empty() || cleared.kept > 0 ||
              files.error() == ENOENT)
      << "it says that all is gone";
  return log;
}

void expect_next_process_works(const ScratchDirectory& scratch) {
  FaultyFileSystem faultless(0, 0, Mode::kOnce);
  Store store({.directory = directory_in(scratch), .file_system = &faultless});
  const PublishOutcome outcome = store.publish(sample_entry(kBroken));
  EXPECT_TRUE(outcome) << outcome.failure;
  EXPECT_TRUE(store.lookup(kBroken, TagPolicy::any()));
  const Claim claim = store.claim(kDigest, TagPolicy::exact("of-nobody"), {}, std::chrono::seconds(0));
  EXPECT_EQ(claim.turn, Turn::kHeld) << "somebody still holds the claim";
}

/// Temporary files that the scenario left behind.
std::size_t temporaries(const ScratchDirectory& scratch) {
  std::size_t count = 0;
  for (const std::string& name : scratch.files())
    count += name.find(".tmp-") != std::string::npos && !name.ends_with(kLeftBehind);
  return count;
}

/// Fails each position in turn until the whole life passes without reaching it; tells how often each call was failed.
std::map<std::string, int> fail_every_call(Scenario scenario, int error, Mode mode) {
  std::map<std::string, int> failed;
  for (int position = 1;; ++position) {
    SCOPED_TRACE("error " + std::to_string(error) + " at call " + std::to_string(position));
    ScratchDirectory scratch;
    FaultyFileSystem files(position, error, mode);
    EXPECT_NO_THROW(scenario(files, scratch));
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

class StoreFaults : public ::testing::TestWithParam<Scenario> {
 protected:
  static Log faultless_log() {
    ScratchDirectory scratch;
    FaultyFileSystem files(0, 0, Mode::kOnce);
    return GetParam()(files, scratch);
  }
  static void tell(const char* what, int count) {
    RecordProperty(what, count);
    std::printf("%d %s\n", count, what);
  }
};

INSTANTIATE_TEST_SUITE_P(, StoreFaults, ::testing::Values(live, live_in_a_full_cache),
                         [](const auto& scenario) { return scenario.param == live ? "Life" : "LifeInAFullCache"; });

TEST_P(StoreFaults, ALifeWithoutFaultsSucceeds) {
  ScratchDirectory scratch;
  FaultyFileSystem files(0, 0, Mode::kOnce);
  const Log log = GetParam()(files, scratch);
  EXPECT_EQ(files.open_descriptors(), 0u);
  EXPECT_EQ(temporaries(scratch), 0u);
  const std::string held = word(Turn::kHeld);
  if (GetParam() == live) {
    EXPECT_EQ(log, (Log{"no", held, "yes", "yes", held, "yes", "yes", held, "yes", "no"}));
  } else {
    EXPECT_EQ(log, (Log{"yes", "1", "yes", "yes", "2", "no", "yes", "yes", "1", "1", "1"}));
  }
}

TEST_P(StoreFaults, EachCallFailingOnceIsHarmless) {
  std::set<std::string> expected = {"open",   "close",  "read",  "write", "fsync", "fstat", "fstatat",
                                    "rename", "unlink", "mkdir", "list",  "lock",  "unlock"};
  if (GetParam() != live) expected.insert("touch");
  int total = 0;
  for (int error : kErrors) {
    const std::map<std::string, int> failed = fail_every_call(GetParam(), error, Mode::kOnce);
    if (HasFailure()) return;
    for (const std::string& call : expected)
      EXPECT_TRUE(failed.contains(call)) << call << " is never called, so this test proves nothing of it";
    for (const auto& [call, count] : failed) total += count;
  }
  tell("faults injected", total);
}

TEST_P(StoreFaults, AllCallsFailingFromOneOnIsHarmless) {
  int total = 0;
  for (int error : kErrors)
    for (const auto& [call, count] : fail_every_call(GetParam(), error, Mode::kFromThenOn)) total += count;
  tell("faults injected", total);
}

TEST_P(StoreFaults, AnInterruptedCallIsRepeatedAndNothingIsLost) {
  const Log expected = faultless_log();
  int position = 1;
  for (;; ++position) {
    ScratchDirectory scratch;
    FaultyFileSystem files(position, EINTR, Mode::kOnce);
    const Log log = GetParam()(files, scratch);
    if (files.failed_call().empty()) break;
    EXPECT_EQ(log, expected) << files.failed_call() << " at call " << position;
    EXPECT_EQ(files.open_descriptors(), 0u) << files.failed_call();
  }
  tell("calls interrupted", position - 1);
}

TEST(StoreTrouble, AFailedStoreSaysWhatFailedAndWhy) {
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

TEST(StoreTrouble, AReadOnlyDiskIsReadAndNotWritten) {
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

TEST(StoreTrouble, AFileSystemWithoutFsyncIsUsedAllTheSame) {
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

TEST(StoreTrouble, HealingNeverRemovesAnEntryPublishedMeanwhile) {
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
