// What a pack's bytes may be: every flipped bit, every truncation, and an index whose checksum is right and whose
// content is not.

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <functional>

#include "cache/pack_format.h"
#include "pack_samples.h"

namespace flashmask::cache {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::size_t kEntries = 3;
constexpr std::size_t kTagAt = 32, kOffsetAt = 96, kSizeAt = 104, kEntryChecksumAt = 112;

std::size_t record_at(std::size_t i) {
  return kPackHeadBytes + i * kPackRecordBytes;
}

std::string big_endian(std::uint64_t number) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * (7 - i)));
  return bytes;
}

std::uint64_t number_at(const std::string& text, std::size_t place) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<unsigned char>(text[place + i]);
  return number;
}

/// Whether everything that the pack lists can be read.
bool is_wholly_sound(const PackInMemory& pack) {
  if (!pack.opening().pack) return false;
  for (const PackRecord& record : pack->records())
    if (!pack->read(record)) return false;
  return true;
}

TEST(HostilePack, EveryFlippedBitIsNoticed) {
  const std::string good = pack_text(sample_entries());
  ASSERT_TRUE(is_wholly_sound(PackInMemory(good)));
  for (std::size_t i = 0; i < good.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_FALSE(is_wholly_sound(PackInMemory(bad))) << "byte " << i << " bit " << bit;
    }
}

TEST(HostilePack, AFlippedBitInAnEntryCostsThatEntryAlone) {
  const std::string good = pack_text(sample_entries());
  const std::size_t first = number_at(good, record_at(0) + kOffsetAt);
  for (std::size_t i = first; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    const PackInMemory pack(bad);
    ASSERT_TRUE(pack.opening().pack) << i;
    int lost = 0;
    for (const PackRecord& record : pack->records()) lost += pack->read(record) ? 0 : 1;
    EXPECT_EQ(lost, 1) << i;
  }
}

TEST(HostilePack, EveryTruncationIsNoticedWhenItIsOpened) {
  const std::string good = pack_text(sample_entries());
  for (std::size_t size = 0; size < good.size(); ++size) {
    const PackInMemory pack(std::string_view(good).substr(0, size));
    EXPECT_THAT(pack.opening().refusal, HasSubstr("it is truncated")) << size;
  }
  EXPECT_THAT(PackInMemory(good + '\0').opening().refusal, HasSubstr("length"));
}

TEST(HostilePack, AnotherMagicIsForeign) {
  const PackInMemory pack(
      "\x7f"
      "ELF and whatever else there may be");
  EXPECT_EQ(name_of(pack.opening().reason), "foreign");
  EXPECT_THAT(pack.opening().refusal, AllOf(HasSubstr("sample"), HasSubstr("not a FlashMask pack")));
}

TEST(HostilePack, ANewerVersionIsRefusedNamingBoth) {
  std::string newer = pack_text(sample_entries());
  newer.replace(0, std::string_view("flashmask-pack 1").size(), "flashmask-pack 23");
  const PackInMemory pack(newer);
  EXPECT_EQ(name_of(pack.opening().reason), "other-version");
  EXPECT_THAT(pack.opening().refusal,
              AllOf(HasSubstr("version 23"), HasSubstr("reads version 1"), HasSubstr("newer library")));
}

TEST(HostilePack, HugeCountsAreRefusedBeforeAnythingIsAllocated) {
  const std::string good = pack_text(sample_entries());
  for (const char* count : {"ffffffffffffffff", "8000000000000000", "0200000000000000", "0000000000010001",
                            "0000000000010000", "0000000000000004"}) {
    std::string bad = good;
    bad.replace(kPackCountAt, 16, count);
    EXPECT_EQ(name_of(PackInMemory(bad).opening().reason), "corrupt") << count;
  }
}

TEST(HostilePack, HugeTotalsAreRefused) {
  for (const char* total : {"ffffffffffffffff", "8000000000000000", "0000000400000001", "0000000000000000"}) {
    std::string bad = pack_text(sample_entries());
    bad.replace(std::string_view("flashmask-pack 1 ").size(), 16, total);
    EXPECT_EQ(name_of(PackInMemory(bad).opening().reason), "corrupt") << total;
  }
}

TEST(HostilePack, AnIndexThatIsWrongUnderARightChecksumIsRefused) {
  const std::string good = pack_text(sample_entries());
  ASSERT_TRUE(is_wholly_sound(PackInMemory(resealed(good, kEntries))));
  const std::uint64_t second = number_at(good, record_at(1) + kOffsetAt);
  const std::uint64_t size = number_at(good, record_at(1) + kSizeAt);
  const auto with_number = [](std::size_t place, std::uint64_t number) {
    return [=](std::string& text) { text.replace(place, 8, big_endian(number)); };
  };
  const auto with_text = [](std::size_t place, std::string bytes) {
    return [=](std::string& text) { text.replace(place, bytes.size(), bytes); };
  };
  const std::string first_record = good.substr(record_at(0), kPackRecordBytes);
  const std::string second_record = good.substr(record_at(1), kPackRecordBytes);
  const std::pair<const char*, std::function<void(std::string&)>> changes[] = {
      {"overlaps the entry before", with_number(record_at(1) + kOffsetAt, second - 64)},
      {"leaves a gap", with_number(record_at(1) + kOffsetAt, second + 64)},
      {"is not aligned", with_number(record_at(1) + kOffsetAt, second + 1)},
      {"lies in the index", with_number(record_at(0) + kOffsetAt, 64)},
      {"lies beyond the end", with_number(record_at(2) + kOffsetAt, good.size() + 64)},
      {"has an offset that overflows", with_number(record_at(1) + kOffsetAt, ~std::uint64_t{0} - 63)},
      {"has no bytes", with_number(record_at(1) + kSizeAt, 0)},
      {"has a byte too many", with_number(record_at(2) + kSizeAt, size + 1)},
      {"has a byte too few", with_number(record_at(2) + kSizeAt, size - 1)},
      {"has a size over the limit", with_number(record_at(1) + kSizeAt, kMaxEntryBytes + 1)},
      {"has a size that overflows", with_number(record_at(1) + kSizeAt, ~std::uint64_t{0})},
      {"is there twice", with_text(record_at(1), first_record)},
      {"is out of order", with_text(record_at(0), second_record + first_record)},
      {"has a tag that leaves the directory", with_text(record_at(0) + kTagAt, "../../x")},
      {"has an empty tag", with_text(record_at(0) + kTagAt, std::string(64, '\0'))},
      {"has something behind the tag", with_text(record_at(0) + kTagAt + 60, "x")},
  };
  for (const auto& [what, change] : changes) {
    std::string bad = good;
    change(bad);
    const PackInMemory pack(resealed(bad, kEntries));
    EXPECT_EQ(name_of(pack.opening().reason), "malformed") << what << ": " << pack.opening().refusal;
    EXPECT_FALSE(pack.opening().pack) << what;
  }
}

TEST(HostilePack, AnIndexThatNamesAnotherEntryServesNothing) {
  const std::string good = pack_text(sample_entries());
  std::string other_digest = good;
  other_digest[record_at(2) + 31] = static_cast<char>(other_digest[record_at(2) + 31] ^ 1);
  const PackInMemory renamed(resealed(other_digest, kEntries));
  ASSERT_TRUE(renamed.opening().pack) << renamed.opening().refusal;
  EXPECT_EQ(name_of(renamed->read(renamed->records()[2]).reason), "wrong-name");

  std::string other_checksum = good;
  other_checksum[record_at(2) + kEntryChecksumAt] =
      static_cast<char>(other_checksum[record_at(2) + kEntryChecksumAt] ^ 1);
  const PackInMemory swapped(resealed(other_checksum, kEntries));
  ASSERT_TRUE(swapped.opening().pack) << swapped.opening().refusal;
  EXPECT_EQ(name_of(swapped->read(swapped->records()[2]).reason), "corrupt");
}

}  // namespace
}  // namespace flashmask::cache
