#include "cache/digest.h"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <utility>

namespace flashmask::cache {
namespace {

TEST(Digest, IsTheSha256OfLengthPrefixedFields) {
  // sha256 of 03 00 00 00 00 00 00 00 'a' 'b' 'c', from Python's hashlib.
  EXPECT_EQ(digest_of("abc").hex(), "ce91dc5eec0139adf091900d225971d6ad246a845bad791b5693a9d0d55dd391");
}

TEST(Digest, MovingAByteBetweenFieldsChangesIt) {
  std::set<Digest> seen;
  seen.insert(DigestBuilder().add("ab").add("c").finish());
  seen.insert(DigestBuilder().add("a").add("bc").finish());
  seen.insert(DigestBuilder().add("abc").finish());
  seen.insert(DigestBuilder().add("abc").add("").finish());
  seen.insert(DigestBuilder().add("").add("abc").finish());
  EXPECT_EQ(seen.size(), 5u);
}

TEST(Digest, EveryBitOfAFieldMatters) {
  const std::string text = "the emitted text";
  std::set<Digest> seen{digest_of(text)};
  for (std::size_t i = 0; i < text.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_TRUE(seen.insert(digest_of(changed)).second);
    }
}

TEST(Digest, EqualFieldsGiveEqualDigests) {
  EXPECT_EQ(DigestBuilder().add("a").add_number(7).finish(), DigestBuilder().add("a").add_number(7).finish());
  EXPECT_NE(DigestBuilder().add_number(7).finish(), DigestBuilder().add_number(8).finish());
}

TEST(Digest, HexGoesThereAndBack) {
  const Digest digest = digest_of("x");
  EXPECT_EQ(digest.hex().size(), 64u);
  EXPECT_EQ(Digest::from_hex(digest.hex()), digest);
}

TEST(Digest, HexIsReadStrictly) {
  const std::string hex = digest_of("x").hex();
  EXPECT_FALSE(Digest::from_hex(""));
  EXPECT_FALSE(Digest::from_hex(hex.substr(1)));
  EXPECT_FALSE(Digest::from_hex(hex + "0"));
  EXPECT_FALSE(Digest::from_hex("G" + hex.substr(1)));
  EXPECT_FALSE(Digest::from_hex("A" + hex.substr(1)));
}

TEST(Digest, AFinishedBuilderRefusesMore) {
  DigestBuilder builder;
  builder.add("a").finish();
  EXPECT_THROW(builder.add("b"), std::logic_error);
  EXPECT_THROW(builder.finish(), std::logic_error);
}

TEST(Digest, AMovedBuilderGoesOn) {
  DigestBuilder first;
  first.add("a");
  DigestBuilder second = std::move(first);
  EXPECT_EQ(second.add("b").finish(), DigestBuilder().add("a").add("b").finish());
}

}  // namespace
}  // namespace flashmask::cache
