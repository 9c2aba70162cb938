// Every call that changes a file is failed in turn.

#include <gmock/gmock.h>

#include <filesystem>

#include "database_samples.h"
#include "faulty_vfs.h"
#include "flashmask/error.h"

namespace flashmask {
namespace {

using testing::ask_sqlite;
using testing::FaultyVfs;
using ::testing::HasSubstr;
using testing::MemoryDirectory;
using testing::sample_config;
using testing::sample_key;
using testing::sample_provenance;
using testing::sample_record;
using testing::sample_trial;
using ::testing::SizeIs;

/// Ten writes, opened before them or not; how many of them returned before the first one that did not.
int write_ten(const std::string& path, bool& is_refused) {
  int returned = 0;
  is_refused = false;
  try {
    TuningDatabase database = TuningDatabase::open(path);
    for (; returned < 10; ++returned)
      if (returned % 3 == 0)
        database.save(sample_key(returned), sample_trial(), sample_provenance());
      else if (returned % 3 == 1)
        database.add_round(sample_key(returned), {"session", 0, {{sample_config(), 1}}});
      else
        database.save(sample_record(returned));
  } catch (const Error& error) {
    is_refused = true;
    EXPECT_EQ(error.code(), ErrorCode::kStorage) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(path));
    EXPECT_FALSE(error.hint().empty()) << error.what();
  }
  return returned;
}

void fail_every_call(int code, bool is_lasting) {
  int tried = 0, refused = 0;
  for (int position = 1;; ++position, ++tried) {
    SCOPED_TRACE(position);
    const MemoryDirectory scratch;
    const std::string path = scratch.file("tuning.db");
    bool is_refused = false;
    int returned = 0, calls = 0;
    {
      FaultyVfs faulty(code);
      faulty.countdown = position;
      faulty.is_lasting = is_lasting;
      returned = write_ten(path, is_refused);
      calls = faulty.calls;
    }
    refused += is_refused;
    if (calls < position) break;
    // A system that has recovered finds what had returned, and goes on.
    TuningDatabase database = TuningDatabase::open(path);
    EXPECT_EQ(database.set_aside(), "");
    const auto keys = database.keys().size();
    EXPECT_GE(keys, static_cast<std::size_t>(returned));
    EXPECT_LE(keys, static_cast<std::size_t>(returned) + 1) << "one more than was acknowledged may have arrived";
    bool is_refused_again = false;
    EXPECT_EQ(write_ten(path, is_refused_again), 10);
    EXPECT_EQ(ask_sqlite(path, "PRAGMA integrity_check"), "ok");
  }
  std::printf("%d calls failed in turn, %d of them noticed\n", tried, refused);
  EXPECT_GT(tried, 50);
}

TEST(TuningFaults, ADiskThatIsFullAtAnyCallCostsNothingThatReturned) {
  fail_every_call(SQLITE_FULL, true);
}

TEST(TuningFaults, OneFailureAtAnyCallCostsNothingThatReturned) {
  fail_every_call(SQLITE_IOERR_WRITE, false);
}

TEST(TuningFaults, AfterAFullDiskTheSameObjectGoesOn) {
  const MemoryDirectory scratch;
  FaultyVfs faulty(SQLITE_FULL);
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  database.save(sample_record(0));
  faulty.countdown = 1;
  faulty.is_lasting = true;
  try {
    database.save(sample_record(1));
    ADD_FAILURE() << "nothing was noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kStorage) << error.what();
  }
  faulty.countdown = 0;
  database.save(sample_record(2));
  EXPECT_THAT(database.records(), SizeIs(2));
}

}  // namespace
}  // namespace flashmask
