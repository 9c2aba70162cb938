#include "cache/process_flight.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>

#include "cache/layout.h"
#include "fake_clock.h"
#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

using namespace std::chrono_literals;
using State = ByteLock::State;
using ::testing::ElementsAre;

class ByteLockTest : public ::testing::Test {
 protected:
  ByteLock lock(off_t byte) { return {files_, directory_.number(), byte}; }

  ScratchDirectory scratch_;
  FileSystem& files_ = FileSystem::real();
  Descriptor directory_{files_, files_.open_at(AT_FDCWD, scratch_.path().c_str(), O_RDONLY | O_DIRECTORY, 0)};
};

TEST_F(ByteLockTest, OneHoldsAByteAndTheOthersAreBusyUntilItLetsGo) {
  ByteLock first = lock(7), second = lock(7);
  EXPECT_EQ(first.attempt(), State::kHeld);
  EXPECT_EQ(first.attempt(), State::kHeld);
  EXPECT_EQ(second.attempt(), State::kBusy);
  first.release();
  EXPECT_EQ(second.attempt(), State::kHeld);
  EXPECT_FALSE(first.is_held());
}

TEST_F(ByteLockTest, BytesAreIndependentAndTheHighestOneIsAllowed) {
  ByteLock one = lock(7), next = lock(8), room = lock(kEvictionByte), last = lock(kEvictionByte - 1);
  for (ByteLock* each : {&one, &next, &room, &last}) EXPECT_EQ(each->attempt(), State::kHeld);
}

TEST_F(ByteLockTest, NoDigestHasTheByteOfEviction) {
  Digest greatest;
  greatest.bytes.fill(0xff);
  EXPECT_LT(lock_byte_of(greatest), kEvictionByte);
  EXPECT_EQ(lock_byte_of(Digest{}), 0);
  EXPECT_NE(lock_byte_of(digest_of("a")), lock_byte_of(digest_of("b")));
}

TEST_F(ByteLockTest, AllLocksShareOneEmptyFileOfTheUsersOwn) {
  for (off_t byte = 0; byte < 100; ++byte) EXPECT_EQ(lock(byte << 40).attempt(), State::kHeld);
  EXPECT_THAT(scratch_.files(), ElementsAre(kLockFile));
  struct stat status{};
  ASSERT_EQ(stat((scratch_.path() + "/" + kLockFile).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  EXPECT_EQ(status.st_size, 0);
}

TEST_F(ByteLockTest, MovingALockKeepsIt) {
  ByteLock other = lock(7);
  {
    ByteLock first = lock(7);
    EXPECT_EQ(first.attempt(), State::kHeld);
    ByteLock moved = std::move(first);
    EXPECT_TRUE(moved.is_held());
    ByteLock assigned(files_);
    assigned = std::move(moved);
    EXPECT_TRUE(assigned.is_held());
    EXPECT_EQ(other.attempt(), State::kBusy);
  }
  EXPECT_EQ(other.attempt(), State::kHeld);
}

TEST_F(ByteLockTest, ALockIsGoneWithItsProcess) {
  const pid_t child = fork();
  if (child == 0) {
    ByteLock held = lock(7);
    _exit(held.attempt() == State::kHeld ? 0 : 1);  // without a destructor, as a kill
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(lock(7).attempt(), State::kHeld);
}

TEST_F(ByteLockTest, AForkedChildDoesNotKeepALockThatWasLetGo) {
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  ByteLock held = lock(7);
  ASSERT_EQ(held.attempt(), State::kHeld);
  const pid_t child = fork();
  if (child == 0) {
    close(gate[1]);
    char byte;
    const ssize_t ignored = read(gate[0], &byte, 1);  // lives, with the descriptor, until the parent has looked
    _exit(ignored == 0 ? 0 : 1);
  }
  EXPECT_EQ(lock(7).attempt(), State::kBusy);
  held.release();
  EXPECT_EQ(lock(7).attempt(), State::kHeld);
  close(gate[1]);
  close(gate[0]);
  waitpid(child, nullptr, 0);
}

TEST_F(ByteLockTest, WhateverIsInTheLockFilesPlaceHoldsNobodyUp) {
  const std::string path = scratch_.path() + "/" + kLockFile;
  const auto attempt_with = [&](auto&& put) {
    std::filesystem::remove_all(path);
    put();
    return lock(7).attempt();
  };
  EXPECT_EQ(attempt_with([&] { std::filesystem::create_symlink("/dev/null", path); }), State::kUnavailable);
  EXPECT_EQ(attempt_with([&] { std::filesystem::create_directory(path); }), State::kUnavailable);
  EXPECT_EQ(attempt_with([&] { write_file(path, "somebody's"); }), State::kHeld);
  EXPECT_EQ(read_file(path), "somebody's");
  attempt_with([&] { mkfifo(path.c_str(), 0600); });  // only must come back
}

TEST_F(ByteLockTest, WhereLocksDoNotWorkTheyAreUnavailable) {
  class WithoutLocks : public FileSystem {
   public:
    int error = 0;
    int lock_byte(int, off_t) override { return -error; }
  } files;
  for (int error : {ENOLCK, EBADF, ENOSYS, EINVAL, EOPNOTSUPP, EACCES, EIO, ESTALE, EDEADLK}) {
    files.error = error;
    ByteLock lock(files, directory_.number(), 7);
    EXPECT_EQ(lock.attempt(), State::kUnavailable) << error;
    FakeClock clock;
    EXPECT_EQ(wait_for_turn(lock, [] { return false; }, clock, 60s), Turn::kUnlocked) << error;
    EXPECT_EQ(wait_for_lock(lock, clock, 60s), State::kUnavailable) << error;
    EXPECT_EQ(clock.elapsed(), 0s) << error;
  }
  EXPECT_EQ(ByteLock(files).attempt(), State::kUnavailable);
}

class WaitForTurnTest : public ByteLockTest {
 protected:
  void SetUp() override { ASSERT_EQ(other_.attempt(), State::kHeld); }

  FakeClock clock_;
  ByteLock other_ = lock(7);
  ByteLock mine_ = lock(7);
};

TEST_F(WaitForTurnTest, AFreeLockIsHeldAtOnceIfThereIsNothing) {
  other_.release();
  EXPECT_EQ(wait_for_turn(mine_, [] { return false; }, clock_, 60s), Turn::kHeld);
  EXPECT_TRUE(mine_.is_held());
  EXPECT_EQ(clock_.elapsed(), 0s);
}

TEST_F(WaitForTurnTest, WhoHoldsTheLockLooksAgainSinceItsFormerHolderMayHavePublished) {
  other_.release();
  bool held_while_looking = false;
  EXPECT_EQ(wait_for_turn(
                mine_,
                [&] {
                  held_while_looking = mine_.is_held();
                  return true;
                },
                clock_, 60s),
            Turn::kServed);
  EXPECT_TRUE(held_while_looking);
  EXPECT_FALSE(mine_.is_held());
}

TEST_F(WaitForTurnTest, PausesGrowFromFiveToFiftyMillisecondsAndEndWithTheLimit) {
  EXPECT_EQ(wait_for_turn(mine_, [] { return false; }, clock_, 200ms), Turn::kTimedOut);
  EXPECT_THAT(clock_.pauses(), ElementsAre(5ms, 10ms, 20ms, 40ms, 50ms, 50ms, 25ms));
  EXPECT_EQ(clock_.elapsed(), 200ms);
  EXPECT_FALSE(mine_.is_held());
}

TEST_F(WaitForTurnTest, WithoutTimeToWaitItLooksOnce) {
  int looks = 0;
  EXPECT_EQ(wait_for_turn(mine_, [&] { return ++looks > 5; }, clock_, 0s), Turn::kTimedOut);
  EXPECT_EQ(looks, 1);
}

TEST_F(WaitForTurnTest, WhatAppearsIsTakenAlthoughTheLockIsStillHeld) {
  EXPECT_EQ(wait_for_turn(mine_, [&] { return clock_.elapsed() >= 1s; }, clock_, 60s), Turn::kServed);
  EXPECT_LT(clock_.elapsed(), 1100ms);
}

TEST_F(WaitForTurnTest, ALockThatIsLetGoIsTaken) {
  const auto look = [&] {
    if (clock_.elapsed() >= 1s) other_.release();
    return false;
  };
  EXPECT_EQ(wait_for_turn(mine_, look, clock_, 60s), Turn::kHeld);
  EXPECT_LT(clock_.elapsed(), 1100ms);
}

TEST_F(WaitForTurnTest, WhatLookingThrowsIsRethrownAndTheLockLetGo) {
  other_.release();
  {
    ByteLock lock(files_, directory_.number(), 7);
    EXPECT_THROW(wait_for_turn(lock, []() -> bool { throw std::runtime_error("x"); }, clock_, 60s), std::runtime_error);
  }
  EXPECT_EQ(mine_.attempt(), State::kHeld);
}

TEST_F(WaitForTurnTest, WaitingForTheLockAloneIsBoundedToo) {
  EXPECT_EQ(wait_for_lock(mine_, clock_, 5s), State::kBusy);
  EXPECT_EQ(clock_.elapsed(), 5s);
  other_.release();
  EXPECT_EQ(wait_for_lock(mine_, clock_, 5s), State::kHeld);
}

}  // namespace
}  // namespace flashmask::cache
