#include "cache/tag_order.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace flashmask::cache {
namespace {

TEST(TagOrder, NumbersCompareAsNumbers) {
  EXPECT_TRUE(is_newer_tag("nvrtc-13.0.88", "nvrtc-13.0.48"));
  EXPECT_TRUE(is_newer_tag("nvrtc-13.0.100", "nvrtc-13.0.88"));
  EXPECT_TRUE(is_newer_tag("nvrtc-13.0.88", "nvrtc-13.0.9"));
  EXPECT_TRUE(is_newer_tag("nvrtc-13.0.1", "nvrtc-12.9.99"));
  EXPECT_TRUE(is_newer_tag("nvrtc-13.0.88", "nvrtc-13.0"));
  EXPECT_FALSE(is_newer_tag("nvrtc-13.0.88", "nvrtc-13.0.88"));
}

TEST(TagOrder, NumbersOfAnyLengthCompare) {
  const std::string huge(60, '9');
  EXPECT_TRUE(is_newer_tag(huge, huge.substr(1)));
  EXPECT_TRUE(is_newer_tag("1" + std::string(50, '0'), std::string(50, '9')));
}

TEST(TagOrder, ItIsATotalOrderAndEqualOnlyForEqualText) {
  const std::vector<std::string> tags = {"",     "0",       "00",       "01",  "1",   "1.0", "1.00",  "1.0.0",  "1-rc1",
                                         "1a",   "2",       "02",       "10",  "010", "a",   "a-",    "a0",     "a00",
                                         "a1",   "a01",     "ab",       "a.b", "a+b", "a_b", "Z",     "z9",     "z10",
                                         "z010", "nvcc-13", "nvrtc-13", "x-",  "x-0", "x-a", "x--10", "x.10.1", "x.9"};
  for (const std::string& a : tags)
    for (const std::string& b : tags) {
      const auto ab = compare_tags(a, b);
      EXPECT_EQ(ab == 0, a == b) << a << " and " << b;
      EXPECT_EQ(ab > 0, compare_tags(b, a) < 0) << a << " and " << b;
      for (const std::string& c : tags)
        if (ab > 0 && compare_tags(b, c) > 0) {
          EXPECT_TRUE(is_newer_tag(a, c)) << a << " > " << b << " > " << c;
        }
    }
}

TEST(TagOrder, LeadingZerosDecideLast) {
  EXPECT_TRUE(is_newer_tag("nvrtc-13.00.2", "nvrtc-13.0.1"));
  EXPECT_TRUE(is_newer_tag("nvrtc-13.00.1", "nvrtc-13.0.1"));
}

}  // namespace
}  // namespace flashmask::cache
