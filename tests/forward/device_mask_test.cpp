// Masks that the device writes, against the builders on the host, value by value.

#include "flashmask/device_masks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "flashmask/mask_builders.h"
#include "flashmask/runtime.h"
#include "tests/forward/tested_device.h"

namespace flashmask::forward_tests {
namespace {

using device_masks::CumulativeLengths;
using device_masks::DocumentIds;
using device_masks::Extents;
using device_masks::Output;

constexpr int kGuard = 64;                    // ints before and behind the output
constexpr std::int32_t kPoison = 0x5a5a5a5a;  // what they hold

DeviceBuffer upload(std::span<const std::int32_t> values) {
  const std::shared_ptr<Device>& device = tested_runtime().device();
  DeviceBuffer buffer(device, values.size_bytes());
  device->copy_to_device(buffer.get(), std::as_bytes(values), nullptr);
  return buffer;
}

/// Memory of a mask amid memory that must not change, and what a builder left in it.
class Written {
 public:
  Written(MaskForm form, const Extents& extents)
      : bytes_(device_masks::bytes_needed(form, extents)),
        buffer_(upload(std::vector<std::int32_t>(bytes_ / 4 + 2 * kGuard, kPoison))) {}

  Output output() const { return {buffer_.get() + kGuard * 4, bytes_}; }

  std::vector<std::int32_t> values() const {
    std::vector<std::int32_t> all(bytes_ / 4 + 2 * kGuard);
    tested_runtime().device()->copy_to_host(std::as_writable_bytes(std::span(all)), buffer_.get(), nullptr);
    const auto is_poison = [](std::int32_t value) { return value == kPoison; };
    EXPECT_TRUE(std::all_of(all.begin(), all.begin() + kGuard, is_poison)) << "something before the mask was written";
    EXPECT_TRUE(std::all_of(all.end() - kGuard, all.end(), is_poison)) << "something behind the mask was written";
    return {all.begin() + kGuard, all.end() - kGuard};
  }

 private:
  std::size_t bytes_;
  DeviceBuffer buffer_;
};

/// Lengths of documents for each batch entry.
using Documents = std::vector<std::vector<int>>;

std::vector<std::int32_t> sums_of(const Documents& batch) {
  // Rows as long as the longest; shorter ones repeat their last sum.
  std::size_t most = 0;
  for (const std::vector<int>& lengths : batch) most = std::max(most, lengths.size());
  std::vector<std::int32_t> sums;
  for (const std::vector<int>& lengths : batch) {
    sums.push_back(0);
    for (std::size_t n = 0; n < most; ++n) sums.push_back(sums.back() + (n < lengths.size() ? lengths[n] : 0));
  }
  return sums;
}

std::vector<std::int32_t> host_values(MaskForm form, const Extents& extents, const Documents& batch) {
  std::vector<std::int32_t> values;
  for (const std::vector<int>& lengths : batch) {
    const masks::SequenceLengths both(extents.seqlen_q, extents.seqlen_k);
    const Mask mask = form == MaskForm::kC1 ? masks::causal_documents(both, lengths) : masks::documents(both, lengths);
    values.insert(values.end(), mask.startend_row_indices().begin(), mask.startend_row_indices().end());
  }
  return values;
}

MaskShape shape_of(MaskForm form, const Extents& extents) {
  return {.form = form, .batch = extents.batch, .seqlen_q = extents.seqlen_q, .seqlen_k = extents.seqlen_k};
}

std::vector<std::int32_t> device_values(MaskForm form, const Extents& extents, std::span<const std::int32_t> sums) {
  const DeviceBuffer source = upload(sums);
  const Written written(form, extents);
  const CumulativeLengths lengths{source.get(), static_cast<int>(sums.size()) / extents.batch - 1};
  const MaskShape shape = form == MaskForm::kC1
                              ? device_masks::causal_documents(tested_runtime(), extents, lengths, written.output())
                              : device_masks::documents(tested_runtime(), extents, lengths, written.output());
  EXPECT_EQ(shape, shape_of(form, extents));
  return written.values();
}

std::vector<std::int32_t> device_values_by_ids(MaskForm form, const Extents& extents,
                                               std::span<const std::int32_t> ids) {
  const DeviceBuffer source = upload(ids);
  const Written written(form, extents);
  const MaskShape shape =
      form == MaskForm::kC1
          ? device_masks::causal_documents(tested_runtime(), extents, DocumentIds{source.get()}, written.output())
          : device_masks::documents(tested_runtime(), extents, DocumentIds{source.get()}, written.output());
  EXPECT_EQ(shape, shape_of(form, extents));
  return written.values();
}

int random_length(std::mt19937_64& random, int most) {
  return 1 + static_cast<int>(random() % static_cast<std::uint64_t>(most));
}

/// Documents that fill seqlen keys: few or many, some of one token.
std::vector<int> random_documents(std::mt19937_64& random, int seqlen) {
  const int most = random() % 3 == 0 ? 3 : random_length(random, seqlen);
  std::vector<int> lengths;
  for (int left = seqlen; left > 0; left -= lengths.back())
    lengths.push_back(random() % 5 == 0 ? 1 : std::min(left, random_length(random, most)));
  return lengths;
}

/// Lengths around the chunks of a CTA, and any other.
int random_seqlen(std::mt19937_64& random) {
  switch (random() % 4) {
    case 0:
      return random_length(random, 40);
    case 1:
      return 1024 * random_length(random, 3) + static_cast<int>(random() % 5) - 2;
    default:
      return random_length(random, 2500);
  }
}

Extents random_extents(std::mt19937_64& random) {
  Extents extents{.batch = random_length(random, 3), .seqlen_q = 0, .seqlen_k = random_seqlen(random)};
  extents.seqlen_q = random() % 2 ? extents.seqlen_k : random_length(random, extents.seqlen_k);
  return extents;
}

constexpr MaskForm kForms[] = {MaskForm::kC1, MaskForm::kF2};

TEST(DeviceMasks, FromHundredsOfCumulativeLengthsAreTheHosts) {
  std::mt19937_64 random(20260201);
  for (int n = 0; n < 300; ++n) {
    const Extents extents = random_extents(random);
    Documents batch;
    for (int b = 0; b < extents.batch; ++b) batch.push_back(random_documents(random, extents.seqlen_k));
    for (const MaskForm form : kForms)
      ASSERT_EQ(device_values(form, extents, sums_of(batch)), host_values(form, extents, batch))
          << "case " << n << ", form " << to_string(form) << ", " << extents.batch << " x " << extents.seqlen_q << " x "
          << extents.seqlen_k;
  }
}

TEST(DeviceMasks, FromHundredsOfDocumentIdsAreTheHosts) {
  std::mt19937_64 random(20260202);
  for (int n = 0; n < 300; ++n) {
    const Extents extents = random_extents(random);
    Documents batch;
    std::vector<std::int32_t> ids;
    for (int b = 0; b < extents.batch; ++b) {
      // Any values, few of them: ids come again, and neighbouring documents may become one.
      std::vector<std::int32_t> own;
      for (const int length : random_documents(random, extents.seqlen_k))
        own.insert(own.end(), static_cast<std::size_t>(length), static_cast<std::int32_t>(random() % 3) * -0x40000000);
      batch.push_back(masks::lengths_from_ids(own));
      ids.insert(ids.end(), own.begin(), own.end());
    }
    for (const MaskForm form : kForms)
      ASSERT_EQ(device_values_by_ids(form, extents, ids), host_values(form, extents, batch))
          << "case " << n << ", form " << to_string(form) << ", " << extents.batch << " x " << extents.seqlen_q << " x "
          << extents.seqlen_k;
  }
}

TEST(DeviceMasks, OfOneDocumentAndOfDocumentsOfOneTokenAreTheHosts) {
  for (const int seqlen : {1, 2, 31, 32, 33, 1023, 1024, 1025, 3000}) {
    const Extents extents{.batch = 2, .seqlen_q = seqlen, .seqlen_k = seqlen};
    const Documents batch{{seqlen}, std::vector<int>(static_cast<std::size_t>(seqlen), 1)};
    std::vector<std::int32_t> ids(static_cast<std::size_t>(seqlen), 7);
    for (int i = 0; i < seqlen; ++i) ids.push_back(i);
    for (const MaskForm form : kForms) {
      EXPECT_EQ(device_values(form, extents, sums_of(batch)), host_values(form, extents, batch)) << seqlen;
      EXPECT_EQ(device_values_by_ids(form, extents, ids), host_values(form, extents, batch)) << seqlen;
    }
  }
}

TEST(DeviceMasks, Of128ThousandTokensAreTheHosts) {
  constexpr int kTokens = 128 * 1024;
  const Extents extents{.batch = 1, .seqlen_q = kTokens, .seqlen_k = kTokens};
  // Long documents, whose boundaries are far from most chunks, and some of a few tokens.
  const Documents batch{{50000, 3, 1, 40000, 20, kTokens - 90024}};
  std::vector<std::int32_t> ids;
  for (std::size_t n = 0; n < batch[0].size(); ++n)
    ids.insert(ids.end(), static_cast<std::size_t>(batch[0][n]), static_cast<std::int32_t>(n));
  for (const MaskForm form : kForms) {
    const std::vector<std::int32_t> wanted = host_values(form, extents, batch);
    EXPECT_TRUE(device_values(form, extents, sums_of(batch)) == wanted) << to_string(form);
    EXPECT_TRUE(device_values_by_ids(form, extents, ids) == wanted) << to_string(form);
  }
}

TEST(DeviceMasks, HandBoundariesOverMoreChunksThanAWarpHasLanes) {
  // 70 chunks for `carry`: boundaries in some of them, none in most.
  constexpr int kTokens = 70 * 1024 + 17;
  std::mt19937_64 random(3);
  for (int n = 0; n < 4; ++n) {
    const Extents extents{.batch = 1, .seqlen_q = 5000, .seqlen_k = kTokens};
    const Documents batch{random_documents(random, kTokens)};
    std::vector<std::int32_t> ids;
    for (std::size_t d = 0; d < batch[0].size(); ++d)
      ids.insert(ids.end(), static_cast<std::size_t>(batch[0][d]), static_cast<std::int32_t>(d));
    EXPECT_TRUE(device_values_by_ids(MaskForm::kF2, extents, ids) == host_values(MaskForm::kF2, extents, batch));
  }
}

/// What device_masks.h promises of any sums: those inside of the keys are boundaries, in any order.
std::vector<int> lengths_of_any(std::span<const std::int32_t> sums, int seqlen_k) {
  std::set<int> boundaries{0, seqlen_k};
  for (const std::int32_t sum : sums)
    if (sum > 0 && sum < seqlen_k) boundaries.insert(sum);
  std::vector<int> lengths;
  for (auto at = std::next(boundaries.begin()); at != boundaries.end(); ++at) lengths.push_back(*at - *std::prev(at));
  return lengths;
}

TEST(DeviceMasks, OfHostileCumulativeLengthsAreWhatIsPromised) {
  std::mt19937_64 random(20260203);
  for (int n = 0; n < 200; ++n) {
    const Extents extents = random_extents(random);
    const int documents = random_length(random, 40);
    std::vector<std::int32_t> sums;
    Documents batch;
    for (int b = 0; b < extents.batch; ++b) {
      std::vector<std::int32_t> own;
      for (int d = 0; d <= documents; ++d) {
        switch (random() % 6) {
          case 0:
            own.push_back(random() % 2 ? std::numeric_limits<std::int32_t>::max()
                                       : std::numeric_limits<std::int32_t>::min());
            break;
          case 1:
            own.push_back(-random_length(random, 3000));
            break;
          case 2:
            own.push_back(extents.seqlen_k + static_cast<int>(random() % 3) - 1);
            break;
          case 3:
            own.push_back(static_cast<std::int32_t>(random()));
            break;
          default:
            own.push_back(random_length(random, extents.seqlen_k));
        }
      }
      batch.push_back(lengths_of_any(own, extents.seqlen_k));
      sums.insert(sums.end(), own.begin(), own.end());
    }
    for (const MaskForm form : kForms)
      ASSERT_EQ(device_values(form, extents, sums), host_values(form, extents, batch))
          << "case " << n << ", form " << to_string(form) << ", " << extents.batch << " x " << extents.seqlen_q << " x "
          << extents.seqlen_k;
  }
}

TEST(DeviceMasks, KeysBehindTheLastSumAreADocumentOfTheirOwn) {
  const Extents extents{.batch = 1, .seqlen_q = 10, .seqlen_k = 10};
  const std::vector<std::int32_t> sums{0, 3, 7, 7, 7};
  EXPECT_EQ(device_values(MaskForm::kF2, extents, sums), host_values(MaskForm::kF2, extents, {{3, 4, 3}}));
}

/// Bounds of windows: small, about the lengths, at the end of int.
int random_bound(std::mt19937_64& random, int least, const Extents& extents) {
  switch (random() % 4) {
    case 0:
      return std::numeric_limits<int>::max() - static_cast<int>(random() % 2);
    case 1:
      return least + static_cast<int>(random() % 4);
    default:
      return random_length(random, extents.seqlen_q + extents.seqlen_k);
  }
}

TEST(DeviceMasks, OfWindowsAreTheHostsForAnyLengths) {
  std::mt19937_64 random(20260204);
  for (int n = 0; n < 300; ++n) {
    Extents extents = random_extents(random);
    if (random() % 3 == 0) extents.seqlen_q = random_length(random, 2500);  // maybe more queries than keys
    const masks::SequenceLengths both(extents.seqlen_q, extents.seqlen_k);
    const auto repeated = [&](const Mask& mask) {
      std::vector<std::int32_t> values;
      for (int b = 0; b < extents.batch; ++b)
        values.insert(values.end(), mask.startend_row_indices().begin(), mask.startend_row_indices().end());
      return values;
    };
    const int window = random_bound(random, 1, extents);
    const Written sliding(MaskForm::kC1, extents);
    EXPECT_EQ(device_masks::sliding_window(tested_runtime(), extents, window, sliding.output()),
              shape_of(MaskForm::kC1, extents));
    ASSERT_EQ(sliding.values(), repeated(masks::sliding_window(both, window)))
        << "window " << window << ", " << extents.seqlen_q << " x " << extents.seqlen_k;

    const int left = random_bound(random, -1, extents), right = random_bound(random, -1, extents);
    const CausalAlignment alignment = random() % 2 ? CausalAlignment::kTopLeft : CausalAlignment::kBottomRight;
    const Written intervals(MaskForm::kF2, extents);
    EXPECT_EQ(device_masks::window_as_intervals(tested_runtime(), extents, left, right, alignment, intervals.output()),
              shape_of(MaskForm::kF2, extents));
    ASSERT_EQ(intervals.values(), repeated(masks::window_as_intervals(both, left, right, alignment)))
        << "window " << left << ", " << right << " " << to_string(alignment) << ", " << extents.seqlen_q << " x "
        << extents.seqlen_k;
  }
}

TEST(DeviceMasks, AreTheSameWhenTheyAreWrittenAgainOverThemselves) {
  // Chunks leave notes in the memory of the mask: what was there before must not matter.
  const Extents extents{.batch = 2, .seqlen_q = 2500, .seqlen_k = 2500};
  std::vector<std::int32_t> ids(5000);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i / 700);
  const DeviceBuffer source = upload(ids);
  const Written written(MaskForm::kF2, extents);
  device_masks::documents(tested_runtime(), extents, DocumentIds{source.get()}, written.output());
  const std::vector<std::int32_t> first = written.values();
  device_masks::documents(tested_runtime(), extents, DocumentIds{source.get()}, written.output());
  EXPECT_EQ(written.values(), first);
}

}  // namespace
}  // namespace flashmask::forward_tests
