#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>
#include <set>

#include "database_samples.h"
#include "flashmask/error.h"

namespace flashmask {
namespace {

using testing::ask_sqlite;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MemoryDirectory;
using testing::read_file;
using testing::sample_config;
using testing::sample_key;
using testing::sample_provenance;
using testing::sample_record;
using testing::sample_trial;
using ::testing::SizeIs;
using testing::text_of;
using testing::write_file;

/// The error of a call; the test fails if there is none.
Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, ""};
}

void expect_error(ErrorCode code, const std::string& part, const std::function<void()>& call) {
  const Error error = error_of(call);
  EXPECT_EQ(error.code(), code) << error.what();
  EXPECT_THAT(error.what(), HasSubstr(part));
  EXPECT_FALSE(error.hint().empty()) << error.what();
}

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& item : std::filesystem::directory_iterator(folder)) names.insert(item.path().filename());
  return names;
}

TEST(TuningDatabase, EveryFieldOfAnAnswerComesBack) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  std::vector<TuningRecord> records(31, sample_record());
  records[1].key.basis = TuningBasis::kMeasured;
  records[2].key.gpu.name = "";
  records[3].key.gpu.compute_capability = 80;
  records[4].key.gpu.multiprocessors = -1;
  records[5].key.gpu.l2_bytes = std::numeric_limits<std::uint64_t>::max();
  records[6].key.gpu.shared_bytes_per_block = 0;
  records[7].key.descriptor.pass = Pass::kForward;
  records[8].key.descriptor.dtype = DataType::kBfloat16;
  records[9].key.descriptor.head_dim_qk = 8;
  records[10].key.descriptor.head_dim_v = 256;
  records[11].key.descriptor.mask_form = MaskForm::kF4;
  records[12].key.descriptor.causal_alignment = CausalAlignment::kBottomRight;
  records[13].key.descriptor.target = {90, true};
  records[14].key.descriptor.deterministic = false;
  records[15].key.bucket.seqlen_q = 0;
  records[16].key.bucket.seqlen_k = 1 << 30;
  records[17].key.bucket.heads = 1;
  records[18].key.bucket.density = DensityClass::kUnknown;
  records[19].key.method = std::string("NUL \0 inside", 12);
  records[20].key.templates = "\xff no UTF-8";
  for (std::size_t i = 21; i < records.size(); ++i) records[i].key = sample_key(static_cast<int>(i));
  records[21].config = {256, 16, 12, 6, true, 2, true, true, 2};
  records[22].default_config = TileConfig{};
  records[23].seconds = std::numeric_limits<double>::denorm_min();
  records[24].default_seconds = 5;
  records[25].band = 1e300;
  records[26].rounds = 0;
  records[27].reason = "'; DROP TABLE keys; --";
  records[28].provenance = {};
  records[29].provenance.sm_clock_mhz = 1;
  records[30].reason = std::string(1 << 20, 'x');
  {
    TuningDatabase database = TuningDatabase::open(path);
    EXPECT_EQ(database.path(), path);
    EXPECT_EQ(database.set_aside(), "");
    for (const TuningRecord& record : records) database.save(record);
  }
  const TuningDatabase database = TuningDatabase::open_read_only(path);
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto found = database.record(records[i].key);
    ASSERT_TRUE(found) << i;
    EXPECT_EQ(*found, records[i]) << i;
  }
  EXPECT_THAT(database.records(), SizeIs(records.size()));
  EXPECT_THAT(database.keys(), SizeIs(records.size()));
  EXPECT_EQ(ask_sqlite(path, "PRAGMA integrity_check"), "ok");
}

TEST(TuningDatabase, EveryFieldOfATrialComesBackAndItsProvenanceIsKept) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  {
    TuningDatabase database = TuningDatabase::open(path);
    database.save(sample_key(), sample_trial(), sample_provenance());
    TuningTrial finalist{sample_config(16), TrialOutcome::kTimed, "", {}, 0, 0, 0};
    database.save(sample_key(), finalist, sample_provenance());
  }
  const auto trials = TuningDatabase::open_read_only(path).trials(sample_key());
  ASSERT_THAT(trials, SizeIs(2));
  EXPECT_EQ(text_of(trials[0]), text_of(sample_trial()));
  EXPECT_EQ(text_of(trials[1]), text_of({sample_config(16), TrialOutcome::kTimed, "", {}, 0, 0, 0}));
  EXPECT_EQ(ask_sqlite(path, "SELECT provenance FROM trials"),
            R"({"driver":"13.0","sm_clock_mhz":1980,"toolchain":"nvrtc 13.0.88","library":"0.1.0",)"
            R"("problem":"batch 2, heads 8","effort":"full","date":"2026-11-27T12:00:00Z"})");
}

TEST(TuningDatabase, ASecondTrialOfAConfigurationReplacesTheFirstInItsPlace) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  for (const int number : {48, 0, 32, 16}) database.save(sample_key(), sample_trial(number), sample_provenance());
  database.save(sample_key(1), sample_trial(7), sample_provenance());
  TuningTrial again = sample_trial(0);
  again.outcome = TrialOutcome::kHung;
  again.reason = "no answer within 10 s";
  again.resources = {};
  database.save(sample_key(), again, sample_provenance());
  std::vector<std::string> configs;
  for (const TuningTrial& trial : database.trials(sample_key())) configs.push_back(to_string(trial.config));
  EXPECT_THAT(configs, ElementsAre(to_string(sample_config(48)), to_string(sample_config(0)),
                                   to_string(sample_config(32)), to_string(sample_config(16))));
  EXPECT_EQ(text_of(database.trials(sample_key())[1]), text_of(again));
  EXPECT_THAT(database.trials(sample_key(1)), SizeIs(1));
  EXPECT_THAT(database.trials(sample_key(2)), IsEmpty());
}

TEST(TuningDatabase, RoundsComeBackInTheOrderInWhichTheyWereTimed) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  for (int i = 0; i < 12; ++i) {
    database.add_round(sample_key(), {fmt::format("session {}", i % 2),
                                      1900 + i,
                                      {{sample_config(32), 0.1 * i}, {sample_config(0), 1.0 / (i + 1)}}});
    database.add_round(sample_key(1), {"other", 0, {}});
  }
  const auto rounds = database.rounds(sample_key());
  ASSERT_THAT(rounds, SizeIs(12));
  for (int i = 0; i < 12; ++i) {
    const TuningRound& round = rounds[static_cast<std::size_t>(i)];
    EXPECT_EQ(round.session, fmt::format("session {}", i % 2));
    EXPECT_EQ(round.sm_clock_mhz, 1900 + i);
    EXPECT_THAT(round.seconds,
                ElementsAre(std::pair(sample_config(32), 0.1 * i), std::pair(sample_config(0), 1.0 / (i + 1))));
  }
  EXPECT_THAT(database.rounds(sample_key(1)), SizeIs(12));
  EXPECT_THAT(database.rounds(sample_key(1)).front().seconds, IsEmpty());
  EXPECT_THAT(database.rounds(sample_key(2)), IsEmpty());
}

TEST(TuningDatabase, ASecondAnswerReplacesTheFirst) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  TuningRecord record = sample_record();
  database.save(record);
  record.config = sample_config(32);
  record.seconds = 0.05;
  record.reason = "another one";
  record.provenance.date = "2020-01-01T00:00:00Z";  // an order, not a suggestion
  database.save(record);
  EXPECT_EQ(database.record(sample_key()), record);
  EXPECT_THAT(database.records(), ElementsAre(record));
}

TEST(TuningDatabase, TheAnswersOfADescriptorAreThoseOfEveryDeviceBucketMethodAndTemplate) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  std::vector<TuningRecord> records(6, sample_record());
  records[1].key.gpu.multiprocessors = 114;
  records[2].key.bucket.density = DensityClass::kSparse;
  records[3].key.method = "another";
  records[4].key.templates = "fedcba";
  records[5].key.basis = TuningBasis::kMeasured;
  for (const TuningRecord& record : records) database.save(record);
  database.save(sample_record(1));
  database.save(sample_record(20));
  EXPECT_THAT(database.records_of(sample_key().descriptor), ::testing::UnorderedElementsAreArray(records));
  KernelDescriptor other = sample_key().descriptor;
  other.deterministic = false;
  EXPECT_THAT(database.records_of(other), IsEmpty());
}

TEST(TuningDatabase, RecordsAndKeysHaveOneOrderHoweverTheyWereSaved) {
  const MemoryDirectory scratch;
  TuningDatabase forwards = TuningDatabase::open(scratch.file("forwards.db"));
  TuningDatabase backwards = TuningDatabase::open(scratch.file("backwards.db"));
  for (int i = 0; i < 60; ++i) forwards.save(sample_record(17 * i));
  for (int i = 59; i >= 0; --i) backwards.save(sample_record(17 * i));
  EXPECT_EQ(forwards.records(), backwards.records());
  EXPECT_EQ(forwards.keys(), backwards.keys());
  std::vector<TuningKey> keys;
  for (const TuningRecord& record : forwards.records()) keys.push_back(record.key);
  EXPECT_EQ(forwards.keys(), keys);
}

TEST(TuningDatabase, ATrialOrARoundAloneMakesAKeyKnownWithoutAnAnswer) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  database.save(sample_key(2), sample_trial(), sample_provenance());
  database.add_round(sample_key(1), {"session", 0, {{sample_config(), 1}}});
  EXPECT_THAT(database.keys(), SizeIs(2));
  EXPECT_THAT(database.records(), IsEmpty());
  EXPECT_FALSE(database.record(sample_key(1)));
}

TEST(TuningDatabase, ANumberThatIsNotFiniteIsRefusedByNameAndNothingIsKept) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  TuningRecord record = sample_record();
  record.band = std::numeric_limits<double>::quiet_NaN();
  expect_error(ErrorCode::kInvalidArgument, "band = nan", [&] { database.save(record); });
  const double infinity = std::numeric_limits<double>::infinity();
  expect_error(ErrorCode::kInvalidArgument, "seconds = inf", [&] {
    database.add_round(sample_key(), {"session", 0, {{sample_config(), 1}, {sample_config(1), infinity}}});
  });
  EXPECT_THAT(database.keys(), IsEmpty());
  database.save(sample_record());
  EXPECT_THAT(database.keys(), SizeIs(1));
}

TEST(TuningDatabase, RowsThatThisLibraryCannotReadArePassedOver) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  {
    TuningDatabase database = TuningDatabase::open(path);
    for (int i = 0; i < 6; ++i) database.save(sample_record(i));
    for (int i = 0; i < 3; ++i) database.save(sample_key(), sample_trial(i), sample_provenance());
    for (int i = 1; i <= 2; ++i) database.add_round(sample_key(), {"session", i, {{sample_config(), 1.0 * i}}});
  }
  ask_sqlite(path, "UPDATE keys SET target='sm_999' WHERE id=2");
  ask_sqlite(path, "UPDATE answers SET config='a new kind' WHERE key=3");
  ask_sqlite(path, "UPDATE answers SET rounds=x'00' WHERE key=4");
  ask_sqlite(path, "UPDATE answers SET seconds=NULL WHERE key=5");
  ask_sqlite(path, "UPDATE trials SET resources=replace(resources,'255','5000000000') WHERE id=2");
  ask_sqlite(path, "UPDATE trials SET outcome='tired' WHERE id=3");
  ask_sqlite(path, "UPDATE answers SET provenance='{' WHERE key=6");
  ask_sqlite(path, R"(UPDATE rounds SET times='[{"config":"64x128 w8 s2","seconds":"x"}]' WHERE id=1)");
  const TuningDatabase database = TuningDatabase::open(path);
  EXPECT_EQ(database.set_aside(), "");
  EXPECT_THAT(database.records(), ElementsAre(sample_record(0)));
  EXPECT_THAT(database.keys(), SizeIs(5));
  EXPECT_FALSE(database.record(sample_key(2)));
  EXPECT_THAT(database.records_of(sample_key(2).descriptor), IsEmpty());
  EXPECT_THAT(database.trials(sample_key()), SizeIs(1));
  ASSERT_THAT(database.rounds(sample_key()), SizeIs(1));
  EXPECT_EQ(database.rounds(sample_key()).front().sm_clock_mhz, 2);
}

TEST(TuningDatabase, IsOneFileForItsUserAloneInFoldersThatAreMade) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("a/b/tuning.db");
  const mode_t mask = umask(0);
  TuningDatabase database = TuningDatabase::open(path);
  umask(mask);
  database.save(sample_record());
  EXPECT_THAT(names_in(scratch.file("a/b")), ElementsAre("tuning.db"));
  struct stat status{};
  stat(path.c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  stat(scratch.file("a").c_str(), &status);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
}

TEST(TuningDatabase, OpensPathsThatSqliteWouldReadAsSomethingElse) {
  const MemoryDirectory scratch;
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(scratch.path());
  for (const char* path : {":memory:", "file:x?mode=memory", "with space?", "relative.db"}) {
    TuningDatabase::open(path).save(sample_record());
    EXPECT_TRUE(TuningDatabase::open_read_only(path).record(sample_key())) << path;
    EXPECT_TRUE(std::filesystem::exists(scratch.file(path))) << path;
  }
  std::filesystem::current_path(before);
}

TEST(TuningDatabase, ReadOnlyWritesNothingBesideTheFile) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase::open(path).save(sample_record());
  const std::string content = read_file(path);
  const auto written = std::filesystem::last_write_time(path);
  TuningDatabase database = TuningDatabase::open_read_only(path);
  EXPECT_TRUE(database.record(sample_key()));
  EXPECT_THAT(database.records_of(sample_key().descriptor), SizeIs(1));
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("tuning.db"));
  expect_error(ErrorCode::kStorage, path, [&] { database.save(sample_record(1)); });
  EXPECT_EQ(read_file(path), content);
  EXPECT_EQ(std::filesystem::last_write_time(path), written);
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("tuning.db"));
}

TEST(TuningDatabase, ReadOnlyNeedsAFileAndAnEmptyOneHasNoAnswers) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  expect_error(ErrorCode::kNotFound, path, [&] { TuningDatabase::open_read_only(path); });
  EXPECT_THAT(names_in(scratch.path()), IsEmpty());
  write_file(path, "");
  EXPECT_FALSE(TuningDatabase::open_read_only(path).record(sample_key()));
  EXPECT_EQ(read_file(path), "");
  TuningDatabase::open(path).save(sample_record());
  EXPECT_TRUE(TuningDatabase::open_read_only(path).record(sample_key()));
}

TEST(TuningDatabase, AReaderSeesWhatIsSavedAfterItOpened) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase writer = TuningDatabase::open(path);
  const TuningDatabase reader = TuningDatabase::open_read_only(path);
  EXPECT_FALSE(reader.record(sample_key()));
  writer.save(sample_record());
  EXPECT_TRUE(reader.record(sample_key()));
}

TEST(TuningDatabase, WhatIsNotOursIsRefusedAndLeftAsItIs) {
  const MemoryDirectory scratch;
  const std::string text = scratch.file("text"), foreign = scratch.file("foreign.db"), folder = scratch.file("folder"),
                    fifo = scratch.file("fifo"), dangling = scratch.file("dangling");
  write_file(text, "some notes\n");
  ask_sqlite(foreign, "CREATE TABLE notes(text); INSERT INTO notes VALUES('mine')");
  std::filesystem::create_directory(folder);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::filesystem::create_symlink(scratch.file("nowhere"), dangling);
  const auto names = names_in(scratch.path());
  const std::string foreign_content = read_file(foreign);
  for (const std::string& path : {text, foreign, folder, fifo, dangling, std::string("/dev/null"), folder + "/",
                                  folder + "/new/", std::string(), std::string("a\0b", 3)}) {
    expect_error(ErrorCode::kInvalidArgument, "", [&] { TuningDatabase::open(path); });
    if (path != folder + "/new/")
      expect_error(ErrorCode::kInvalidArgument, "", [&] { TuningDatabase::open_read_only(path); });
  }
  EXPECT_EQ(read_file(text), "some notes\n");
  EXPECT_EQ(read_file(foreign), foreign_content);
  EXPECT_EQ(names_in(scratch.path()), names);
  EXPECT_THAT(names_in(folder), IsEmpty());
}

TEST(TuningDatabase, ALinkToOursIsFollowed) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db"), link = scratch.file("link");
  TuningDatabase::open(path);
  std::filesystem::create_symlink("tuning.db", link);
  TuningDatabase::open(link).save(sample_record());
  EXPECT_TRUE(TuningDatabase::open_read_only(path).record(sample_key()));
}

TEST(TuningDatabase, OfANewerLibraryIsRefusedWithBothVersions) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase::open(path);
  ask_sqlite(path, "PRAGMA user_version=7");
  const std::string content = read_file(path);
  for (const auto& open : {&TuningDatabase::open, &TuningDatabase::open_read_only}) {
    expect_error(ErrorCode::kInvalidArgument, "version 7", [&] { open(path); });
    expect_error(ErrorCode::kInvalidArgument, "up to version 1", [&] { open(path); });
  }
  EXPECT_EQ(read_file(path), content);
}

TEST(TuningDatabase, OneInWalModeBecomesOneFileAgain) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase::open(path).save(sample_record());
  EXPECT_EQ(ask_sqlite(path, "PRAGMA journal_mode=WAL"), "wal");
  TuningDatabase database = TuningDatabase::open(path);
  EXPECT_TRUE(database.record(sample_key()));
  EXPECT_THAT(names_in(scratch.path()), ElementsAre("tuning.db"));
}

TEST(TuningDatabase, AFileThatWasRemovedMeanwhileIsMadeAnew) {
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  TuningDatabase database = TuningDatabase::open(path);
  database.save(sample_record());
  std::filesystem::remove(path);
  database.save(sample_record(1));
  EXPECT_TRUE(database.record(sample_key(1)));
  EXPECT_TRUE(TuningDatabase::open_read_only(path).record(sample_key(1)));
}

/// Runs it as a user whom permissions bind, in a child: its value, or 99 for an exception that it lets out.
int as_ordinary_user(const std::function<int()>& call) {
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(98);
    try {
      _exit(call());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      _exit(99);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// 0 for an Error{kStorage} that names the path and says what to do.
int judge_storage_error(const std::string& path, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    std::printf("%s\n  %s\n", error.what(), error.hint().c_str());
    return error.code() != ErrorCode::kStorage                         ? 1
           : error.hint().empty()                                      ? 2
           : std::string(error.what()).find(path) == std::string::npos ? 3
                                                                       : 0;
  }
  return 4;
}

TEST(TuningDatabase, WhatPermissionsForbidIsAStorageErrorWithThePath) {
  const MemoryDirectory scratch;
  const std::string folder = scratch.file("folder"), path = folder + "/tuning.db";
  TuningDatabase::open(path).save(sample_record());
  std::filesystem::permissions(scratch.path(), std::filesystem::perms(0755));
  const auto permit = [&](int of_folder, int of_file) {
    std::filesystem::permissions(folder, std::filesystem::perms(of_folder));
    std::filesystem::permissions(path, std::filesystem::perms(of_file));
  };
  const auto opens = [&] { return judge_storage_error(path, [&] { TuningDatabase::open(path); }); };
  const auto reads = [&] { return TuningDatabase::open_read_only(path).record(sample_key()) ? 0 : 1; };
  const auto writes = [&] {
    return judge_storage_error(path, [&] { TuningDatabase::open(path).save(sample_record(1)); });
  };
  permit(0555, 0444);
  EXPECT_EQ(as_ordinary_user(opens), 0) << "a read-only file";
  EXPECT_EQ(as_ordinary_user(reads), 0) << "a read-only file";
  permit(0555, 0666);
  EXPECT_EQ(as_ordinary_user(writes), 0) << "a read-only folder";
  EXPECT_EQ(as_ordinary_user(reads), 0) << "a read-only folder";
  permit(0777, 0000);
  EXPECT_EQ(as_ordinary_user(opens), 0) << "a file that may not be read";
  permit(0555, 0666);
  EXPECT_EQ(
      as_ordinary_user([&] { return judge_storage_error(folder, [&] { TuningDatabase::open(folder + "/new.db"); }); }),
      0);
  EXPECT_EQ(as_ordinary_user(
                [&] { return judge_storage_error(folder, [&] { TuningDatabase::open(folder + "/below/new.db"); }); }),
            0);
  EXPECT_EQ(judge_storage_error(path, [&] { TuningDatabase::open(path + "/below.db"); }), 0) << "below a file";
  permit(0700, 0600);
}

TEST(TuningDatabase, AMergeKeepsTheLaterOfTwoAnswers) {
  const MemoryDirectory scratch;
  TuningDatabase database = TuningDatabase::open(scratch.file("tuning.db"));
  const auto dated = [](int key, const char* date, double seconds) {
    TuningRecord record = sample_record(key);
    record.provenance.date = date;
    record.seconds = seconds;
    return record;
  };
  const TuningRecord old = dated(0, "2026-01-01T00:00:00Z", 1), late = dated(1, "2026-12-31T23:59:59Z", 1);
  database.save(old);
  database.save(late);
  const TuningRecord newer = dated(0, "2026-01-01T00:00:01Z", 2), older = dated(1, "2026-12-31T23:59:58Z", 2);
  const TuningRecord rival = dated(1, "2026-12-31T23:59:59Z", 3), added = dated(2, "2020-01-01T00:00:00Z", 2);
  const TuningImport result = database.merge({newer, older, rival, late, added});
  EXPECT_EQ(result.records, 3);
  ASSERT_THAT(result.passed_over, SizeIs(2));
  EXPECT_THAT(result.passed_over[0], HasSubstr("2026-12-31T23:59:58Z"));
  EXPECT_THAT(result.passed_over[0], HasSubstr("2026-12-31T23:59:59Z"));
  EXPECT_EQ(database.record(sample_key(0)), newer);
  EXPECT_EQ(database.record(sample_key(1)), late);
  EXPECT_EQ(database.record(sample_key(2)), added);
}

TEST(TuningDatabase, FindsOneOfTenThousandAnswersSoonAfterItIsOpened) {
  using Clock = std::chrono::steady_clock;
  const MemoryDirectory scratch;
  const std::string path = scratch.file("tuning.db");
  std::vector<TuningRecord> records;
  for (int i = 0; i < 10'000; ++i) records.push_back(sample_record(i));
  TuningDatabase::open(path).merge(records);
  const auto microseconds_of = [](const auto& call) {
    const auto start = Clock::now();
    call();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  };
  std::vector<double> firsts, lists, seconds;
  for (int i = 0; i < 101; ++i) {
    const TuningKey key = sample_key(97 * i);
    std::optional<TuningDatabase> database;
    firsts.push_back(microseconds_of([&] {
      database.emplace(TuningDatabase::open_read_only(path));
      EXPECT_TRUE(database->record(key));
    }));
    seconds.push_back(microseconds_of([&] { EXPECT_TRUE(database->record(sample_key(50 * i + 1))); }));
    lists.push_back(microseconds_of(
        [&] { EXPECT_THAT(TuningDatabase::open_read_only(path).records_of(key.descriptor), SizeIs(100)); }));
  }
  const double very_first = firsts.front();
  const double checked = microseconds_of([&] { TuningDatabase::open(path); });
  const auto median = [](std::vector<double>& times) {
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    return times[times.size() / 2];
  };
  std::printf(
      "10,000 answers, %ju KB: opening and the first look-up %.0f us (the very first %.0f us), the next %.0f us; "
      "opening and the 100 of a descriptor %.0f us; opening for writing, with its check, %.0f us\n",
      static_cast<std::uintmax_t>(std::filesystem::file_size(path) >> 10), median(firsts), very_first, median(seconds),
      median(lists), checked);
  EXPECT_LT(median(firsts), 5000);
  EXPECT_LT(median(lists), 50'000);
}

}  // namespace
}  // namespace flashmask
