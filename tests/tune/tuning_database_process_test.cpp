// Several processes on one file, and processes that are killed at any moment.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <functional>
#include <random>
#include <thread>

#include "../runtime/temporary_directory.h"
#include "database_samples.h"
#include "flashmask/error.h"

namespace flashmask {
namespace {

using testing::ask_sqlite;
using testing::MemoryDirectory;
using testing::read_file;
using testing::sample_config;
using testing::sample_key;
using testing::sample_provenance;
using testing::sample_record;
using testing::sample_trial;
using ::testing::SizeIs;
using testing::TemporaryDirectory;
using testing::write_file;

/// Runs `work` in a child process; 0 as its exit status unless it throws.
pid_t fork_child(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child != 0) return child;
  try {
    work();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    _exit(1);
  }
  _exit(0);
}

int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

TEST(TuningProcesses, AKillAtAnyMomentLosesNothingThatReturned) {
  const TemporaryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  std::mt19937 random(1);
  int acknowledged = 0;  // calls that returned, of all children
  for (int kill_number = 0; kill_number < 50; ++kill_number) {
    int acknowledgements[2];
    ASSERT_EQ(pipe(acknowledgements), 0);
    const int first = acknowledged;
    const pid_t child = fork_child([&] {
      close(acknowledgements[0]);
      TuningDatabase database = TuningDatabase::open(path);
      if (!database.set_aside().empty()) throw std::runtime_error("set aside: " + database.set_aside());
      for (int i = first;; ++i) {
        database.save(sample_key(i), sample_trial(i % 7), sample_provenance());
        database.add_round(sample_key(i), {"session", i, {{sample_config(), 1.0}}});
        database.save(sample_record(i));
        if (write(acknowledgements[1], "x", 1) != 1) _exit(2);
      }
    });
    close(acknowledgements[1]);
    // Some acknowledgements later, at any moment of a write; every fifth time, while it opens the file.
    const auto acknowledge = [&](std::size_t most) {
      char buffer[4096];
      const ssize_t got = read(acknowledgements[0], buffer, std::min(most, sizeof buffer));
      acknowledged += static_cast<int>(std::max<ssize_t>(got, 0));
      return got > 0;
    };
    for (std::size_t i = 0; kill_number % 5 != 0 && i <= random() % 3; ++i) acknowledge(1);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 10'000));
    kill(child, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for(child)));
    while (acknowledge(4096)) {
    }
    close(acknowledgements[0]);
    // Half of the time the next child finds the file as it was left.
    if (kill_number % 2 == 0) continue;
    TuningDatabase database = TuningDatabase::open(path);
    ASSERT_EQ(database.set_aside(), "");
    ASSERT_GE(database.records().size(), static_cast<std::size_t>(acknowledged));
    for (int i = first; i < acknowledged; ++i) {
      ASSERT_EQ(database.record(sample_key(i)), sample_record(i));
      ASSERT_THAT(database.trials(sample_key(i)), SizeIs(1));
      ASSERT_GE(database.rounds(sample_key(i)).size(), 1U);
    }
  }
  std::printf("%d times three acknowledged writes in 50 processes that were killed\n", acknowledged);
  EXPECT_GE(acknowledged, 40);
  EXPECT_EQ(ask_sqlite(path, "PRAGMA integrity_check"), "ok");
}

TEST(TuningProcesses, FourWritersAtOnceLoseNothing) {
  constexpr int kWriters = 4, kWrites = 50;
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  const TuningKey shared = sample_key(9999);
  std::vector<pid_t> children;
  for (int writer = 0; writer < kWriters; ++writer)
    children.push_back(fork_child([&] {
      TuningDatabase database = TuningDatabase::open(path);  // the first one makes it
      for (int i = 0; i < kWrites; ++i) {
        const int number = writer * kWrites + i;
        database.add_round(shared, {std::to_string(writer), i, {{sample_config(), 1.0}}});
        database.save(shared, sample_trial(number), sample_provenance());
        database.save(sample_record(number));
      }
    }));
  for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
  const TuningDatabase database = TuningDatabase::open(path);
  EXPECT_EQ(database.set_aside(), "");
  EXPECT_THAT(database.trials(shared), SizeIs(kWriters * kWrites));
  EXPECT_THAT(database.records(), SizeIs(kWriters * kWrites));
  const auto rounds = database.rounds(shared);
  EXPECT_THAT(rounds, SizeIs(kWriters * kWrites));
  // Each writer's in its own order.
  std::vector<int> next(kWriters, 0);
  for (const TuningRound& round : rounds) {
    int& expected = next[static_cast<std::size_t>(std::stoi(round.session))];
    EXPECT_EQ(round.sm_clock_mhz, expected++);
  }
  EXPECT_EQ(ask_sqlite(path, "PRAGMA integrity_check"), "ok");
}

TEST(TuningProcesses, ReadersSeeWholeAnswersWhileOthersWrite) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase database = TuningDatabase::open(path);
  const pid_t child = fork_child([&] {
    for (int i = 0; i < 60; ++i) {
      const TuningDatabase reader = TuningDatabase::open_read_only(path);
      const auto record = reader.record(sample_key());
      if (record && record->seconds != 2 * record->default_seconds) throw std::runtime_error("two answers in one");
    }
  });
  for (int i = 1; i <= 60; ++i) {
    TuningRecord record = sample_record();
    record.seconds = 2.0 * i;
    record.default_seconds = i;
    record.reason = std::string(static_cast<std::size_t>(100 * i), 'x');
    database.save(record);
  }
  EXPECT_EQ(wait_for(child), 0);
}

TEST(TuningProcesses, OneDamagedFileIsSetAsideOnceHoweverManyFindIt) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase::open(path).merge({sample_record(0), sample_record(1), sample_record(2)});
  const std::string content = read_file(path);
  for (int attempt = 0; attempt < 10; ++attempt) {
    for (const auto& item : std::filesystem::directory_iterator(scratch.path())) std::filesystem::remove(item.path());
    write_file(path, content.substr(0, 8192));
    int gate[2];
    ASSERT_EQ(pipe(gate), 0);
    std::vector<pid_t> children;
    for (int writer = 0; writer < 4; ++writer)
      children.push_back(fork_child([&] {
        close(gate[1]);
        char ignored = 0;
        if (read(gate[0], &ignored, 1) < 0) throw std::runtime_error("no start");
        TuningDatabase::open(path).save(sample_record(writer));
      }));
    close(gate[0]);
    close(gate[1]);  // all at once
    for (const pid_t child : children) EXPECT_EQ(wait_for(child), 0);
    EXPECT_THAT(TuningDatabase::open_read_only(path).records(), SizeIs(4));
    int aside = 0;
    for (const auto& item : std::filesystem::directory_iterator(scratch.path()))
      aside += item.path().string().find(".corrupt-") != std::string::npos;
    EXPECT_EQ(aside, 1);
  }
}

/// A database as a process leaves it that is killed after its journal is written and before the file is.
void leave_half_written(const std::string& path) {
  TuningDatabase::open(path).save(sample_record());
  const pid_t child = fork_child([&] {
    sqlite3* database = nullptr;
    sqlite3_open(path.c_str(), &database);
    // So small a cache writes pages before the end of the transaction.
    sqlite3_exec(database,
                 "PRAGMA cache_size=1; PRAGMA cache_spill=1; BEGIN IMMEDIATE; WITH RECURSIVE n(i) AS (SELECT 1 UNION "
                 "ALL SELECT i+1 FROM n WHERE i<500) INSERT INTO keys(name,gpu) SELECT i,hex(zeroblob(500)) FROM n;"
                 "UPDATE answers SET reason='torn'",
                 nullptr, nullptr, nullptr);
    kill(getpid(), SIGKILL);
  });
  wait_for(child);
}

TEST(TuningProcesses, WhatAKilledOneLeftHalfWrittenIsUndoneByTheNextThatWrites) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  leave_half_written(path);
  ASSERT_TRUE(std::filesystem::exists(path + "-journal"));
  const std::string content = read_file(path);
  try {
    TuningDatabase::open_read_only(path).record(sample_key());
    ADD_FAILURE() << "a half-written file was believed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kStorage);
    EXPECT_THAT(error.hint(), ::testing::HasSubstr("killed while it wrote")) << error.what();
  }
  EXPECT_EQ(read_file(path), content);
  const TuningDatabase database = TuningDatabase::open(path);
  EXPECT_EQ(database.set_aside(), "");
  EXPECT_EQ(database.record(sample_key()), sample_record());
  EXPECT_THAT(database.keys(), SizeIs(1));
}

}  // namespace
}  // namespace flashmask
