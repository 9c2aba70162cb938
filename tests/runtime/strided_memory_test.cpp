#include "runtime/strided_memory.h"

#include <gmock/gmock.h>

#include <random>

namespace flashmask {
namespace {

/// A tensor with its extents, as random tests draw it.
struct Tensor {
  TensorView view;
  int batch = 1, seqlen = 1, heads = 1, head_dim = 8;

  StridedMemory memory() const { return memory_of(view, batch, seqlen, heads, head_dim); }
};

void PrintTo(const Tensor& tensor, std::ostream* stream) {
  *stream << "[" << tensor.batch << ", " << tensor.seqlen << ", " << tensor.heads << ", " << tensor.head_dim << "] at "
          << tensor.view.data << ", strides " << tensor.view.stride_batch << ", " << tensor.view.stride_seqlen << ", "
          << tensor.view.stride_head;
}

/// The definition, row by row.
bool shares_a_byte(const Tensor& a, const Tensor& b) {
  const auto rows_of = [](const Tensor& tensor) {
    std::vector<std::int64_t> rows;
    for (int batch = 0; batch < tensor.batch; ++batch)
      for (int row = 0; row < tensor.seqlen; ++row)
        for (int head = 0; head < tensor.heads; ++head)
          rows.push_back(static_cast<std::int64_t>(tensor.view.data) +
                         2 * (batch * tensor.view.stride_batch + row * tensor.view.stride_seqlen +
                              head * tensor.view.stride_head));
    return rows;
  };
  for (const std::int64_t row_a : rows_of(a))
    for (const std::int64_t row_b : rows_of(b))
      if (row_a < row_b + 2 * b.head_dim && row_b < row_a + 2 * a.head_dim) return true;
  return false;
}

class RandomTensors {
 public:
  explicit RandomTensors(std::uint64_t seed) : random_(seed) {}

  int upto(int most) { return std::uniform_int_distribution(0, most)(random_); }
  bool sometimes() { return upto(3) == 0; }
  Tensor next() {
    const auto stride = [&] { return std::int64_t{8} * (upto(24) - 8); };
    return {{std::uint64_t{100000} + 16 * upto(60), stride(), stride(), stride()},
            1 + upto(2),
            1 + upto(3),
            1 + upto(2),
            8 * (1 + upto(1))};
  }

 private:
  std::mt19937_64 random_;
};

TEST(StridedMemory, WhatIsToldOfRandomTensorsIsSo) {
  RandomTensors random(1);
  int apart = 0, together = 0, unknown = 0;
  for (int i = 0; i < 200000; ++i) {
    const Tensor a = random.next();
    Tensor b = random.next();
    // Most strides agree, as they do within one buffer; some with the other sign.
    if (!random.sometimes()) b.view.stride_batch = a.view.stride_batch;
    if (!random.sometimes()) b.view.stride_seqlen = (random.sometimes() ? -1 : 1) * a.view.stride_seqlen;
    if (!random.sometimes()) b.view.stride_head = a.view.stride_head;
    const Overlap told = overlap_of(a.memory(), b.memory());
    ASSERT_EQ(overlap_of(b.memory(), a.memory()), told)
        << ::testing::PrintToString(a) << " and " << ::testing::PrintToString(b);
    if (told == Overlap::kUnknown) {
      ++unknown;
      continue;
    }
    ASSERT_EQ(told == Overlap::kSome, shares_a_byte(a, b))
        << ::testing::PrintToString(a) << " and " << ::testing::PrintToString(b);
    ++(told == Overlap::kSome ? together : apart);
  }
  EXPECT_GT(apart, 5000);
  EXPECT_GT(together, 5000);
  EXPECT_GT(unknown, 5000);
}

TEST(StridedMemory, TensorsOfOneBufferAreToldApartInEveryOrderOfItsAxes) {
  // Three tensors of [batch, seqlen, heads, 8] share a buffer, with 16 elements of padding behind a batch entry; their
  // axis lies behind the batch, the rows or the heads.
  constexpr int kBatch = 2, kSeqlen = 5, kHeads = 3, kDim = 8;
  constexpr std::int64_t kStep = kDim, kEntry = 3 * kSeqlen * kHeads * kDim + 16;
  struct Layout {
    const char* name;
    std::int64_t apart, seqlen, head;
  };
  for (const Layout& layout : {Layout{"[B, 3, S, H, D]", kSeqlen * kHeads * kStep, kHeads * kStep, kStep},
                               Layout{"[B, 3, H, S, D]", kSeqlen * kHeads * kStep, kStep, kSeqlen * kStep},
                               Layout{"[B, S, 3, H, D]", kHeads * kStep, 3 * kHeads * kStep, kStep},
                               Layout{"[B, S, H, 3, D]", kStep, 3 * kHeads * kStep, 3 * kStep}}) {
    for (const int sign : {1, -1}) {
      const auto part = [&](int index) {
        Tensor tensor{{0, kEntry, sign * layout.seqlen, layout.head}, kBatch, kSeqlen, kHeads, kDim};
        tensor.view.data = 100000 + 2 * (index * layout.apart + (sign < 0 ? (kSeqlen - 1) * layout.seqlen : 0));
        return tensor;
      };
      for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) {
          EXPECT_EQ(shares_a_byte(part(i), part(j)), i == j) << layout.name;
          EXPECT_EQ(overlap_of(part(i).memory(), part(j).memory()), i == j ? Overlap::kSome : Overlap::kNone)
              << layout.name << " " << i << " " << j << ", sign " << sign;
          Tensor moved = part(j);
          moved.view.data += 8;  // half a row further: some of it is a neighbour's
          EXPECT_EQ(overlap_of(part(i).memory(), moved.memory()),
                    shares_a_byte(part(i), moved) ? Overlap::kSome : Overlap::kNone)
              << layout.name << " " << i << " " << j << ", sign " << sign;
        }
    }
  }
}

TEST(StridedMemory, RangesThatDoNotMeetAreApartWhateverTheStrides) {
  const Tensor a{{100000, 1000, 80, 8}, 2, 3, 4, 8};
  const StridedMemory memory = a.memory();
  EXPECT_EQ(memory.span_bytes, 2 * (1000 + 2 * 80 + 3 * 8 + 8));
  Tensor b{{100000 + static_cast<DevicePointer>(memory.span_bytes), 960, 24, 8}, 2, 3, 1, 8};
  EXPECT_EQ(overlap_of(memory, b.memory()), Overlap::kNone);
  b.view.data -= 16;
  EXPECT_NE(overlap_of(memory, b.memory()), Overlap::kNone);
}

TEST(StridedMemory, AStrideThatIsNotUsedOrZeroCoversNothingMore) {
  const Tensor broadcast{{100000, -7, 0, 8}, 1, 1000, 2, 8};
  EXPECT_EQ(broadcast.memory().first, 100000u);
  EXPECT_EQ(broadcast.memory().span_bytes, 32);
  EXPECT_EQ(overlap_of(broadcast.memory(), array_memory(100032, 1, 1000)), Overlap::kNone);
  EXPECT_EQ(overlap_of(broadcast.memory(), array_memory(100031, 1, 1)), Overlap::kSome);
}

TEST(StridedMemory, AnArrayBetweenTheRowsOfATensorIsApart) {
  const Tensor rows{{100000, 0, 64, 0}, 1, 5, 1, 8};  // 16 of every 128 bytes
  EXPECT_EQ(overlap_of(rows.memory(), array_memory(100128 + 16, 7, 16)), Overlap::kNone);
  EXPECT_EQ(overlap_of(rows.memory(), array_memory(100128 + 15, 7, 16)), Overlap::kSome);
  EXPECT_EQ(overlap_of(rows.memory(), array_memory(100128 + 17, 7, 16)), Overlap::kSome);
}

TEST(StridedMemory, NothingOverlapsAnArrayWithoutBytesAndHugeOnesAreCounted) {
  const Tensor rows{{100000, 0, 64, 0}, 1, 5, 1, 8};
  EXPECT_EQ(overlap_of(rows.memory(), array_memory(100000, 0, 4)), Overlap::kNone);
  EXPECT_EQ(overlap_of(rows.memory(), array_memory(100000, 4, 0)), Overlap::kNone);
  EXPECT_NE(overlap_of(rows.memory(), array_memory(16, ~std::uint64_t{0}, 1 << 20)), Overlap::kNone);
}

}  // namespace
}  // namespace flashmask
