// Several processes on one directory, and processes that die at the worst moment.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "cache/store.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

const Digest kDigest = digest_of("kernel");

/// Runs `work` in a child process; its value is the exit status.
pid_t fork_child(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  return child;
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

/// 200 KB that begin and end with the writer's number, so that a mixture of two writers cannot pass for either.
std::string content_of(int writer) {
  std::string content(200'000, static_cast<char>('a' + writer % 26));
  const std::string number = std::to_string(writer);
  return number + content + number;
}

TEST(StoreProcesses, EightProcessesOfFourThreadsLeaveOneValidEntry) {
  ScratchDirectory scratch;
  std::vector<pid_t> children;
  for (int process = 0; process < 8; ++process)
    children.push_back(fork_child([&] {
      Store store({.directory = scratch.path() + "/cache"});
      std::atomic<int> wrong = 0;
      std::vector<std::thread> threads;
      for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
          for (int round = 0; round < 5; ++round) {
            const std::string content = content_of(process * 4 + t);
            const EntryView entry{kDigest, kTag, "{}", {{"cubin", bytes_of(content)}}};
            if (!store.publish(entry)) ++wrong;
            const LookupResult found = store.lookup(kDigest, TagPolicy::any());
            // Somebody's whole entry, never a mixture and never a miss.
            if (!found) {
              ++wrong;
              continue;
            }
            const std::string cubin = text_of(*found.entry->section("cubin"));
            if (cubin != content_of(std::stoi(cubin))) ++wrong;
          }
        });
      for (std::thread& thread : threads) thread.join();
      return wrong.load() == 0 ? 0 : 1;
    }));
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_EQ(scratch.files(), std::vector<std::string>{"cache/" + Store::entry_path(kDigest, kTag)});
  EXPECT_TRUE(Store({.directory = scratch.path() + "/cache"}).lookup(kDigest, TagPolicy::any()));
}

/// Kills the process before the call number `position`, or in the middle of it where a call has one.
class DeadlyFileSystem : public FileSystem {
 public:
  explicit DeadlyFileSystem(int position) : position_(position) {}

  int open_at(int directory, const char* path, int flags, mode_t mode) override {
    step();
    return FileSystem::open_at(directory, path, flags, mode);
  }
  int close(int descriptor) override {
    step();
    return FileSystem::close(descriptor);
  }
  ssize_t write(int descriptor, std::span<const std::byte> bytes) override {
    step();
    const ssize_t written = FileSystem::write(descriptor, bytes.first((bytes.size() + 1) / 2));
    step();
    return written;
  }
  int sync(int) override {
    step();
    return 0;
  }
  int status(int descriptor, struct stat& status) override {
    step();
    return FileSystem::status(descriptor, status);
  }
  int rename_at(int directory, const char* from, const char* to) override {
    step();
    const int result = FileSystem::rename_at(directory, from, to);
    step();
    return result;
  }
  int unlink_at(int directory, const char* path) override {
    step();
    return FileSystem::unlink_at(directory, path);
  }
  int make_directory_at(int directory, const char* path, mode_t mode) override {
    step();
    return FileSystem::make_directory_at(directory, path, mode);
  }

 private:
  void step() {
    if (++calls_ == position_) raise(SIGKILL);
  }
  int position_;
  int calls_ = 0;
};

void expect_nothing_or_all(const ScratchDirectory& scratch, const std::optional<std::string>& before) {
  Store store({.directory = scratch.path()});
  const LookupResult found = store.lookup(kDigest, TagPolicy::any());
  if (found) {
    EXPECT_TRUE(text_of(found.entry->bytes()) == text_of(encode(sample_entry(kDigest))) ||
                (before && text_of(*found.entry->section("cubin")) == *before));
  } else {
    EXPECT_FALSE(before) << "the old entry was lost: " << found.detail;
    EXPECT_EQ(found.reason, MissReason::kAbsent) << "half an entry has a name: " << found.detail;
  }
  for (const std::string& name : scratch.files())
    EXPECT_TRUE(name == Store::entry_path(kDigest, kTag) || name.find("/.tmp-") != std::string::npos) << name;
  EXPECT_TRUE(store.publish(sample_entry(kDigest)));
  EXPECT_TRUE(store.lookup(kDigest, TagPolicy::any()));
}

TEST(StoreProcesses, AKillAtAnyCallOfPublishingLeavesNothingOrAWholeEntry) {
  int killed = 0;
  for (const bool replacing : {false, true})
    for (int position = 1;; ++position) {
      SCOPED_TRACE("killed at call " + std::to_string(position));
      ScratchDirectory scratch;
      std::optional<std::string> before;
      if (replacing) {
        before = "the old one";
        ASSERT_TRUE(Store({.directory = scratch.path()}).publish(sample_entry(kDigest, kTag, *before)));
      }
      const int status = wait_for(fork_child([&] {
        DeadlyFileSystem files(position);
        Store store({.directory = scratch.path(), .file_system = &files});
        return store.publish(sample_entry(kDigest)) ? 0 : 1;
      }));
      expect_nothing_or_all(scratch, before);
      if (!WIFSIGNALED(status)) {
        EXPECT_EQ(status, 0);
        break;
      }
      ++killed;
    }
  EXPECT_GE(killed, 30);
  std::printf("%d kills\n", killed);
}

TEST(StoreProcesses, AKillAtARandomMomentLeavesNothingOrAWholeEntry) {
  std::mt19937 random(1);
  for (int round = 0; round < 30; ++round) {
    ScratchDirectory scratch;
    const pid_t child = fork_child([&]() -> int {
      Store store({.directory = scratch.path()});
      for (;;) store.publish(sample_entry(kDigest));
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    kill(child, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for(child)));
    expect_nothing_or_all(scratch, std::nullopt);
  }
}

}  // namespace
}  // namespace flashmask::cache
