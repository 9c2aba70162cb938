#include "flashmask/sass_order.h"

#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>
#include <map>
#include <random>
#include <set>

#include "runtime/compile/compiler.h"

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;

constexpr const char* kProducts = R"(
using Descriptor = unsigned long long;
__device__ inline void multiply_shared(float (&d)[4], Descriptor a, Descriptor b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, 1, 1, 1, 0, 0;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "l"(a), "l"(b)
               : "memory");
}
__device__ inline void multiply_registers(float (&d)[4], const unsigned (&a)[4], Descriptor b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, 1, 1, 1, 0;"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)
      : "memory");
}
__device__ inline void arrive() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int kPending>
__device__ inline void wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
__device__ inline float exponential(float x) {
  float y;
  asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
)";

/// Exponentials of the first products while the second ones run.
constexpr const char* kOverlapped = R"(
extern "C" __global__ void overlapped(float* out, Descriptor a, Descriptor b, int rounds) {
  __shared__ float row[4 * 128];
  float s[4] = {}, o[4] = {};
  unsigned p[4] = {threadIdx.x, 1, 2, 3};
#pragma unroll 1
  for (int i = 0; i < rounds; ++i) {
    arrive();
    multiply_shared(s, a, b);
    multiply_shared(s, a + 2, b + 2);
    commit();
    multiply_registers(o, p, b);
    multiply_registers(o, p, b + 2);
    multiply_registers(o, p, b + 4);
    commit();
    wait<1>();
    for (int j = 0; j < 4; ++j) row[4 * threadIdx.x + j] = exponential(s[j]);
    asm volatile("bar.sync 1, 128;" ::: "memory");
    wait<0>();
    for (int j = 0; j < 4; ++j) p[j] = __float_as_uint(row[4 * (threadIdx.x ^ 1) + j]);
  }
  for (int j = 0; j < 4; ++j) out[4 * threadIdx.x + j] = o[j];
})";

/// 96 numbers that live through the loop, and 64 registers.
constexpr const char* kSpilled = R"(
extern "C" __global__ void __launch_bounds__(1024)
    spilled(float* out, const float* in, Descriptor a, Descriptor b, int rounds) {
  float s[4] = {}, kept[96];
#pragma unroll
  for (int j = 0; j < 96; ++j) kept[j] = in[1024 * j + threadIdx.x];
#pragma unroll 1
  for (int i = 0; i < rounds; ++i) {
    arrive();
    multiply_shared(s, a, b);
    commit();
    wait<0>();
#pragma unroll
    for (int j = 0; j < 96; ++j) kept[j] = kept[j] * s[j % 4] + s[(j + 1) % 4];
    arrive();
    multiply_shared(s, a, b + 2);
    commit();
    wait<0>();
  }
#pragma unroll
  for (int j = 0; j < 96; ++j) out[1024 * j + threadIdx.x] = kept[j] + s[0];
})";

/// An array in local memory, which the loop of products touches behind the last of them.
constexpr const char* kIndexedBehind = R"(
extern "C" __global__ void indexed(float* out, const int* place, Descriptor a, Descriptor b, int rounds) {
  float s[4] = {}, kept[16] = {};
#pragma unroll 1
  for (int i = 0; i < rounds; ++i) {
    arrive();
    multiply_shared(s, a, b);
    multiply_shared(s, a + 2, b + 2);
    commit();
    wait<0>();
    kept[place[i] & 15] += s[0];
  }
  out[threadIdx.x] = kept[place[threadIdx.x] & 15] + s[1];
})";

/// Products in a loop, in a loop inside, and none in the loop before.
constexpr const char* kNested = R"(
extern "C" __global__ void nested(float* out, const float* in, Descriptor a, Descriptor b, int rounds, int inner) {
  float s[4] = {};
#pragma unroll 1
  for (int i = 0; i < rounds; ++i) s[0] += exponential(in[i]);
#pragma unroll 1
  for (int i = 0; i < rounds; ++i) {
    arrive();
    multiply_shared(s, a, b);
    commit();
    wait<0>();
#pragma unroll 1
    for (int j = 0; j < inner; ++j) {
      arrive();
      multiply_shared(s, a + i, b + j);
      multiply_shared(s, a + i + 2, b + j + 2);
      commit();
      wait<0>();
    }
  }
  for (int j = 0; j < 4; ++j) out[4 * threadIdx.x + j] = s[j];
})";

/// Operations that PTX names one by one.
constexpr const char* kEvery = R"(
extern "C" __global__ void __launch_bounds__(128, 1)
    every(float* out, const float* in, unsigned long long global, unsigned shared, int n) {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p st.shared.b32 [%0], 1;\n}"
               ::"r"(shared), "r"(n) : "memory");
  asm volatile("{\n.reg .pred p;\nmbarrier.test_wait.parity.shared::cta.b64 p, [%0], %1;\n@p st.shared.b32 [%0], 1;\n}"
               ::"r"(shared), "r"(n) : "memory");
  asm volatile("{\n.reg .b64 t;\nmbarrier.arrive.shared::cta.b64 t, [%0];\n}" ::"r"(shared) : "memory");
  asm volatile("bar.sync 2, 128;\nbar.arrive 3, 128;" ::: "memory");
  asm volatile("{\n.reg .pred p;\nsetp.ne.s32 p, %0, 0;\nbar.red.popc.u32 %0, 0, p;\n}" : "+r"(n)::"memory");
  float x = in[threadIdx.x], y = in[threadIdx.x + 128], logarithm;
  asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(out[0]) : "f"(x));
  asm volatile("lg2.approx.ftz.f32 %0, %1;" : "=f"(logarithm) : "f"(x));
  out[1] = fmaxf(x, y);
  out[2] = x + y;
  out[3] = x * y;
  out[4] = __fmaf_rn(x, y, logarithm);
  unsigned pair, sum, tile[4];
  asm volatile("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(x), "f"(y));
  asm volatile("add.f16x2 %0, %1, %2;" : "=r"(sum) : "r"(__float_as_uint(x)), "r"(__float_as_uint(y)));
  asm volatile("{\n.reg .pred p, q;\nsetp.lt.f16x2 p|q, %1, %2;\nselp.f32 %0, %0, 0f00000000, p;\n}"
               : "+f"(x) : "r"(pair), "r"(sum));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(tile[0]), "=r"(tile[1]), "=r"(tile[2]), "=r"(tile[3]) : "r"(shared));
  float d[4] = {x, y, x, y};
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%5, %6}, "
               "{%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(tile[0]), "r"(tile[1]), "r"(tile[2]), "r"(tile[3]));
  out[5] = d[0];
  asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(shared), "r"(tile[0]), "r"(tile[1])
               : "memory");
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(pair) : "r"(shared) : "memory");
  out[6] = __uint_as_float(pair);
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %2}], "
               "[%0];" ::"r"(shared), "l"(global), "r"(n) : "memory");
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%1, {%2, %2}], [%0];"
               ::"r"(shared), "l"(global), "r"(n) : "memory");
  asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%1, {%2, %2}], [%0];"
               ::"r"(shared), "l"(global), "r"(n) : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], 64, [%0];"
               ::"r"(shared), "l"(global) : "memory");
  asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%1], [%0], 64;"
               ::"r"(shared), "l"(global) : "memory");
})";

constexpr Target kHopper{90, true};

/// What NVRTC makes of `text` for sm_90a; compiled once.
const std::vector<std::byte>& cubin_of(const std::string& text, const std::string& entry) {
  static std::map<std::string, std::vector<std::byte>> made;
  std::vector<std::byte>& cubin = made[entry];
  if (cubin.empty()) cubin = compile::Compiler(Policy::from_environment()).compile(text, entry, kHopper).cubin;
  return cubin;
}

const std::vector<std::byte>& overlapped() {
  return cubin_of(std::string(kProducts) + kOverlapped, "overlapped");
}

SassOrder order_of(const char* text, const std::string& entry) {
  return read_sass_order(cubin_of(std::string(kProducts) + text, entry), entry);
}

/// The order of these kinds alone.
std::string order_of_kinds(const SassLoop& loop, const std::set<SassKind>& kinds) {
  std::vector<SassOperation> operations = loop.operations;
  std::erase_if(operations, [&](const SassOperation& each) { return !kinds.contains(each.kind); });
  return order_text(operations);
}

template <typename Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

Elf64_Shdr section_at(const std::vector<std::byte>& cubin, std::uint64_t index) {
  Elf64_Ehdr header;
  std::memcpy(&header, cubin.data(), sizeof header);
  Elf64_Shdr section;
  std::memcpy(&section, cubin.data() + header.e_shoff + index * sizeof section, sizeof section);
  return section;
}

/// The number of the section that holds the code; there is one kernel.
std::uint64_t code_section(const std::vector<std::byte>& cubin) {
  std::uint64_t index = 0;
  while ((section_at(cubin, index).sh_flags & SHF_EXECINSTR) == 0) ++index;
  return index;
}

SassOperation operation(SassKind kind, std::int64_t value = 0) {
  return {.kind = kind, .address = 0, .value = value};
}

TEST(SassOrder, ALoopTellsItsProductsItsWaitsAndHowManyExponentialsLieBetween) {
  const SassOrder order = order_of(kOverlapped, "overlapped");
  EXPECT_EQ(order.entry, "overlapped");
  ASSERT_THAT(order.loops, SizeIs(1));
  const SassLoop& loop = order.loops.front();
  EXPECT_EQ(loop.products_shared, 2);
  EXPECT_EQ(loop.products_registers, 3);
  EXPECT_EQ(loop.products_warp, 0);
  ASSERT_THAT(loop.waits, SizeIs(2));
  EXPECT_EQ(loop.waits[0].pending, 1);
  EXPECT_EQ(loop.waits[0].exponentials, 4);
  EXPECT_EQ(loop.waits[1].pending, 0);
  EXPECT_EQ(loop.waits[1].exponentials, 0);
  EXPECT_FALSE(loop.local_memory_between_products);
}

TEST(SassOrder, TheTextOfALoopFollowsTheProgram) {
  const SassOrder order = order_of(kOverlapped, "overlapped");
  ASSERT_THAT(order.loops, SizeIs(1));
  EXPECT_EQ(order_of_kinds(order.loops.front(), {SassKind::kProductShared, SassKind::kProductRegisters, SassKind::kWait,
                                                 SassKind::kExponential, SassKind::kBarrierSync}),
            "G2 | R3 | WAIT<=1 | exp4 | BAR.SYNC | WAIT<=0");
  EXPECT_THAT(order_text(order.loops.front().operations), HasSubstr("A G2"));
}

TEST(SassOrder, TheAddressesOfALoopAreThoseOfItsOperations) {
  const SassOrder order = order_of(kOverlapped, "overlapped");
  ASSERT_THAT(order.loops, SizeIs(1));
  const SassLoop& loop = order.loops.front();
  std::uint64_t last = 0;
  for (const SassOperation& each : order.operations) {
    EXPECT_EQ(each.address % 16, 0u);
    EXPECT_TRUE(each.address > last || each == order.operations.front());
    last = each.address;
  }
  for (const SassOperation& each : loop.operations) {
    EXPECT_NE(std::ranges::find(order.operations, each), order.operations.end());
  }
  // A branch to where the loop begins is what ends it.
  const auto back = std::ranges::find_if(order.operations, [&](const SassOperation& each) {
    return each.kind == SassKind::kBranch && each.value == static_cast<std::int64_t>(loop.begin);
  });
  ASSERT_NE(back, order.operations.end());
  EXPECT_EQ(back->address + 16, loop.end);
}

TEST(SassOrder, ASpillBetweenTheProductsOfALoopIsTold) {
  const SassOrder order = order_of(kSpilled, "spilled");
  ASSERT_THAT(order.loops, SizeIs(1));
  EXPECT_EQ(order.loops.front().products_shared, 2);
  EXPECT_TRUE(order.loops.front().local_memory_between_products);
  const std::string memory =
      order_of_kinds(order.loops.front(), {SassKind::kProductShared, SassKind::kLocalLoad, SassKind::kLocalStore});
  EXPECT_THAT(memory, AllOf(HasSubstr("LDL"), HasSubstr("STL")));
}

TEST(SassOrder, LocalMemoryBehindTheLastProductIsListedAndNotBlamed) {
  const SassOrder order = order_of(kIndexedBehind, "indexed");
  ASSERT_THAT(order.loops, SizeIs(1));
  EXPECT_FALSE(order.loops.front().local_memory_between_products);
  EXPECT_EQ(order_of_kinds(order.loops.front(), {SassKind::kWait, SassKind::kLocalStore}), "WAIT<=0 | STL");
}

TEST(SassOrder, OnlyTheInnermostLoopsThatMultiplyAreTold) {
  const SassOrder order = order_of(kNested, "nested");
  ASSERT_THAT(order.loops, SizeIs(1));
  EXPECT_EQ(order.loops.front().products_shared, 2);
  EXPECT_THAT(order.loops.front().waits, SizeIs(1));
  EXPECT_EQ(std::ranges::count(order.operations, SassKind::kProductShared, &SassOperation::kind), 3);
}

TEST(SassOrder, WhatPtxNamesIsFoundInTheCode) {
  const SassOrder order = read_sass_order(cubin_of(kEvery, "every"), "every");
  std::set<SassKind> kinds;
  for (const SassOperation& each : order.operations) kinds.insert(each.kind);
  EXPECT_THAT(
      kinds,
      IsSupersetOf(
          {SassKind::kRegisterLimit,   SassKind::kMbarrierTry,   SassKind::kMbarrierTest,  SassKind::kMbarrierArrive,
           SassKind::kBarrierSync,     SassKind::kBarrierArrive, SassKind::kBarrierReduce, SassKind::kExponential,
           SassKind::kSpecialFunction, SassKind::kMaximum,       SassKind::kAdd,           SassKind::kMultiply,
           SassKind::kMultiplyAdd,     SassKind::kConvert,       SassKind::kHalfAdd,       SassKind::kHalfCompare,
           SassKind::kSelect,          SassKind::kSharedLoad,    SassKind::kSharedStore,   SassKind::kMatrixLoad,
           SassKind::kMatrixStore,     SassKind::kProductWarp,   SassKind::kTensorLoad,    SassKind::kTensorStore,
           SassKind::kTensorReduce,    SassKind::kBulkCopy,      SassKind::kBulkReduce,    SassKind::kExit}));
  std::vector<std::int64_t> limits;
  for (const SassOperation& each : order.operations) {
    if (each.kind == SassKind::kRegisterLimit) limits.push_back(each.value);
  }
  EXPECT_THAT(limits, ElementsAre(40, 232));
  EXPECT_EQ(std::ranges::count(order.operations, SassKind::kExponential, &SassOperation::kind), 1);
  EXPECT_THAT(order.loops, IsEmpty());
}

TEST(SassOrder, RunsJoinWhatIsAlikeAndLeaveBranchesOut) {
  const std::vector<SassOperation> operations = {operation(SassKind::kMaximum),     operation(SassKind::kMaximum),
                                                 operation(SassKind::kBranch, 64),  operation(SassKind::kMaximum),
                                                 operation(SassKind::kWait, 0),     operation(SassKind::kWait, 0),
                                                 operation(SassKind::kExponential), operation(SassKind::kExit)};
  EXPECT_THAT(runs_of(operations),
              ElementsAre(SassRun{.kind = SassKind::kMaximum, .address = 0, .value = 0, .count = 3},
                          SassRun{.kind = SassKind::kWait, .address = 0, .value = 0, .count = 1},
                          SassRun{.kind = SassKind::kWait, .address = 0, .value = 0, .count = 1},
                          SassRun{.kind = SassKind::kExponential, .address = 0, .value = 0, .count = 1}));
  EXPECT_EQ(order_text(operations), "max3 | WAIT<=0 | WAIT<=0 | exp");
  EXPECT_EQ(order_text({}), "");
}

TEST(SassOrder, WhatRepeatsIsWrittenOnceUnlessItMultipliesOrWaits) {
  std::vector<SassOperation> operations;
  for (int i = 0; i < 3; ++i) {
    operations.push_back(operation(SassKind::kConvert));
    operations.push_back(operation(SassKind::kMultiply));
    operations.push_back(operation(SassKind::kMultiply));
  }
  operations.push_back(operation(SassKind::kConvert));
  EXPECT_EQ(order_text(operations), "(cvt mul2)x3 | cvt");
  std::vector<SassOperation> products;
  for (int i = 0; i < 2; ++i) {
    products.push_back(operation(SassKind::kArrive));
    products.push_back(operation(SassKind::kProductShared));
    products.push_back(operation(SassKind::kWait, 1));
  }
  EXPECT_EQ(order_text(products), "A G | WAIT<=1 | A G | WAIT<=1");
}

TEST(SassOrder, AnEntryThatIsNotThereIsNamedWithThoseThatAre) {
  const Error error = error_of([] { read_sass_order(overlapped(), "other"); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_STREQ(error.what(), "the cubin has no code of other: it has code of overlapped");
}

TEST(SassOrder, AnotherTargetIsRefusedBecauseItsInstructionsDiffer) {
  const std::vector<std::byte> ampere = compile::Compiler(Policy::from_environment())
                                            .compile(R"(extern "C" __global__ void kernel() {})", "kernel", {80, false})
                                            .cubin;
  const Error error = error_of([&] { read_sass_order(ampere, "kernel"); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("sm_80"), HasSubstr("sm_90 and sm_90a")));
}

TEST(SassOrder, CodeThatIsNoWholeNumberOfInstructionsIsRefused) {
  std::vector<std::byte> cubin = overlapped();
  Elf64_Ehdr header;
  std::memcpy(&header, cubin.data(), sizeof header);
  const std::uint64_t index = code_section(cubin);
  Elf64_Shdr code = section_at(cubin, index);
  code.sh_size -= 8;
  std::memcpy(cubin.data() + header.e_shoff + index * sizeof code, &code, sizeof code);
  const Error error = error_of([&] { read_sass_order(cubin, "overlapped"); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("a multiple of 16 is needed"));
}

TEST(SassOrder, EveryTruncationIsRefusedWithWhatIsWrong) {
  const std::vector<std::byte>& whole = overlapped();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // In a buffer of its own, so that a sanitizer sees a read beyond it.
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const Error error = error_of([&] { read_sass_order(cut, "overlapped"); });
    ASSERT_EQ(error.code(), ErrorCode::kInvalidArgument) << size;
    ASSERT_THAT(error.what(), HasSubstr("cubin")) << size;
  }
}

TEST(SassOrder, AnyFlippedBitOfTheTablesIsJudgedWithoutACrash) {
  const std::vector<std::byte>& whole = overlapped();
  Elf64_Ehdr header;
  std::memcpy(&header, whole.data(), sizeof header);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < sizeof header; ++i) places.push_back(i);
  for (std::size_t i = 0; i < header.e_shnum * sizeof(Elf64_Shdr); ++i) places.push_back(header.e_shoff + i);
  int refused = 0;
  for (std::size_t place : places)
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> flipped = whole;
      flipped[place] ^= std::byte{1} << bit;
      try {
        read_sass_order(flipped, "overlapped");
      } catch (const Error&) {
        ++refused;
      }
    }
  EXPECT_GT(refused, 100);
}

TEST(SassOrder, AnyBytesAreCodeWithoutACrash) {
  std::mt19937_64 random(7);
  std::vector<std::byte> cubin = overlapped();
  const Elf64_Shdr code = section_at(cubin, code_section(cubin));
  std::size_t loops = 0;
  for (int round = 0; round < 300; ++round) {
    for (std::uint64_t at = 0; at < code.sh_size; at += 16) {
      std::uint64_t words[2] = {random(), random()};
      const std::uint64_t choice = random() % 4;
      if (choice == 0) words[0] = (words[0] & ~0xfffull) | 0x9f0;  // a product
      // Branches to one of the next 32 instructions and to one of the 64 before; of any other offset they are in the
      // rest.
      if (choice == 1) words[0] = (words[0] & 0x7cf000) | 0x947, words[1] = 0x3800000;
      if (choice == 2) words[0] = (words[0] & 0xfcf000) | 0xfffffffc00000947, words[1] = 0x383ffff;
      std::memcpy(cubin.data() + code.sh_offset + at, words, sizeof words);
    }
    loops += read_sass_order(cubin, "overlapped").loops.size();
  }
  EXPECT_GT(loops, 100u);
}

}  // namespace
}  // namespace flashmask
