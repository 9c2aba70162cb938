#include "cache/pack.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "pack_samples.h"

namespace flashmask::cache {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const Digest kDigest = digest_of("x");

TEST(Pack, GivesBackEveryEntryThatWasPacked) {
  const SampleEntries entries = sample_entries();
  const PackInMemory pack(pack_text(entries));
  ASSERT_TRUE(pack.opening().pack) << pack.opening().refusal;
  EXPECT_EQ(pack->records().size(), 3u);
  for (const PackName& name : entries.names()) {
    const LookupResult found = pack->lookup(name.digest, TagPolicy::exact(name.tag));
    ASSERT_TRUE(found) << found.detail;
    EXPECT_EQ(text_of(found.entry->bytes()), text_of(entries(name).bytes()));
  }
}

TEST(Pack, ItsFirstLinesAreReadable) {
  const std::string text = pack_text(sample_entries());
  EXPECT_THAT(text, StartsWith(fmt::format("flashmask-pack 1 {:016x}\nentries 0000000000000003\n", text.size())));
}

TEST(Pack, MayBeEmpty) {
  const PackInMemory pack(pack_text({}));
  ASSERT_TRUE(pack.opening().pack) << pack.opening().refusal;
  EXPECT_EQ(name_of(pack->lookup(kDigest, TagPolicy::any()).reason), "absent");
}

TEST(Pack, AnyToolchainMeansTheGreatestVersion) {
  SampleEntries entries;
  for (const char* tag : {"nvrtc-13.0.9", "nvrtc-13.0.88", "nvrtc-12.9.200"})
    entries.add(sample_entry(kDigest, tag, tag));
  const PackInMemory pack(pack_text(entries));
  EXPECT_EQ(cubin_of(pack->lookup(kDigest, TagPolicy::any())), "nvrtc-13.0.88");
}

TEST(Pack, AnExactToolchainAndAPredicateAreHonoured) {
  const PackInMemory pack(pack_text(sample_entries()));
  EXPECT_EQ(cubin_of(pack->lookup(kDigest, TagPolicy::exact("nvrtc-12.9.1"))), "old");
  EXPECT_EQ(cubin_of(pack->lookup(kDigest, TagPolicy::exact("nvrtc-12.9"))), "(other-toolchain)");
  const auto major = [](std::string_view prefix) {
    return TagPolicy::matching([prefix](std::string_view tag) { return tag.starts_with(prefix); });
  };
  EXPECT_EQ(cubin_of(pack->lookup(kDigest, major("nvrtc-12."))), "old");
  const LookupResult none = pack->lookup(kDigest, major("nvrtc-14."));
  EXPECT_EQ(name_of(none.reason), "other-toolchain");
  EXPECT_THAT(none.detail, AllOf(HasSubstr("sample"), HasSubstr("2 of other toolchains")));
}

TEST(Pack, WhenTheGreatestVersionIsNoGoodTheNextOneIsServed) {
  std::string text = pack_text(sample_entries());
  const std::size_t place = text.find("new");
  ASSERT_NE(place, std::string::npos);
  text[place] = 'N';
  const PackInMemory pack(text);
  EXPECT_EQ(cubin_of(pack->lookup(kDigest, TagPolicy::any())), "old");
  const LookupResult only = pack->lookup(kDigest, TagPolicy::exact("nvrtc-13.0.88"));
  EXPECT_EQ(name_of(only.reason), "corrupt");
  EXPECT_THAT(only.detail, AllOf(HasSubstr("sample"), HasSubstr("nvrtc-13.0.88"), HasSubstr("checksum")));
}

TEST(Pack, WhatTheValidatorRefusesIsAMissWithItsReason) {
  const PackInMemory pack(pack_text(sample_entries()));
  const LookupResult found = pack->lookup(kDigest, TagPolicy::any(), [](const Entry& entry) {
    return entry.toolchain_tag() == "nvrtc-13.0.88" ? std::optional<std::string>("e_flags say sm_80") : std::nullopt;
  });
  EXPECT_EQ(cubin_of(found), "old");
  const LookupResult none = pack->lookup(digest_of("y"), TagPolicy::any(),
                                         [](const Entry&) { return std::optional<std::string>("it is for sm_80"); });
  EXPECT_EQ(name_of(none.reason), "refused");
  EXPECT_THAT(none.detail, HasSubstr("it is for sm_80"));
}

TEST(Pack, EntriesLieInThePackAndAreAligned) {
  const ScratchDirectory scratch;
  write_to(scratch.path() + "/pack", sample_entries());
  const Pack::Opening opening = Pack::open(scratch.path() + "/pack");
  ASSERT_TRUE(opening.pack) << opening.refusal;
  for (const PackRecord& record : opening.pack->records()) {
    const LookupResult found = opening.pack->read(record);
    ASSERT_TRUE(found) << found.detail;
    for (const SectionView& section : found.entry->sections())
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(section.bytes.data()) % kSectionAlignment, 0u);
  }
}

TEST(Pack, MemoryThatIsNotAlignedIsServedFromAlignedCopies) {
  const std::string text = "x" + pack_text(sample_entries());
  const Pack::Opening opening = Pack::from_memory(bytes_of(text).subspan(1), "embedded");
  ASSERT_TRUE(opening.pack) << opening.refusal;
  const LookupResult found = opening.pack->lookup(kDigest, TagPolicy::any());
  EXPECT_EQ(cubin_of(found), "new");
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(found.entry->section("cubin")->data()) % 16, 0u);
}

TEST(Pack, AnEntryOutlivesThePackThatItCameFrom) {
  const ScratchDirectory scratch;
  write_to(scratch.path() + "/pack", sample_entries());
  std::optional<Entry> entry;
  {
    const Pack::Opening opening = Pack::open(scratch.path() + "/pack");
    entry = opening.pack->lookup(kDigest, TagPolicy::any()).entry;
  }
  ASSERT_TRUE(entry);
  EXPECT_EQ(text_of(*entry->section("cubin")), "new");
}

TEST(Pack, ManyThreadsShareAPack) {
  SampleEntries entries;
  for (int i = 0; i < 50; ++i) entries.add(sample_entry(digest_of(std::to_string(i)), kTag, std::to_string(i)));
  const PackInMemory pack(pack_text(entries));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string name = std::to_string((i + t) % 50);
        if (cubin_of(pack->lookup(digest_of(name), TagPolicy::any())) != name) ++wrong;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace flashmask::cache
