#include <gtest/gtest.h>

#include <array>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

struct MmaCase {
  const char* type;
  bool bfloat;
  std::uint32_t depth;  // 8 or 16
};

class Mma : public testing::TestWithParam<MmaCase> {};

/// Elements are placed by the formulas of the PTX manual, which give (row, column) for every register of every lane.
TEST_P(Mma, PlacesEveryElementAsTheManualSays) {
  const MmaCase& given = GetParam();
  const std::uint32_t depth = given.depth;
  const auto a = [](std::uint32_t row, std::uint32_t k) { return static_cast<int>((row * 7 + k * 3) % 23) - 11; };
  const auto b = [](std::uint32_t k, std::uint32_t n) { return static_cast<int>((k * 5 + n * 11) % 19) - 9; };
  const auto c = [](std::uint32_t row, std::uint32_t n) { return static_cast<int>(row * 8 + n); };
  const std::uint32_t a_registers = depth / 4;
  const std::uint32_t b_registers = depth / 8;
  std::vector<std::uint32_t> words;  // per lane: a, b, c
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    const std::uint32_t group = lane / 4;
    const std::uint32_t thread = lane % 4;
    const auto pair = [&](int low, int high) {
      return std::uint32_t{to_half(low, given.bfloat)} | std::uint32_t{to_half(high, given.bfloat)} << 16;
    };
    for (std::uint32_t r = 0; r < a_registers; ++r) {
      const std::uint32_t row = group + 8 * (r % 2);
      const std::uint32_t k = 2 * thread + 8 * (r / 2);
      words.push_back(pair(a(row, k), a(row, k + 1)));
    }
    for (std::uint32_t r = 0; r < b_registers; ++r) {
      const std::uint32_t k = 2 * thread + 8 * r;
      words.push_back(pair(b(k, group), b(k + 1, group)));
    }
    for (std::uint32_t r = 0; r < 4; ++r) {
      words.push_back(bits(static_cast<float>(c(group + 8 * (r / 2), 2 * thread + r % 2))));
    }
  }
  const std::size_t per_lane = words.size() / 32;
  std::string body = R"(
    .reg .b32 %a<4>, %b<2>, %c<4>, %d<4>, %l;
    .reg .b64 %in, %out, %x;
    ld.param.u64 %in, [in]; ld.param.u64 %out, [out];
    mov.u32 %l, %laneid;
    mad.wide.u32 %in, %l, )" +
                     std::to_string(4 * per_lane) + ", %in; mad.wide.u32 %out, %l, 16, %out;\n";
  std::size_t offset = 0;
  const auto load = [&](const std::string& name) {
    body += "ld.global.b32 " + name + ", [%in+" + std::to_string(offset) + "];\n";
    offset += 4;
  };
  for (std::uint32_t r = 0; r < a_registers; ++r) load("%a" + std::to_string(r));
  for (std::uint32_t r = 0; r < b_registers; ++r) load("%b" + std::to_string(r));
  for (std::uint32_t r = 0; r < 4; ++r) load("%c" + std::to_string(r));
  const std::string type = given.type;
  body += "mma.sync.aligned.m16n8k" + std::to_string(depth) + ".row.col.f32." + type + "." + type +
          ".f32 {%d0,%d1,%d2,%d3}, " + (depth == 16 ? "{%a0,%a1,%a2,%a3}, {%b0,%b1}" : "{%a0,%a1}, {%b0}") +
          ", {%c0,%c1,%c2,%c3};\nst.global.v4.b32 [%out], {%d0,%d1,%d2,%d3};";
  Machine machine;
  const Address in = upload(machine, words);
  const Address out = machine.allocate(32 * 16);
  const Statistics statistics = machine.launch(*Program::parse(module_of(".param .u64 in, .param .u64 out", body)), "k",
                                               shape(1, 32), parameters({in, out}));
  EXPECT_EQ(statistics.by_class.at("mma"), 1u);
  EXPECT_EQ(statistics.mma_without_copy_in_flight, 1u);
  const auto result = download<float>(machine, out, 128);
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    for (std::uint32_t r = 0; r < 4; ++r) {
      const std::uint32_t row = lane / 4 + 8 * (r / 2);
      const std::uint32_t n = 2 * (lane % 4) + r % 2;
      int expected = c(row, n);
      for (std::uint32_t k = 0; k < depth; ++k) expected += a(row, k) * b(k, n);
      EXPECT_EQ(result[4 * lane + r], static_cast<float>(expected)) << "row " << row << " column " << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Mma,
                         testing::Values(MmaCase{"f16", false, 16}, MmaCase{"bf16", true, 16}, MmaCase{"f16", false, 8},
                                         MmaCase{"bf16", true, 8}),
                         [](const auto& param) { return param.param.type + std::to_string(param.param.depth); });

TEST(MmaHalf, AccumulatesInPairs) {
  // A and B of ones: every sum is 16, plus 1 and 2 from the accumulators.
  const LaneOutput output = run_lanes(R"(
    mov.b32 %r, 0x3c003c00; mov.b32 %s, 0x40003c00;
    mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%d, %e}, {%r, %r, %r, %r}, {%r, %r}, {%s, %s};)");
  for (std::size_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(output.d[lane], 0x4c804c40u);
    EXPECT_EQ(output.e[lane], 0x4c804c40u);
  }
}

TEST(MmaHalf, NeedsAWholeWarp) {
  const auto fault = fault_of([] {
    run_lanes(R"(
      setp.lt.u32 %p, %u, 16;
      @%p bra SKIP;
      mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%d, %e}, {%r, %r, %r, %r}, {%r, %r}, {%s, %s};
      SKIP:
      @%p bra.uni OTHER;
      OTHER: bar.sync 0;)");
  });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kBarrier);
}

/// Shared memory holds the halves 0, 1, 2, …; row i of all matrices starts at 16 i.
std::string load_matrix(const std::string& instruction) {
  return R"(
    .shared .align 16 .b8 tile[1024];
    mov.u32 %r, tile;
    mad.lo.u32 %s, %u, 16, %r;
    mul.lo.u32 %t, %u, 0x00080008; add.u32 %t, %t, 0x00010000;
    st.shared.b32 [%s], %t; add.u32 %t, %t, 0x00020002; st.shared.b32 [%s+4], %t;
    add.u32 %t, %t, 0x00020002; st.shared.b32 [%s+8], %t; add.u32 %t, %t, 0x00020002; st.shared.b32 [%s+12], %t;
    bar.sync 0;
    .reg .b32 %m<4>;
    )" + instruction;
}

std::uint32_t half_at(std::uint32_t matrix, std::uint32_t row, std::uint32_t column) {
  return (matrix * 8 + row) * 8 + column;
}

TEST(LoadMatrix, GivesEveryLaneItsPairOfARow) {
  const LaneOutput output = run_lanes(load_matrix(
      "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%m0, %m1, %m2, %m3}, [%s]; mov.b32 %d, %m0; mov.b32 %e, %m2;"));
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    const std::uint32_t row = lane / 4;
    const std::uint32_t column = 2 * (lane % 4);
    EXPECT_EQ(output.d[lane], half_at(0, row, column) | half_at(0, row, column + 1) << 16);
    EXPECT_EQ(output.e[lane], half_at(2, row, column) | half_at(2, row, column + 1) << 16);
  }
}

TEST(LoadMatrix, TransposedGivesEveryLaneItsPairOfAColumn) {
  const LaneOutput output = run_lanes(load_matrix(
      "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%m0, %m1}, [%s]; mov.b32 %d, %m0; mov.b32 %e, %m1;"));
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    const std::uint32_t row = lane / 4;
    const std::uint32_t column = 2 * (lane % 4);
    EXPECT_EQ(output.d[lane], half_at(0, column, row) | half_at(0, column + 1, row) << 16);
    EXPECT_EQ(output.e[lane], half_at(1, column, row) | half_at(1, column + 1, row) << 16);
  }
}

TEST(StoreMatrix, UndoesTheLoad) {
  const LaneOutput output = run_lanes(load_matrix(R"(
    ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%m0, %m1, %m2, %m3}, [%s];
    stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%s+512], {%m0, %m1, %m2, %m3};
    bar.sync 0;
    ld.shared.v2.b32 {%d, %e}, [%s+520];)"));
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(output.d[lane], (8 * lane + 4) | (8 * lane + 5) << 16);
    EXPECT_EQ(output.e[lane], (8 * lane + 6) | (8 * lane + 7) << 16);
  }
}

/// Rows of 128 bytes: lane l reads 16 bytes of row l % 8, at chunk `chunk`, optionally swizzled.
std::uint64_t conflicts(const std::string& chunk) {
  const std::string body = R"(
    .shared .align 128 .b8 tile[1024];
    .reg .b32 %l, %row, %chunk, %at, %m<4>;
    mov.u32 %l, %laneid;
    shl.b32 %at, %l, 5;
    st.shared.v4.b32 [%at], {%l, %l, %l, %l};
    st.shared.v4.b32 [%at+16], {%l, %l, %l, %l};
    bar.sync 0;
    and.b32 %row, %l, 7;
    )" + chunk + R"(
    shl.b32 %chunk, %chunk, 4;
    mad.lo.u32 %at, %row, 128, %chunk;
    ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%m0, %m1, %m2, %m3}, [%at];)";
  Machine machine;
  return machine.launch(*Program::parse(module_of("", body)), "k", shape(1, 32), {}).shared_bank_conflicts;
}

TEST(BankConflicts, OfMatrixRowsDependOnTheSwizzle) {
  // The stores, 32 bytes apart, already cost 1 extra pass per quarter warp: 8.
  constexpr std::uint64_t kStores = 8;
  EXPECT_EQ(conflicts("shr.u32 %chunk, %l, 3;"), kStores + 4 * 7);
  EXPECT_EQ(conflicts("shr.u32 %chunk, %l, 3; xor.b32 %chunk, %chunk, %row;"), kStores);
}

TEST(BankConflicts, OfPlainAccessesCountDistinctWordsPerBank) {
  const auto count = [](const std::string& access) {
    const std::string body = R"(
      .shared .align 16 .b8 tile[8192];
      .reg .b32 %l, %x, %y, %at;
      .reg .b64 %w;
      mov.u32 %l, %laneid; mov.b32 %x, 0; mov.b64 %w, 0;
      )" + access;
    Machine machine;
    return machine.launch(*Program::parse(module_of("", body)), "k", shape(1, 32), {}).shared_bank_conflicts;
  };
  EXPECT_EQ(count("shl.b32 %at, %l, 2; st.shared.b32 [%at], %x;"), 0u);
  EXPECT_EQ(count("shl.b32 %at, %l, 3; st.shared.b32 [%at], %x;"), 1u);
  EXPECT_EQ(count("shl.b32 %at, %l, 7; st.shared.b32 [%at], %x;"), 31u);
  EXPECT_EQ(count("st.shared.b32 [tile], %x;"), 0u);
  EXPECT_EQ(count("shl.b32 %at, %l, 3; st.shared.b64 [%at], %w;"), 0u);
  EXPECT_EQ(count("shl.b32 %at, %l, 4; st.shared.b64 [%at], %w;"), 2u);
  EXPECT_EQ(count("shl.b32 %at, %l, 4; st.shared.v4.b32 [%at], {%x, %x, %x, %x};"), 0u);
}

}  // namespace
}  // namespace flashmask::emulator::test
