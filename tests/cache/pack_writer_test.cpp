#include "cache/pack_writer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <stdexcept>

#include "faulty_file_system.h"
#include "pack_samples.h"

namespace flashmask::cache {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PackWriter, EqualContentGivesEqualBytesInWhateverOrderItIsNamed) {
  const SampleEntries entries = sample_entries();
  const std::string first = pack_text(entries);
  const ScratchDirectory scratch;
  std::vector<PackName> names = entries.names();
  std::reverse(names.begin(), names.end());
  AtomicFile file(FileSystem::real(), AT_FDCWD, scratch.path() + "/pack");
  const PackSize size = write_pack(file, names, entries);
  ASSERT_EQ(file.commit(), 0);
  EXPECT_EQ(read_file(scratch.path() + "/pack"), first);
  EXPECT_EQ(size.entries, 3u);
  EXPECT_EQ(size.bytes, first.size());
}

TEST(PackWriter, HoldsOneEntryAtATime) {
  const SampleEntries entries = sample_entries();
  std::vector<std::weak_ptr<int>> alive;
  std::size_t most = 0;
  const EntrySource source = [&](const PackName& name) {
    const EntryView view = sample_entry(name.digest, name.tag);
    const std::vector<std::byte> encoded = encode(view);
    const auto token = std::make_shared<int>();
    auto* bytes = new std::byte[encoded.size()];
    std::memcpy(bytes, encoded.data(), encoded.size());
    alive.push_back(token);
    most = std::max<std::size_t>(
        most, std::count_if(alive.begin(), alive.end(), [](const auto& weak) { return !weak.expired(); }));
    const std::shared_ptr<const std::byte[]> shared(bytes, [token](const std::byte* held) { delete[] held; });
    return std::get<Entry>(decode(shared, encoded.size()));
  };
  const ScratchDirectory scratch;
  AtomicFile file(FileSystem::real(), AT_FDCWD, scratch.path() + "/pack");
  write_pack(file, entries.names(), source);
  EXPECT_EQ(alive.size(), 6u);
  EXPECT_EQ(most, 1u);
}

TEST(PackWriter, DropsTheSectionsThatAreNotWanted) {
  const SampleEntries entries = sample_entries();
  const std::string whole = pack_text(entries);
  const std::string text = pack_text(entries, {.drop_sections = {"ptx", "not-there"}, .progress = {}});
  EXPECT_LT(text.size(), whole.size());
  const PackInMemory pack(text);
  ASSERT_TRUE(pack.opening().pack) << pack.opening().refusal;
  for (const PackRecord& record : pack->records()) {
    const LookupResult found = pack->read(record);
    ASSERT_TRUE(found) << found.detail;
    EXPECT_FALSE(found.entry->section("ptx"));
    EXPECT_EQ(text_of(found.entry->section("cubin").value()),
              text_of(entries({record.digest, record.tag}).section("cubin").value()));
    EXPECT_EQ(found.entry->metadata(), entries({record.digest, record.tag}).metadata());
  }
}

TEST(PackWriter, TellsHowFarItIs) {
  std::vector<std::string> steps;
  pack_text(sample_entries(), {.drop_sections = {}, .progress = [&](std::size_t done, std::size_t all) {
                                 steps.push_back(fmt::format("{}/{}", done, all));
                               }});
  EXPECT_THAT(steps, ElementsAre("1/6", "2/6", "3/6", "4/6", "5/6", "6/6"));
}

TEST(PackWriter, WhoStopsAtAnyStepLeavesNothingBehind) {
  const SampleEntries entries = sample_entries();
  for (std::size_t stop = 1; stop <= 6; ++stop) {
    const ScratchDirectory scratch;
    const PackOptions options{.drop_sections = {}, .progress = [&](std::size_t done, std::size_t) {
                                if (done == stop) throw std::runtime_error("stop");
                              }};
    EXPECT_THROW(write_to(scratch.path() + "/pack", entries, options), std::runtime_error);
    EXPECT_THAT(scratch.files(), IsEmpty()) << stop;
  }
}

TEST(PackWriter, AFailureOfAnyCallLeavesThePackOfBeforeAndNothingElse) {
  const SampleEntries entries = sample_entries();
  FaultyFileSystem none(0, 0, FaultyFileSystem::Mode::kOnce);
  {
    const ScratchDirectory scratch;
    AtomicFile file(none, AT_FDCWD, scratch.path() + "/pack");
    write_pack(file, entries.names(), entries);
    ASSERT_EQ(file.commit(), 0);
  }
  EXPECT_GT(none.calls(), 10);
  for (int position = 1; position <= none.calls(); ++position) {
    const ScratchDirectory scratch;
    write_file(scratch.path() + "/pack", "the one before");
    FaultyFileSystem files(position, ENOSPC, FaultyFileSystem::Mode::kOnce);
    int error = 0;
    {
      AtomicFile file(files, AT_FDCWD, scratch.path() + "/pack");
      write_pack(file, entries.names(), entries);
      error = file.commit();
    }
    const std::string content = read_file(scratch.path() + "/pack");
    EXPECT_EQ(files.open_descriptors(), 0u);
    EXPECT_THAT(scratch.files(), ElementsAre("pack")) << files.failed_call();
    if (error)
      EXPECT_EQ(content, "the one before") << files.failed_call();
    else
      EXPECT_EQ(content, pack_text(entries)) << files.failed_call();
  }
}

TEST(PackWriter, AnEntryNamedTwiceIsRefused) {
  const SampleEntries entries = sample_entries();
  const ScratchDirectory scratch;
  AtomicFile file(FileSystem::real(), AT_FDCWD, scratch.path() + "/pack");
  std::vector<PackName> names = entries.names();
  names.push_back(names.front());
  EXPECT_THROW(write_pack(file, names, entries), PackError);
}

TEST(PackWriter, MoreEntriesThanTheLimitAreRefusedBeforeAnyIsRead) {
  const ScratchDirectory scratch;
  AtomicFile file(FileSystem::real(), AT_FDCWD, scratch.path() + "/pack");
  std::vector<PackName> names(kMaxPackEntries + 1);
  const EntrySource source = [](const PackName&) -> Entry { throw std::logic_error("asked for"); };
  EXPECT_THROW(write_pack(file, names, source), PackError);
}

TEST(PackWriter, ASourceThatGivesAnotherEntryIsNoticed) {
  const SampleEntries entries = sample_entries();
  const ScratchDirectory scratch;
  const PackName wanted{digest_of("x"), "nvrtc-13.0.88"};
  const EntrySource wrong = [&](const PackName&) { return entries({digest_of("y"), "nvrtc-13.0.88"}); };
  AtomicFile file(FileSystem::real(), AT_FDCWD, scratch.path() + "/pack");
  EXPECT_THROW(write_pack(file, {wanted}, wrong), PackError);
}

TEST(PackWriter, AnEntryThatChangesBetweenTheTwoWalksIsNoticed) {
  SampleEntries before, after;
  before.add(sample_entry(digest_of("x"), kTag, "one"));
  after.add(sample_entry(digest_of("x"), kTag, "two"));
  const ScratchDirectory scratch;
  int asked = 0;
  const EntrySource source = [&](const PackName& name) { return ++asked == 1 ? before(name) : after(name); };
  try {
    AtomicFile file(FileSystem::real(), AT_FDCWD, scratch.path() + "/pack");
    write_pack(file, before.names(), source);
    FAIL() << "nothing was noticed";
  } catch (const PackError& error) {
    EXPECT_THAT(error.what(), HasSubstr("changed while it was packed"));
  }
  EXPECT_THAT(scratch.files(), IsEmpty());
}

}  // namespace
}  // namespace flashmask::cache
