#include "cache/entry.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstdint>
#include <cstring>

#include "scratch_directory.h"

namespace flashmask::cache {
namespace {

std::variant<Entry, EntryDefect> decode_text(std::string_view text) {
  // Exactly as many bytes as there are, so that a sanitizer sees a read beyond them.
  auto bytes = std::make_shared<std::byte[]>(text.size());
  if (!text.empty()) std::memcpy(bytes.get(), text.data(), text.size());
  return decode(bytes, text.size());
}

std::optional<EntryDefect> defect_of(std::string_view text) {
  const auto decoded = decode_text(text);
  if (const auto* defect = std::get_if<EntryDefect>(&decoded)) return *defect;
  return std::nullopt;
}

std::string encoded_sample() {
  return text_of(encode(sample_entry(digest_of("x"))));
}

/// The text with its length and checksum made right: what only a hostile writer would produce.
std::string sealed(std::string content) {
  const std::string total = fmt::format("{:016x}", content.size() + 16);
  content.replace(std::string_view("flashmask-entry 1 ").size(), total.size(), total);
  XXH128_canonical_t checksum;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(content.data(), content.size()));
  return content + std::string(reinterpret_cast<const char*>(checksum.digest), sizeof checksum.digest);
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t place = text.find(from);
  EXPECT_NE(place, std::string::npos) << from;
  return text.replace(place, from.size(), to);
}

TEST(Entry, ComesBackAsItWasWritten) {
  const Digest digest = digest_of("x");
  const auto decoded = decode_text(encoded_sample());
  ASSERT_TRUE(std::holds_alternative<Entry>(decoded));
  const Entry& entry = std::get<Entry>(decoded);
  EXPECT_EQ(entry.digest(), digest);
  EXPECT_EQ(entry.toolchain_tag(), kTag);
  EXPECT_EQ(entry.metadata(), "{\"registers\": 168}");
  ASSERT_EQ(entry.sections().size(), 2u);
  EXPECT_EQ(text_of(entry.section("cubin").value()), "ELF…cubin");
  EXPECT_EQ(text_of(entry.section("ptx").value()), ".version 8.8");
  EXPECT_FALSE(entry.section("sass"));
  EXPECT_EQ(text_of(entry.bytes()), encoded_sample());
}

TEST(Entry, MayHaveNoMetadataNoSectionsAndEmptySections) {
  EXPECT_FALSE(defect_of(text_of(encode({digest_of("x"), "t", "", {}}))));
  const auto decoded =
      decode_text(text_of(encode({digest_of("x"), "t", "", {{"a", {}}, {"b", bytes_of("b")}, {"c", {}}}})));
  ASSERT_TRUE(std::holds_alternative<Entry>(decoded));
  EXPECT_EQ(std::get<Entry>(decoded).section("a")->size(), 0u);
  EXPECT_EQ(text_of(*std::get<Entry>(decoded).section("b")), "b");
}

TEST(Entry, MetadataMayHoldAnythingButNul) {
  const std::string metadata = "data\nsection 0000000000000001 x\n…\n";
  const auto decoded = decode_text(text_of(encode({digest_of("x"), "t", metadata, {{"a", bytes_of("1")}}})));
  ASSERT_TRUE(std::holds_alternative<Entry>(decoded));
  EXPECT_EQ(std::get<Entry>(decoded).metadata(), metadata);
  EXPECT_THROW(encode({digest_of("x"), "t", std::string_view("a\0b", 3), {}}), std::invalid_argument);
}

TEST(Entry, OutlivesTheResultThatItCameIn) {
  std::optional<Entry> copy;
  {
    const auto decoded = decode_text(encoded_sample());
    copy = std::get<Entry>(decoded);
  }
  EXPECT_EQ(text_of(*copy->section("ptx")), ".version 8.8");
}

TEST(Entry, ItsFirstLinesAreReadable) {
  EXPECT_THAT(encoded_sample(),
              ::testing::StartsWith(fmt::format("flashmask-entry 1 {:016x}\ndigest {}\ntoolchain {}\nmetadata "
                                                "0000000000000012\n{{\"registers\": 168}}\nsection ",
                                                encoded_sample().size(), digest_of("x").hex(), kTag)));
}

TEST(Entry, ItsSectionsAreAligned) {
  const std::vector<std::byte> bytes = encode(sample_entry(digest_of("x")));
  const std::shared_ptr<const std::byte[]> shared(bytes.data(), [](const std::byte*) {});
  const Entry entry = std::get<Entry>(decode(shared, bytes.size()));
  for (const SectionView& section : entry.sections())
    EXPECT_EQ((section.bytes.data() - bytes.data()) % static_cast<std::ptrdiff_t>(kSectionAlignment), 0);
}

TEST(Entry, EqualInputGivesEqualBytes) {
  EXPECT_EQ(encoded_sample(), encoded_sample());
}

TEST(Entry, EveryFlippedBitIsNoticed) {
  const std::string good = encoded_sample();
  for (std::size_t i = 0; i < good.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_TRUE(defect_of(bad)) << "byte " << i << " bit " << bit;
    }
}

TEST(Entry, EveryTruncationIsNoticedAsOne) {
  const std::string good = encoded_sample();
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(defect_of(std::string_view(good).substr(0, size)), EntryDefect::kTruncated) << size;
  EXPECT_EQ(defect_of(good + "x"), EntryDefect::kWrongLength);
}

TEST(Entry, AnotherMagicIsForeignAndAnotherVersionIsOther) {
  EXPECT_EQ(defect_of(std::string_view("\x7f"
                                       "ELF")),
            EntryDefect::kForeign);
  EXPECT_EQ(defect_of(replaced(encoded_sample(), "entry 1 ", "entry 2 ")), EntryDefect::kOtherVersion);
}

TEST(Entry, HostileLengthsWithARightChecksumAreRefused) {
  const std::string whole = encoded_sample();
  const std::string good = whole.substr(0, whole.size() - 16);
  ASSERT_FALSE(defect_of(sealed(good)));
  const std::string section = fmt::format("section {:016x} cubin", std::string_view("ELF…cubin").size());
  for (const char* length : {"ffffffffffffffff", "fffffffffffffff0", "8000000000000000", "7fffffffffffffff",
                             "0000000100000000", "0000000000000400", "0000000000000000", "00000000000000a0"}) {
    EXPECT_EQ(defect_of(sealed(replaced(good, section, fmt::format("section {} cubin", length)))),
              EntryDefect::kMalformed)
        << length;
    EXPECT_EQ(defect_of(sealed(replaced(good, "metadata 0000000000000012", fmt::format("metadata {}", length)))),
              EntryDefect::kMalformed)
        << length;
  }
}

TEST(Entry, HostileTotalsAreRefused) {
  for (const char* total : {"ffffffffffffffff", "8000000000000000", "0000000010000001"})
    EXPECT_EQ(defect_of(fmt::format("flashmask-entry 1 {}\n", total)), EntryDefect::kWrongLength) << total;
  EXPECT_EQ(defect_of("flashmask-entry 1 0000000000000000\n"), EntryDefect::kWrongLength);
  EXPECT_EQ(defect_of("flashmask-entry 1 0000000000000023\n"), EntryDefect::kWrongLength);
}

TEST(Entry, HostileStructureWithARightChecksumIsRefused) {
  const std::string whole = encoded_sample();
  const std::string good = whole.substr(0, whole.size() - 16);
  const std::string hex = digest_of("x").hex();
  const std::pair<std::string, std::string> changes[] = {
      {hex, std::string(64, 'G')},
      {"toolchain nvrtc", "toolchain ../rt"},
      {"toolchain nvrtc", "toolchain /vrtc"},
      {"digest ", "Digest "},
      {" cubin\n", " cu/in\n"},
      {" cubin\n", " .ubin\n"},
      {"data\n", "dada\n"},
      {"registers", std::string("reg\0sters", 9)},
      {"section", "Section"},
  };
  for (const auto& [from, to] : changes)
    EXPECT_EQ(defect_of(sealed(replaced(good, from, to))), EntryDefect::kMalformed) << from << " → " << to;
  EXPECT_EQ(defect_of(sealed(good + std::string(64, '\0'))), EntryDefect::kMalformed)
      << "bytes behind the last section";
  std::string padded = good;
  padded.back() = 'x';
  EXPECT_EQ(defect_of(sealed(padded)), EntryDefect::kMalformed) << "padding that is not zero";
  EXPECT_EQ(defect_of(sealed(good.substr(0, 36))), EntryDefect::kMalformed) << "nothing behind the first line";
  EXPECT_EQ(defect_of(sealed(replaced(good, " ptx\n", " cubin\n"))), EntryDefect::kMalformed) << "a name twice";
}

TEST(Entry, MoreSectionsThanTheLimitAreRefusedOnBothSides) {
  EntryView view{digest_of("x"), "t", "", {}};
  std::vector<std::string> names;
  for (std::size_t i = 0; i <= kMaxSections; ++i) names.push_back(fmt::format("s{}", i));
  for (std::size_t i = 0; i < kMaxSections; ++i) view.sections.push_back({names[i], {}});
  std::string most = text_of(encode(view));
  ASSERT_FALSE(defect_of(most));
  view.sections.push_back({names.back(), {}});
  EXPECT_THROW(encode(view), std::invalid_argument);
  // One line more, in bytes.
  const std::size_t data = most.find("data\n");
  std::string one_more = most.substr(0, data) + "section 0000000000000000 s16\ndata\n";
  one_more.resize((one_more.size() + 63) / 64 * 64);
  EXPECT_EQ(defect_of(sealed(one_more)), EntryDefect::kMalformed);
}

TEST(Entry, WhatCannotBeReadBackIsNotWritten) {
  const Digest digest = digest_of("x");
  EXPECT_THROW(encode({digest, "", "", {}}), std::invalid_argument);
  EXPECT_THROW(encode({digest, "a/b", "", {}}), std::invalid_argument);
  EXPECT_THROW(encode({digest, "t", "", {{"a b", {}}}}), std::invalid_argument);
  EXPECT_THROW(encode({digest, "t", "", {{"a", {}}, {"a", {}}}}), std::invalid_argument);
  EXPECT_THROW(encode({digest, "t", std::string(kMaxMetadataBytes + 1, 'm'), {}}), std::invalid_argument);
  const std::span<const std::byte> huge(static_cast<const std::byte*>(nullptr), kMaxEntryBytes + 1);  // never touched
  EXPECT_THROW(encode({digest, "t", "", {{"a", huge}}}), std::invalid_argument);
}

TEST(Name, NeverLeavesADirectory) {
  for (const char* name : {"nvrtc-13.0.88", "a", "A_z+9.b", "13.0"}) EXPECT_TRUE(is_valid_name(name)) << name;
  for (const char* name : {"", ".", "..", "../x", "a/b", "/", ".hidden", "-rf", "a b", "a\n", "ä", "a\\b"})
    EXPECT_FALSE(is_valid_name(name)) << name;
  EXPECT_TRUE(is_valid_name(std::string(kMaxNameBytes, 'a')));
  EXPECT_FALSE(is_valid_name(std::string(kMaxNameBytes + 1, 'a')));
  EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace flashmask::cache
