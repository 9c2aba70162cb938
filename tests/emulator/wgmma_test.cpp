#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "emulator/machine/core/matrix_descriptor.h"
#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

constexpr std::uint32_t kRows = 64;
constexpr std::uint32_t kDepth = 16;

// --- matrices, and how the host lays them out ------------------------------------------------------------------------

/// Small integers that do not repeat in any pattern of a layout.
int element(std::uint32_t matrix, std::uint32_t mn, std::uint32_t k) {
  std::uint32_t mixed = (matrix * 256 + mn) * kDepth + k + 1;
  mixed = (mixed ^ mixed >> 7) * 0x9e3779b1u;
  return static_cast<int>((mixed >> 16) % 121) - 60;
}

/// One operand in shared memory.
struct Tile {
  std::uint32_t span = 0;  ///< bytes of the swizzle; 0 without
  bool mn_major = false;
  std::uint32_t leading = 0;
  std::uint32_t stride = 0;
  std::uint32_t start = 0;
  std::uint32_t base_offset = 0;
  std::uint32_t first_line = 0;  ///< of the swizzle's pattern, where the tile begins
  std::uint32_t slice = 0;       ///< which 16 of the k in a span, when k is contiguous

  std::uint64_t descriptor() const {
    const std::uint64_t address = start + slice * 2 * kDepth;
    const std::uint64_t mode = span == 128 ? 1 : span == 64 ? 2 : span == 32 ? 3 : 0;
    return address >> 4 | std::uint64_t{leading} >> 4 << 16 | std::uint64_t{stride} >> 4 << 32 |
           std::uint64_t{base_offset} << 49 | mode << 62;
  }
};

/// A tile of `rows` rows (columns of B) at `start`, with gaps between its parts.
Tile tile_of(std::uint32_t span, bool mn_major, std::uint32_t rows, std::uint32_t start) {
  Tile tile;
  tile.span = span;
  tile.mn_major = mn_major;
  tile.start = start;
  if (span == 0) {
    tile.stride = 144;
    tile.leading = rows / 8 * 144 + 32;
  } else if (mn_major) {
    tile.stride = 8 * span;
    tile.leading = 24 * span;
  } else {
    tile.stride = 16 * span;
    tile.leading = 16;  // which nobody looks at
  }
  return tile;
}

using Chunks = std::map<std::uint32_t, std::array<std::uint16_t, 8>>;

/// Puts the matrix into chunks of 16 bytes, walking over shared memory: part after part, line after line.
void place(const Tile& tile, std::uint32_t matrix, std::uint32_t rows, bool bfloat, Chunks& chunks) {
  const auto put = [&](std::uint32_t address, std::uint32_t mn, std::uint32_t k) {
    if (mn >= rows || k >= kDepth) return;
    for (std::uint32_t i = 0; i < 8; ++i) {
      chunks[address][i] = to_half(tile.mn_major ? element(matrix, mn + i, k) : element(matrix, mn, k + i), bfloat);
    }
  };
  if (tile.span == 0) {
    for (std::uint32_t group = 0; group < rows / 8; ++group) {
      for (std::uint32_t half = 0; half < 2; ++half) {
        const std::uint32_t core = tile.start + group * tile.stride + half * tile.leading;
        for (std::uint32_t line = 0; line < 8; ++line) {
          const std::uint32_t mn = 8 * group + (tile.mn_major ? 0 : line);
          put(core + 16 * line, mn, 8 * half + (tile.mn_major ? line : 0));
        }
      }
    }
    return;
  }
  const std::uint32_t per_line = tile.span / 16;
  // The chunks of a row of the pattern: row r of 128 bytes, or two or four rows in 128 bytes.
  const auto swizzled = [&](std::uint32_t line, std::uint32_t chunk) {
    return chunk ^ ((line / (128 / tile.span) + tile.first_line) % per_line);
  };
  const std::uint32_t parts = tile.mn_major ? (rows + per_line * 8 - 1) / (per_line * 8) : rows / 8;
  for (std::uint32_t part = 0; part < parts; ++part) {
    for (std::uint32_t line = 0; line < (tile.mn_major ? kDepth : 8); ++line) {
      for (std::uint32_t chunk = 0; chunk < per_line; ++chunk) {
        if (tile.mn_major) {
          const std::uint32_t atom = tile.start + part * tile.leading + line / 8 * tile.stride;
          put(atom + line % 8 * tile.span + 16 * swizzled(line % 8, chunk), (part * per_line + chunk) * 8, line);
        } else if (chunk / 2 == tile.slice) {
          const std::uint32_t atom = tile.start + part * tile.stride;
          put(atom + line * tile.span + 16 * swizzled(line, chunk), part * 8 + line, chunk % 2 * 8);
        }
      }
    }
  }
}

// --- a kernel of one product -----------------------------------------------------------------------------------------

struct Product {
  std::uint32_t columns = 8;
  bool bfloat = false;
  bool a_in_registers = false;
  Tile a;
  Tile b;
  bool accumulates = false;
  bool scale_is_predicate = false;
  int scale_a = 1;
  int scale_b = 1;
  std::uint32_t threads = 128;
};

std::string list(const std::string& stem, std::uint32_t count) {
  std::string text = "{";
  for (std::uint32_t i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + stem + std::to_string(i);
  return text + "}";
}

std::string instruction(const Product& product) {
  const std::string type = product.bfloat ? "bf16" : "f16";
  std::string text = "wgmma.mma_async.sync.aligned.m64n" + std::to_string(product.columns) + "k16.f32." + type + "." +
                     type + " " + list("%d", product.columns / 2) + ", ";
  text += product.a_in_registers ? list("%a", 4) : "%adesc";
  text += ", %bdesc, ";
  text += product.scale_is_predicate ? "%scale" : product.accumulates ? "1" : "0";
  text += ", " + std::to_string(product.scale_a) + ", " + std::to_string(product.scale_b);
  if (!product.a_in_registers) text += product.a.mn_major ? ", 1" : ", 0";
  return text + (product.b.mn_major ? ", 1;\n" : ", 0;\n");
}

/// Copies chunks to shared memory, gives every thread its accumulators and its fragment of A, multiplies, and stores
/// the accumulators. `before` and `after` run around the product.
std::string kernel(const Product& product, const std::string& before = "", const std::string& after = "") {
  const std::uint32_t registers = product.columns / 2;
  std::string body = R"(
    .reg .b32 %t, %i, %n, %at, %a<4>, %v<4>, %s;
    .reg .f32 %d<)" + std::to_string(registers) +
                     R"(>;
    .reg .b64 %offsets, %chunks, %acc, %frag, %adesc, %bdesc, %x;
    .reg .pred %p, %scale;
    ld.param.u64 %offsets, [offsets]; ld.param.u64 %chunks, [chunks]; ld.param.u64 %acc, [accumulators];
    ld.param.u64 %frag, [fragments]; ld.param.u64 %adesc, [a]; ld.param.u64 %bdesc, [b];
    ld.param.u64 %x, [count]; cvt.u32.u64 %n, %x;
    ld.param.u64 %x, [scale]; cvt.u32.u64 %s, %x;
    setp.ne.u32 %scale, %s, 0;
    mov.u32 %t, %tid.x;
    mov.u32 %i, %t;
    COPY:
    setp.ge.u32 %p, %i, %n;
    @%p bra COPIED;
    mad.wide.u32 %x, %i, 4, %offsets;
    ld.global.u32 %at, [%x];
    mad.wide.u32 %x, %i, 16, %chunks;
    ld.global.v4.b32 {%v0, %v1, %v2, %v3}, [%x];
    st.shared.v4.b32 [%at], {%v0, %v1, %v2, %v3};
    add.u32 %i, %i, )" +
                     std::to_string(product.threads) +
                     R"(;
    bra COPY;
    COPIED:
    fence.proxy.async;
    bar.sync 0;
    mad.wide.u32 %frag, %t, 16, %frag;
    ld.global.v4.b32 {%a0, %a1, %a2, %a3}, [%frag];
    mad.wide.u32 %acc, %t, )" +
                     std::to_string(4 * registers) + ", %acc;\n";
  for (std::uint32_t i = 0; i < registers; ++i) {
    body += "ld.global.f32 %d" + std::to_string(i) + ", [%acc+" + std::to_string(4 * i) + "];\n";
  }
  body += before + "wgmma.fence.sync.aligned;\n" + instruction(product) +
          "wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\n" + after;
  for (std::uint32_t i = 0; i < registers; ++i) {
    body += "st.global.f32 [%acc+" + std::to_string(4 * i) + "], %d" + std::to_string(i) + ";\n";
  }
  return module_of(
      ".param .u64 offsets, .param .u64 chunks, .param .u64 accumulators, .param .u64 fragments, .param .u64 a, "
      ".param .u64 b, .param .u64 count, .param .u64 scale",
      body, "", "sm_90a");
}

/// Row and column of accumulator `i` of a thread, as the PTX manual has them.
struct Position {
  std::uint32_t row;
  std::uint32_t column;
};
Position position_of(std::uint32_t thread, std::uint32_t i) {
  const std::uint32_t lane = thread % 32;
  return {thread / 32 % 4 * 16 + lane / 4 + 8 * (i / 2 % 2), i / 4 * 8 + 2 * (lane % 4) + i % 2};
}

float before_product(const Product& product, std::uint32_t row, std::uint32_t column) {
  // What is not added must not be looked at.
  if (!product.accumulates) return std::numeric_limits<float>::quiet_NaN();
  return static_cast<float>(static_cast<int>(row * 256 + column) - 9000);
}

float after_product(const Product& product, std::uint32_t row, std::uint32_t column) {
  int sum = 0;
  for (std::uint32_t k = 0; k < kDepth; ++k) sum += element(0, row, k) * element(1, column, k);
  sum *= product.scale_a * product.scale_b;
  return static_cast<float>(sum) + (product.accumulates ? before_product(product, row, column) : 0.0f);
}

/// The accumulators of all threads, thread after thread.
std::vector<float> run(const Product& product, const std::string& before = "", const std::string& after = "",
                       const MachineOptions& options = {}) {
  const std::uint32_t registers = product.columns / 2;
  Chunks chunks;
  if (!product.a_in_registers) place(product.a, 0, kRows, product.bfloat, chunks);
  place(product.b, 1, product.columns, product.bfloat, chunks);
  std::vector<std::uint32_t> offsets;
  std::vector<std::uint16_t> data;
  for (const auto& [offset, halves] : chunks) {
    offsets.push_back(offset);
    data.insert(data.end(), halves.begin(), halves.end());
  }
  std::vector<float> accumulators;
  std::vector<std::uint16_t> fragments;
  for (std::uint32_t thread = 0; thread < product.threads; ++thread) {
    for (std::uint32_t i = 0; i < registers; ++i) {
      const auto [row, column] = position_of(thread, i);
      accumulators.push_back(before_product(product, row, column));
    }
    for (std::uint32_t i = 0; i < 8; ++i) {
      const std::uint32_t row = thread / 32 % 4 * 16 + thread % 32 / 4 + 8 * (i / 2 % 2);
      fragments.push_back(to_half(element(0, row, thread % 4 * 2 + i % 2 + i / 4 * 8), product.bfloat));
    }
  }
  Machine machine(options);
  const Address results = upload(machine, accumulators);
  const std::uint32_t shared = chunks.rbegin()->first + 16;
  const Statistics statistics =
      machine.launch(*Program::parse(kernel(product, before, after)), "k", shape(1, product.threads, shared),
                     parameters({upload(machine, offsets), upload(machine, data), results, upload(machine, fragments),
                                 product.a.descriptor(), product.b.descriptor(), offsets.size(), product.accumulates}));
  EXPECT_EQ(statistics.by_class.at("wgmma"), 4 * product.threads / 32);
  EXPECT_EQ(statistics.mma_without_copy_in_flight, product.threads / 32);
  return download<float>(machine, results, accumulators.size());
}

void expect_product(const Product& product) {
  const std::uint32_t registers = product.columns / 2;
  const std::vector<float> results = run(product);
  for (std::uint32_t thread = 0; thread < product.threads; ++thread) {
    for (std::uint32_t i = 0; i < registers; ++i) {
      const auto [row, column] = position_of(thread, i);
      ASSERT_EQ(results[std::size_t{thread} * registers + i], after_product(product, row, column))
          << instruction(product) << "row " << row << ", column " << column;
    }
  }
}

// --- layouts ---------------------------------------------------------------------------------------------------------

constexpr std::uint32_t kColumnCounts[] = {8, 16, 24, 64, 80, 96, 112, 128, 176, 192, 256};
/// A comes after the largest B with gaps, on a boundary of every pattern.
constexpr std::uint32_t kStartOfA = 96 * 1024;

enum class SourceOfA { kRegisters, kKMajor, kMnMajor };
struct LayoutCase {
  std::uint32_t span;
  bool b_mn_major;
  SourceOfA a;
};

class WgmmaLayout : public testing::TestWithParam<LayoutCase> {};

TEST_P(WgmmaLayout, GivesTheProductOfTheMatricesForEveryWidth) {
  const LayoutCase& given = GetParam();
  constexpr std::uint32_t kSpans[] = {0, 32, 64, 128};
  std::uint32_t turn = 0;
  for (const std::uint32_t columns : kColumnCounts) {
    for (const bool bfloat : {false, true}) {
      ++turn;
      Product product;
      product.columns = columns;
      product.bfloat = bfloat;
      product.a_in_registers = given.a == SourceOfA::kRegisters;
      // Every span of A meets this one of B.
      product.a = tile_of(kSpans[turn / 2 % 4], given.a == SourceOfA::kMnMajor, kRows, kStartOfA);
      product.b = tile_of(given.span, given.b_mn_major, columns, 0);
      if (!product.a.mn_major && product.a.span != 0) product.a.slice = turn % (product.a.span / 32);
      if (!product.b.mn_major && product.b.span != 0) product.b.slice = (turn + 1) % (product.b.span / 32);
      product.accumulates = turn % 3 != 0;
      product.scale_is_predicate = turn % 2 != 0;
      product.scale_a = turn % 5 < 2 ? -1 : 1;
      product.scale_b = turn % 7 < 3 ? -1 : 1;
      expect_product(product);
    }
  }
}

std::vector<LayoutCase> layout_cases() {
  std::vector<LayoutCase> cases;
  for (const std::uint32_t span : {0u, 32u, 64u, 128u}) {
    for (const bool mn_major : {false, true}) {
      for (const SourceOfA a : {SourceOfA::kRegisters, SourceOfA::kKMajor, SourceOfA::kMnMajor}) {
        cases.push_back({span, mn_major, a});
      }
    }
  }
  return cases;
}

std::string name_of_case(const testing::TestParamInfo<LayoutCase>& info) {
  constexpr const char* kSources[] = {"ARegisters", "AKMajor", "AMnMajor"};
  return std::string(kSources[static_cast<int>(info.param.a)]) + (info.param.b_mn_major ? "BMnMajor" : "BKMajor") +
         std::to_string(info.param.span);
}

INSTANTIATE_TEST_SUITE_P(Spans, WgmmaLayout, testing::ValuesIn(layout_cases()), name_of_case);

TEST(Wgmma, WarpsOfASecondWarpgroupTakeTheSameRowsAsThoseOfTheFirst) {
  Product product;
  product.columns = 24;
  product.threads = 256;
  product.accumulates = true;
  product.a = tile_of(128, false, kRows, kStartOfA);
  product.b = tile_of(64, true, product.columns, 0);
  expect_product(product);
}

TEST(Wgmma, EveryWidthThatIsAMultipleOfEightIsKnown) {
  for (std::uint32_t columns = 8; columns <= 256; columns += 8) {
    Product product;
    product.columns = columns;
    product.a_in_registers = true;
    product.b = tile_of(32, false, columns, 0);
    expect_product(product);
  }
}

TEST(Wgmma, APatternMayStartOnAnyLineWithTheBaseOffsetThatSaysSo) {
  for (const bool mn_major : {false, true}) {
    for (const std::uint32_t span : {32u, 64u, 128u}) {
      for (std::uint32_t line = 1; line < 8; ++line) {
        Product product;
        product.columns = 16;
        product.a = tile_of(span, mn_major, kRows, kStartOfA + 128 * line);
        product.b = tile_of(span, mn_major, product.columns, 128 * line);
        product.a.base_offset = product.b.base_offset = line;
        expect_product(product);
      }
    }
  }
}

TEST(Wgmma, WithoutABaseOffsetATileMayStartInTheMiddleOfThePattern) {
  for (std::uint32_t line = 1; line < 8; ++line) {
    Product product;
    product.columns = 16;
    product.a_in_registers = true;
    product.b = tile_of(128, false, product.columns, 128 * line);
    product.b.first_line = line;
    expect_product(product);
  }
}

TEST(MatrixDescriptor, NamesEveryChunkOnceAndAtTheAddressOfItsFirstElement) {
  for (const std::uint32_t span : {0u, 32u, 64u, 128u}) {
    for (const bool mn_major : {false, true}) {
      const Tile tile = tile_of(span, mn_major, 96, 4096);
      const MatrixDescriptor descriptor(tile.descriptor(), mn_major ? Major::kMn : Major::kK);
      Chunks placed;
      place(tile, 0, 96, false, placed);
      std::vector<std::uint32_t> all(MatrixDescriptor::chunks_of(96));
      descriptor.chunk_addresses(0, 96, all);
      EXPECT_EQ(all.front(), descriptor.address_of(0, 0));
      EXPECT_EQ(all.back(), mn_major ? descriptor.address_of(88, 15) : descriptor.address_of(95, 8));
      std::sort(all.begin(), all.end());
      ASSERT_EQ(all.size(), placed.size());
      EXPECT_TRUE(std::equal(all.begin(), all.end(), placed.begin(),
                             [](auto address, auto& chunk) { return address == chunk.first; }));
    }
  }
}

// --- what is refused -------------------------------------------------------------------------------------------------

Product small_product() {
  Product product;
  product.columns = 8;
  product.a_in_registers = true;
  product.b = tile_of(128, false, 8, 0);
  return product;
}

void expect_fault(const std::function<void()>& action, Fault::Kind kind, const std::string& text) {
  const auto fault = fault_of(action);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), kind) << fault->what();
  EXPECT_NE(std::string(fault->what()).find(text), std::string::npos) << fault->what();
}

TEST(WgmmaDescriptor, ReservedBitsAreNamed) {
  Product product = small_product();
  product.b.leading = 0x40000 + 16;  // an offset that was not masked
  expect_fault([&] { run(product); }, Fault::Kind::kDescriptor, "in bits 30 to 31, which are reserved and must be 0");
}

TEST(WgmmaDescriptor, ABaseOffsetNeedsASwizzle) {
  Product product = small_product();
  product.b = tile_of(0, false, 8, 128);
  product.b.base_offset = 1;
  expect_fault([&] { run(product); }, Fault::Kind::kDescriptor,
               "has the base offset 1 without a swizzle; it must be 0");
}

TEST(WgmmaDescriptor, ABaseOffsetSaysWhereThePatternStarts) {
  Product product = small_product();
  product.b = tile_of(128, false, 8, 256);
  product.b.base_offset = 3;
  expect_fault([&] { run(product); }, Fault::Kind::kDescriptor,
               "starts at shared+0x100; 0 is allowed (the pattern starts on multiples of 1024 bytes) or 2");
}

TEST(WgmmaDescriptor, AllLanesGiveTheSame) {
  expect_fault([] { run(small_product(), "setp.eq.u32 %p, %t, 37; @%p add.u64 %bdesc, %bdesc, 8;\n"); },
               Fault::Kind::kDescriptor, "the matrix descriptor of B is");
  Product product = small_product();
  product.scale_is_predicate = true;
  expect_fault([&] { run(product, "setp.lt.u32 %scale, %t, 8;\n"); }, Fault::Kind::kDescriptor,
               "scale-d is true in lanes 0x000000ff only");
}

TEST(WgmmaDescriptor, PointsIntoTheSharedMemoryOfTheCta) {
  expect_fault([] { run(small_product(), "add.u64 %bdesc, %bdesc, 4096;\n"); }, Fault::Kind::kOutOfBounds,
               "reads 16 bytes at shared+0x10000");
}

TEST(WgmmaDescriptor, PointsToElementsThatSomebodyWrote) {
  // The second half of the span, where no k was placed.
  expect_fault([] { run(small_product(), "add.u64 %bdesc, %bdesc, 2;\n"); }, Fault::Kind::kUninitialised,
               "of which byte 0 was never written");
}

TEST(Wgmma, NeedsWholeWarpsAndFourOfThem) {
  Product product = small_product();
  product.threads = 96;
  expect_fault([&] { run(product); }, Fault::Kind::kBarrier,
               "a warpgroup is warps 0 to 3, but the CTA has 3 warps; its threads must be a multiple of 128");
  expect_fault([] { run(small_product(), "setp.eq.u32 %p, %t, 5; @%p exit;\n"); }, Fault::Kind::kBarrier,
               "lanes 0x00000020 have exited");
}

// --- who reads what --------------------------------------------------------------------------------------------------

/// Runs a product with all of A in shared memory, after which every warp overwrites the 16 rows that its own
/// accumulators came from; `wait` stands before that.
void run_overwriting(const std::string& wait, Schedule schedule) {
  Product product;
  product.a = tile_of(0, false, kRows, kStartOfA);
  product.b = tile_of(128, false, product.columns, 0);
  const std::string row_and_half = R"(
    shr.u32 %i, %t, 4;
    mul.lo.u32 %at, %i, )" + std::to_string(product.a.stride) +
                                   R"(;
    shr.u32 %i, %t, 1;
    and.b32 %i, %i, 7;
    mad.lo.u32 %at, %i, 16, %at;
    and.b32 %i, %t, 1;
    mad.lo.u32 %at, %i, )" + std::to_string(product.a.leading) +
                                   ", %at;\n";
  const std::string place = "add.u32 %at, %at, " + std::to_string(product.a.start) + ";\n";
  run(product, "", wait + row_and_half + place + "mov.u32 %v0, 0;\nst.shared.v4.b32 [%at], {%v0, %v0, %v0, %v0};\n",
      {.schedule = schedule});
}

constexpr Schedule kSchedules[] = {Schedule::kRandom, Schedule::kInOrder, Schedule::kReversed, Schedule::kStarved,
                                   Schedule::kLateLandings};

TEST(Wgmma, AWarpReadsTheRowsOfAllFourWarpsUntilItHasWaited) {
  const std::string pairs = "shr.u32 %i, %t, 6; add.u32 %i, %i, 1; bar.sync %i, 64;\n";
  for (const Schedule schedule : kSchedules) {
    for (const std::string& wait : {std::string(), std::string("bar.warp.sync 0xffffffff;\n"), pairs}) {
      const auto fault = fault_of([&] { run_overwriting(wait, schedule); });
      ASSERT_TRUE(fault) << wait;
      EXPECT_TRUE(fault->kind() == Fault::Kind::kRace || fault->kind() == Fault::Kind::kPending) << fault->what();
      EXPECT_NE(std::string(fault->what()).find("wgmma.mma_async"), std::string::npos) << fault->what();
    }
  }
}

TEST(Wgmma, RowsOfAMayBeOverwrittenAfterABarrierBehindTheWaitsOfAllFourWarps) {
  for (const Schedule schedule : kSchedules) EXPECT_NO_THROW(run_overwriting("bar.sync 1, 128;\n", schedule));
}

struct Refusal {
  const char* text;
  Fault::Kind kind;
  const char* reason;
};

class WgmmaSyntax : public testing::TestWithParam<Refusal> {};

TEST_P(WgmmaSyntax, IsRefusedByName) {
  const std::string body =
      std::string(".reg .f32 %d<4>; .reg .b32 %a<4>; .reg .b64 %x; .reg .pred %p;\n") + GetParam().text;
  expect_fault([&] { Program::parse(module_of("", body, "", "sm_90a")); }, GetParam().kind, GetParam().reason);
}

#define FLASHMASK_WGMMA "wgmma.mma_async.sync.aligned.m64n8k16."
#define FLASHMASK_D "{%d0,%d1,%d2,%d3}"

constexpr const char* kTypes = "products of f16 by f16 or bf16 by bf16 with accumulators of f32 are known";

INSTANTIATE_TEST_SUITE_P(
    Texts, WgmmaSyntax,
    testing::Values(
        Refusal{FLASHMASK_WGMMA "f16.f16.f16 {%a0,%a1}, %x, %x, 1, 1, 1, 0, 0;", Fault::Kind::kUnsupported, kTypes},
        Refusal{FLASHMASK_WGMMA "f32.bf16.f16 " FLASHMASK_D ", %x, %x, 1, 1, 1, 0, 0;", Fault::Kind::kUnsupported,
                kTypes},
        Refusal{"wgmma.mma_async.sync.aligned.m64n8k8.f32.tf32.tf32 " FLASHMASK_D ", %x, %x, 1, 1, 1;",
                Fault::Kind::kUnsupported, "the shapes m64nNk16 are known"},
        Refusal{"wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 " FLASHMASK_D ", %x, %x, 1, 1, 1;",
                Fault::Kind::kUnsupported, "with N a multiple of 8 from 8 to 256"},
        Refusal{"wgmma.mma_async.sync.aligned.m64n12k16.f32.f16.f16 " FLASHMASK_D ", %x, %x, 1, 1, 1, 0, 0;",
                Fault::Kind::kUnsupported, "with N a multiple of 8 from 8 to 256"},
        Refusal{"wgmma.mma_async.sp.sync.aligned.m64n8k32.f32.f16.f16 " FLASHMASK_D ", %x, %x, %a0, 0, 1, 1, 1, 0, 0;",
                Fault::Kind::kUnsupported, "sparse products are not known"},
        Refusal{"wgmma.mma_async.aligned.m64n8k16.f32.f16.f16 " FLASHMASK_D ", %x, %x, 1, 1, 1, 0, 0;",
                Fault::Kind::kSyntax, ".sync.aligned is missing"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 {%d0,%d1}, %x, %x, 1, 1, 1, 0, 0;", Fault::Kind::kSyntax,
                "a vector operand has 2 elements, not 4"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 {%d0,%d1,%d2,%d1}, %x, %x, 1, 1, 1, 0, 0;", Fault::Kind::kSyntax,
                "the register %d1 is two accumulators"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 {%d0,%d1,%d2,_}, %x, %x, 1, 1, 1, 0, 0;", Fault::Kind::kSyntax,
                "every accumulator is a register"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 " FLASHMASK_D ", %x, %x, 1, 1, 1, 0;", Fault::Kind::kSyntax,
                "7 operands are given, 8 are needed"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 " FLASHMASK_D ", {%a0,%a1,%a2,%a3}, %x, 1, 1, 1, 0, 0;",
                Fault::Kind::kSyntax, "8 operands are given, 7 are needed"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 " FLASHMASK_D ", {0,0,0,0}, %x, 1, 1, 1, 0;", Fault::Kind::kSyntax,
                "every element of A is a register"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 " FLASHMASK_D ", %a0, %x, 1, 1, 1, 0, 0;", Fault::Kind::kSyntax,
                "the register %a0 has 32 bits, 64 are read"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 " FLASHMASK_D ", %x, %x, 2, 1, 1, 0, 0;", Fault::Kind::kSyntax,
                "scale-d is a predicate, 0 (D = A*B) or 1 (D = A*B + D)"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 " FLASHMASK_D ", %x, %x, 1, 0, 1, 0, 0;", Fault::Kind::kSyntax,
                "operand 5 scales a factor: 1 or -1 is allowed"},
        Refusal{FLASHMASK_WGMMA "f32.f16.f16 " FLASHMASK_D ", %x, %x, 1, 1, 1, 0, 2;", Fault::Kind::kSyntax,
                "operand 8 transposes a factor: 0 (k is contiguous) or 1 is allowed"},
        Refusal{"wgmma.wait_group.sync.aligned %a0;", Fault::Kind::kSyntax, "an integer constant was expected"},
        Refusal{"wgmma.arrive.sync.aligned;", Fault::Kind::kUnsupported,
                "mma_async, fence, commit_group and wait_group are known"}));

TEST(Wgmma, NeedsTheTargetThatHasIt) {
  expect_fault([] { Program::parse(module_of("", "wgmma.fence.sync.aligned;")); }, Fault::Kind::kUnsupported,
               "it needs the target sm_90a, but the module is for sm_80");
}

}  // namespace
}  // namespace flashmask::emulator::test
