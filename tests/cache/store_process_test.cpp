// Several processes on one directory, and processes that die at the worst moment.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "cache/single_flight.h"
#include "cache/store.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

using namespace std::chrono_literals;

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

/// A counter that processes share.
class SharedCounter {
 public:
  SharedCounter()
      : value_(static_cast<std::atomic<int>*>(
            mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    if (value_ == MAP_FAILED) throw std::runtime_error("mmap failed");
  }
  ~SharedCounter() { munmap(value_, sizeof *value_); }
  SharedCounter(const SharedCounter&) = delete;
  SharedCounter& operator=(const SharedCounter&) = delete;
  int operator++() { return ++*value_; }
  int value() const { return value_->load(); }

 private:
  std::atomic<int>* value_;
};

/// A request as the runtime makes it: look, claim, look again or wait, make, publish. The entry's content.
template <typename Make>
std::string obtain(Store& store, const Digest& digest, Make&& make,
                   std::chrono::nanoseconds limit = kDefaultWaitLimit) {
  const auto content = [](const LookupResult& found) { return text_of(*found.entry->section("cubin")); };
  if (const LookupResult found = store.lookup(digest, TagPolicy::any())) return content(found);
  const Claim claim = store.claim(digest, TagPolicy::any(), {}, limit);
  if (claim.turn == Turn::kServed) return content(claim.found);
  const std::string made = make();
  store.publish({digest, kTag, "{}", {{"cubin", bytes_of(made)}}});
  return made;
}

TEST(StoreProcesses, EightProcessesOfEightThreadsMakeOneEntryAndGetEqualBytes) {
  ScratchDirectory scratch;
  for (int round = 0; round < 5; ++round) {
    const Digest digest = digest_of("kernel " + std::to_string(round));
    SharedCounter makers;
    std::vector<pid_t> children;
    for (int process = 0; process < 8; ++process)
      children.push_back(fork_child([&] {
        Store store({.directory = scratch.path() + "/cache"});
        SingleFlight<std::shared_ptr<const std::string>> flight;
        std::atomic<int> wrong = 0;
        std::vector<std::thread> threads;
        for (int t = 0; t < 8; ++t)
          threads.emplace_back([&] {
            const auto got = flight.run(digest, [&] {
              return std::make_shared<const std::string>(obtain(store, digest, [&] {
                ++makers;
                std::this_thread::sleep_for(50ms);
                return content_of(process);  // another one's would be told apart
              }));
            });
            if (*got != content_of(std::stoi(*got))) ++wrong;
            const LookupResult found = store.lookup(digest, TagPolicy::any());
            if (!found || text_of(*found.entry->section("cubin")) != *got) ++wrong;
          });
        for (std::thread& thread : threads) thread.join();
        return wrong.load();
      }));
    for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
    EXPECT_EQ(makers.value(), 1);
  }
  EXPECT_EQ(scratch.files().size(), 5u + 1) << "five entries and the lock file";
}

/// Kills the process before the call number `position`, or in the middle of it where a call has one.
class DeadlyFileSystem : public FileSystem {
  // First, as their results are deduced.
  /// Before and after each call is a moment to die.
  template <typename Call>
  auto around(Call&& call) {
    step();
    const auto result = call();
    step();
    return result;
  }
  void step() {
    if (++calls_ == position_) raise(SIGKILL);
  }

 public:
  explicit DeadlyFileSystem(int position) : position_(position) {}

  int open_at(int directory, const char* path, int flags, mode_t mode) override {
    return around([&] { return FileSystem::open_at(directory, path, flags, mode); });
  }
  int close(int descriptor) override {
    return around([&] { return FileSystem::close(descriptor); });
  }
  ssize_t read(int descriptor, std::span<std::byte> into) override {
    return around([&] { return FileSystem::read(descriptor, into.first((into.size() + 1) / 2)); });
  }
  ssize_t write(int descriptor, std::span<const std::byte> bytes) override {
    return around([&] { return FileSystem::write(descriptor, bytes.first((bytes.size() + 1) / 2)); });
  }
  int sync(int) override {
    return around([] { return 0; });
  }
  int status(int descriptor, struct stat& status) override {
    return around([&] { return FileSystem::status(descriptor, status); });
  }
  int status_at(int directory, const char* path, struct stat& status) override {
    return around([&] { return FileSystem::status_at(directory, path, status); });
  }
  int rename_at(int directory, const char* from, const char* to) override {
    return around([&] { return FileSystem::rename_at(directory, from, to); });
  }
  int unlink_at(int directory, const char* path) override {
    return around([&] { return FileSystem::unlink_at(directory, path); });
  }
  int make_directory_at(int directory, const char* path, mode_t mode) override {
    return around([&] { return FileSystem::make_directory_at(directory, path, mode); });
  }
  int list(int directory, const char* path, std::string_view prefix, std::vector<std::string>& names) override {
    return around([&] { return FileSystem::real().list(directory, path, prefix, names); });
  }
  int lock_byte(int descriptor, off_t byte) override {
    return around([&] { return FileSystem::lock_byte(descriptor, byte); });
  }
  int unlock_byte(int descriptor, off_t byte) override {
    return around([&] { return FileSystem::unlock_byte(descriptor, byte); });
  }

 private:
  int position_;
  int calls_ = 0;
};

/// An entry that has to go when kDigest's is published.
const Digest kDisplaced = digest_of("displaced");

/// What a scratch directory may hold after a publisher of sample_entry(kDigest) was killed.
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
  if (const LookupResult other = store.lookup(kDisplaced, TagPolicy::any()); !other) {
    EXPECT_EQ(other.reason, MissReason::kAbsent) << other.detail;
  }
  for (const std::string& name : scratch.files())
    EXPECT_TRUE(name == Store::entry_path(kDigest, kTag) || name == Store::entry_path(kDisplaced, kTag) ||
                name.find("/.tmp-") != std::string::npos || name == "v1/.locks")
        << name;
}

void tell(const char* what, int count) {
  ::testing::Test::RecordProperty(what, count);
  std::printf("%d %s\n", count, what);
}

TEST(StoreProcesses, AKillAtAnyCallOfMakingAnEntryLeavesNothingOrAWholeEntryAndHoldsNobodyUp) {
  int killed = 0;
  for (const bool replacing : {false, true})
    for (int position = 1;; ++position) {
      SCOPED_TRACE("killed at moment " + std::to_string(position));
      ScratchDirectory scratch;
      std::optional<std::string> before;
      if (replacing) {
        before = "the old one";
        ASSERT_TRUE(Store({.directory = scratch.path()}).publish(sample_entry(kDigest, kTag, *before)));
      }
      ASSERT_TRUE(Store({.directory = scratch.path()}).publish(sample_entry(kDisplaced)));
      int claimed[2];
      ASSERT_EQ(pipe(claimed), 0);
      const pid_t child = fork_child([&] {
        DeadlyFileSystem files(position);
        const std::uint64_t one_entry = encode(sample_entry(kDigest)).size();
        Store store({.directory = scratch.path(), .byte_limit = one_entry, .file_system = &files});
        const Claim claim = store.claim(kDigest, TagPolicy::exact("another"));
        const bool told = write(claimed[1], "x", 1) == 1;
        return told && claim.turn == Turn::kHeld && store.publish(sample_entry(kDigest)) ? 0 : 1;
      });
      close(claimed[1]);
      char byte;
      const bool child_has_claimed = read(claimed[0], &byte, 1) == 1;  // else it died before
      close(claimed[0]);

      // Another process waits for the claim meanwhile, and gets it or a whole entry.
      Store waiter({.directory = scratch.path()});
      const auto begin = std::chrono::steady_clock::now();
      {
        const Claim claim = waiter.claim(kDigest, TagPolicy::exact(replacing ? "another" : kTag), {}, 30s);
        EXPECT_TRUE(claim.turn == Turn::kHeld || claim.turn == Turn::kServed) << static_cast<int>(claim.turn);
        if (claim.turn == Turn::kServed) {
          EXPECT_TRUE(child_has_claimed);
          EXPECT_EQ(text_of(claim.found.entry->bytes()), text_of(encode(sample_entry(kDigest))));
        }
        EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
      }
      const int status = wait_for(child);
      expect_nothing_or_all(scratch, before);
      EXPECT_TRUE(waiter.publish(sample_entry(kDigest)));
      EXPECT_TRUE(waiter.lookup(kDigest, TagPolicy::any()));
      if (!WIFSIGNALED(status)) {
        EXPECT_EQ(status, 0);
        EXPECT_FALSE(waiter.lookup(kDisplaced, TagPolicy::any())) << "nothing was displaced, so nothing proved of it";
        break;
      }
      ++killed;
      if (HasFailure()) return;
    }
  EXPECT_GE(killed, 150);
  tell("moments killed at", killed);
}

TEST(StoreProcesses, AKillAtARandomMomentLeavesNothingOrAWholeEntry) {
  std::mt19937 random(1);
  constexpr int kRounds = 30;
  for (int round = 0; round < kRounds; ++round) {
    ScratchDirectory scratch;
    const pid_t child = fork_child([&]() -> int {
      Store store({.directory = scratch.path()});
      for (;;) store.publish(sample_entry(kDigest));
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
    kill(child, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for(child)));
    expect_nothing_or_all(scratch, std::nullopt);
    EXPECT_TRUE(Store({.directory = scratch.path()}).publish(sample_entry(kDigest)));
  }
  tell("kills at random moments", kRounds);
}

TEST(StoreProcesses, WhenTheMakerIsKilledTheWaitersFinishAndOneOfThemMakesTheEntry) {
  std::mt19937 random(2);
  constexpr int kRounds = 20;
  constexpr int kWaiters = 4;
  for (int round = 0; round < kRounds; ++round) {
    ScratchDirectory scratch;
    SharedCounter makers;
    const auto ask = [&](int process) {
      Store store({.directory = scratch.path() + "/cache"});
      const std::string got = obtain(
          store, kDigest,
          [&] {
            ++makers;
            std::this_thread::sleep_for(20ms);
            return content_of(process);
          },
          30s);
      return got == content_of(std::stoi(got)) && store.counters().timeouts == 0 ? 0 : 1;
    };
    const auto begin = std::chrono::steady_clock::now();
    const pid_t victim = fork_child([&] { return ask(0); });
    std::vector<pid_t> waiters;
    for (int i = 1; i <= kWaiters; ++i) waiters.push_back(fork_child([&] { return ask(i); }));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    kill(victim, SIGKILL);
    wait_for(victim);
    for (const pid_t waiter : waiters) EXPECT_EQ(wait_for(waiter), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
    EXPECT_GE(makers.value(), 1);
    EXPECT_LE(makers.value(), 2) << "the one that was killed, and one of the others";
    EXPECT_TRUE(Store({.directory = scratch.path() + "/cache"}).lookup(kDigest, TagPolicy::any()));
  }
  tell("makers killed", kRounds);
}

TEST(StoreProcesses, AMakerThatIsStoppedHoldsTheOthersUpForTheirLimitAtMost) {
  ScratchDirectory scratch;
  const pid_t stopped = fork_child([&] {
    Store store({.directory = scratch.path()});
    const Claim claim = store.claim(kDigest, TagPolicy::any());
    raise(SIGSTOP);
    return claim.turn == Turn::kHeld && store.publish(sample_entry(kDigest)) ? 0 : 1;
  });
  int status = 0;
  ASSERT_EQ(waitpid(stopped, &status, WUNTRACED), stopped);
  ASSERT_TRUE(WIFSTOPPED(status));

  Store store({.directory = scratch.path()});
  const auto begin = std::chrono::steady_clock::now();
  const Claim claim = store.claim(kDigest, TagPolicy::any(), {}, 300ms);
  EXPECT_EQ(claim.turn, Turn::kTimedOut);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 300ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  EXPECT_TRUE(store.publish(sample_entry(kDigest)));
  EXPECT_EQ(store.claim(kDigest, TagPolicy::any()).turn, Turn::kServed) << "though its claim is still held";

  kill(stopped, SIGCONT);
  EXPECT_EQ(wait_for(stopped), 0) << "it publishes too, over the other one's entry";
  EXPECT_TRUE(store.lookup(kDigest, TagPolicy::any()));
}

TEST(StoreProcesses, EvictionUnderLoadStaysWithinTheLimitAndNeverRemovesAFreshEntry) {
  constexpr int kProcesses = 6;
  constexpr int kThreads = 2;
  constexpr int kRounds = 40;
  constexpr int kCapacity = 48;
  ScratchDirectory scratch;
  const std::string content(4000, 'x');
  const auto entry_of = [&](const Digest& digest) {
    return EntryView{digest, kTag, "{}", {{"cubin", bytes_of(content)}}};
  };
  const std::uint64_t entry_bytes = encode(entry_of(kDigest)).size();
  const StoreOptions options{.directory = scratch.path(), .byte_limit = kCapacity * entry_bytes};

  SharedCounter begun, finished;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process)
    children.push_back(fork_child([&] {
      Store store(options);
      std::atomic<int> wrong = 0;
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
          for (int round = 0; round < kRounds; ++round) {
            const Digest digest =
                digest_of(std::to_string(process) + "," + std::to_string(t) + "," + std::to_string(round));
            const int before = ++begun;
            if (!store.publish(entry_of(digest))) ++wrong;
            // It may be gone only if as many younger ones as fit were published meanwhile. Those that were under way
            // when it was written may be younger, too.
            if (!store.lookup(digest, TagPolicy::any()) && begun.value() - before < kCapacity - kProcesses * kThreads)
              ++wrong;
          }
        });
      for (std::thread& thread : threads) thread.join();
      ++finished;
      return wrong.load();
    }));

  // While nobody may make room, what is there is seen at one moment.
  FileSystem& files = FileSystem::real();
  Store observer({.directory = scratch.path()});
  std::uint64_t most = 0;
  int looks = 0;
  while (finished.value() < kProcesses) {
    const Descriptor root(files, files.open_at(AT_FDCWD, (scratch.path() + "/v1").c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (root.number() < 0) continue;
    ByteLock lock(files, root.number(), kEvictionByte);
    if (wait_for_lock(lock, Clock::real(), 5s) != ByteLock::State::kHeld) continue;
    most = std::max(most, observer.list().bytes());
    ++looks;
    lock.release();
    std::this_thread::sleep_for(5ms);
  }
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  EXPECT_LE(most, *options.byte_limit + entry_bytes);
  EXPECT_EQ(observer.list().bytes(), *options.byte_limit) << "and the room is used";
  EXPECT_EQ(observer.list().temporary_files, 0u);
  EXPECT_GT(looks, 5);
  tell("publications beyond the limit", kProcesses * kThreads * kRounds - kCapacity);
}

}  // namespace
}  // namespace flashmask::cache
