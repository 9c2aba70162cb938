#include <gmock/gmock.h>

#include <filesystem>
#include <set>

#include "database_samples.h"
#include "flashmask/error.h"

namespace flashmask {
namespace {

using testing::ask_sqlite;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MemoryDirectory;
using testing::read_file;
using testing::sample_config;
using testing::sample_key;
using testing::sample_provenance;
using testing::sample_record;
using testing::sample_trial;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing::write_file;

constexpr std::size_t kBlock = 512;

/// A database of some pages, with something in every table.
std::string sample_content() {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  {
    TuningDatabase database = TuningDatabase::open(path);
    std::vector<TuningRecord> records;
    for (int i = 0; i < 40; ++i) records.push_back(sample_record(i));
    database.merge(records);
    for (int i = 0; i < 10; ++i) {
      database.save(sample_key(), sample_trial(i), sample_provenance());
      database.add_round(sample_key(), {"session", i, {{sample_config(), 1.0}}});
    }
  }
  return read_file(path);
}

/// Asks for everything. Whatever comes back is checked elsewhere; here it only must come back.
void read_all(const TuningDatabase& database) {
  database.records();
  database.keys();
  database.record(sample_key());
  database.records_of(sample_key().descriptor);
  database.trials(sample_key());
  database.rounds(sample_key());
}

enum class Fate { kSound, kSetAside, kRefused };

/// Opens what lies at the path for reading, then for writing, and judges that no byte of it is lost.
Fate try_file(const MemoryDirectory& scratch, const std::string& content) {
  const std::string path = scratch.file("tuning.db");
  for (const auto& item : std::filesystem::directory_iterator(scratch.path())) std::filesystem::remove(item.path());
  write_file(path, content);
  try {
    read_all(TuningDatabase::open_read_only(path));
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::kStorage || error.code() == ErrorCode::kInvalidArgument) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(path));
  }
  EXPECT_EQ(read_file(path), content) << "reading has changed the file";
  try {
    TuningDatabase database = TuningDatabase::open(path);
    database.save(sample_record(1000));
    read_all(database);
    EXPECT_TRUE(database.record(sample_key(1000)));
    if (database.set_aside().empty()) {
      EXPECT_EQ(ask_sqlite(path, "PRAGMA integrity_check"), "ok");
      return Fate::kSound;
    }
    EXPECT_THAT(database.set_aside(), StartsWith(path + ".corrupt-"));
    EXPECT_EQ(read_file(database.set_aside()), content);
    EXPECT_THAT(database.records(), SizeIs(1));
    return Fate::kSetAside;
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::kStorage || error.code() == ErrorCode::kInvalidArgument) << error.what();
    EXPECT_EQ(read_file(path), content) << error.what();
    return Fate::kRefused;
  }
}

TEST(DamagedTuningDatabase, AnyBlockMayBeAnything) {
  const MemoryDirectory scratch;
  const std::string sound = sample_content();
  ASSERT_EQ(sound.size() % kBlock, 0U);
  int sound_ones = 0, set_aside = 0;
  for (std::size_t block = 0; block < sound.size() / kBlock; ++block)
    for (const char filling : {'\0', '\xff', 'x'}) {
      SCOPED_TRACE(::testing::Message() << "block " << block << ", filled with " << static_cast<int>(filling));
      std::string content = sound;
      content.replace(block * kBlock, kBlock, kBlock, filling);
      const Fate fate = try_file(scratch, content);
      // Without its head it is nobody's.
      EXPECT_EQ(fate == Fate::kRefused, block == 0);
      sound_ones += fate == Fate::kSound;
      set_aside += fate == Fate::kSetAside;
    }
  EXPECT_GT(set_aside, sound_ones) << "most blocks hold something";
}

TEST(DamagedTuningDatabase, ItMayEndAnywhere) {
  const MemoryDirectory scratch;
  const std::string sound = sample_content();
  for (std::size_t size = 0; size < sound.size(); size += size < 4200 ? 61 : 1021) {
    SCOPED_TRACE(size);
    const Fate fate = try_file(scratch, sound.substr(0, size));
    // An empty file is a new one; one without its whole head is nobody's; what the last page lacks may be of no
    // account.
    if (size + 4096 <= sound.size())
      EXPECT_EQ(fate, size == 0 ? Fate::kSound : size < 72 ? Fate::kRefused : Fate::kSetAside);
    else
      EXPECT_NE(fate, Fate::kRefused);
  }
}

TEST(DamagedTuningDatabase, SingleBitsMayFlip) {
  const MemoryDirectory scratch;
  const std::string sound = sample_content();
  for (std::size_t i = 100; i < sound.size(); i += 397) {
    SCOPED_TRACE(i);
    std::string content = sound;
    content[i] = static_cast<char>(content[i] ^ 1 << i % 8);
    try_file(scratch, content);
  }
}

TEST(DamagedTuningDatabase, ATableThatIsMissingIsDamage) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase::open(path);
  ask_sqlite(path, "DROP TABLE rounds");
  EXPECT_EQ(try_file(scratch, read_file(path)), Fate::kSetAside);
}

TEST(DamagedTuningDatabase, ATableOfSomebodyElseIsNone) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase::open(path).save(sample_record());
  ask_sqlite(path, "CREATE VIEW mine AS SELECT * FROM answers");
  EXPECT_EQ(TuningDatabase::open(path).set_aside(), "");
}

TEST(DamagedTuningDatabase, ItsJournalGoesWithIt) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  write_file(path, sample_content().substr(0, 8192));
  write_file(path + "-journal", "no journal");
  const std::string aside = TuningDatabase::open(path).set_aside();
  EXPECT_THAT(aside, StartsWith(path));
  EXPECT_TRUE(std::filesystem::exists(aside));
  EXPECT_FALSE(std::filesystem::exists(path + "-journal"));
}

TEST(DamagedTuningDatabase, NoNameThatIsTakenIsUsed) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  const std::string content = sample_content().substr(0, 8192);
  std::set<std::string> names;
  for (int i = 0; i < 5; ++i) {
    write_file(path, content + std::string(static_cast<std::size_t>(i), 'x'));
    names.insert(TuningDatabase::open(path).set_aside());
  }
  EXPECT_THAT(names, SizeIs(5));
  std::set<std::uintmax_t> sizes;
  for (const std::string& name : names) sizes.insert(std::filesystem::file_size(name));
  EXPECT_THAT(sizes, SizeIs(5));
}

TEST(DamagedTuningDatabase, BehindALinkItIsSetAsideWhereItLies) {
  const MemoryDirectory scratch;
  std::filesystem::create_directory(scratch.file("far"));
  const std::string path = scratch.file("far/tuning.db"), link = scratch.file("link");
  write_file(path, sample_content().substr(0, 8192));
  std::filesystem::create_symlink("far/tuning.db", link);
  TuningDatabase database = TuningDatabase::open(link);
  EXPECT_THAT(database.set_aside(), HasSubstr("/far/tuning.db.corrupt-"));
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(DamagedTuningDatabase, DamageWhileItIsOpenLosesNoFurtherWrite) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  for (const std::size_t kept : {std::size_t{0}, std::size_t{1}, std::size_t{8}}) {
    write_file(path, sample_content());
    TuningDatabase database = TuningDatabase::open(path);
    // In place, as a failing disk does it; the counter of changes differs, so that nothing cached is believed.
    std::string content = read_file(path);
    content[27] = static_cast<char>(content[27] + 1);
    content.replace(kept * kBlock, content.size() - kept * kBlock, content.size() - kept * kBlock, '\xff');
    write_file(path, content);
    database.save(sample_record(1000));
    EXPECT_THAT(database.set_aside(), StartsWith(path + ".corrupt-"));
    EXPECT_EQ(read_file(database.set_aside()), content);
    EXPECT_EQ(database.record(sample_key(1000)), sample_record(1000));
    EXPECT_EQ(ask_sqlite(path, "PRAGMA integrity_check"), "ok");
  }
}

TEST(DamagedTuningDatabase, SetAsideByAnotherIsNotWrittenAnyMore) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase mine = TuningDatabase::open(path);
  mine.save(sample_record());
  std::filesystem::rename(path, path + ".elsewhere");
  TuningDatabase other = TuningDatabase::open(path);
  other.save(sample_record(1));
  mine.save(sample_record(2));
  EXPECT_THAT(other.records(), SizeIs(2));
  EXPECT_TRUE(other.record(sample_key(2)));
}

}  // namespace
}  // namespace flashmask
