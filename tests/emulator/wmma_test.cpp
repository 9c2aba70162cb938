#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

constexpr std::uint32_t kDepth = 16;

/// Small integers that do not repeat in any pattern of a layout.
int element(std::uint32_t matrix, std::uint32_t row, std::uint32_t column) {
  std::uint32_t mixed = (matrix * 64 + row) * 64 + column + 1;
  mixed = (mixed ^ mixed >> 7) * 0x9e3779b1u;
  return static_cast<int>((mixed >> 16) % 11) - 5;
}

/// A matrix in memory, with a gap behind every row or column.
struct Stored {
  std::uint32_t rows = 0, columns = 0;
  bool by_columns = false;
  std::uint32_t gap = 16;

  std::uint32_t stride() const { return (by_columns ? rows : columns) + gap; }
  std::size_t elements() const { return std::size_t{stride()} * (by_columns ? columns : rows); }
  std::size_t at(std::uint32_t row, std::uint32_t column) const {
    return by_columns ? std::size_t{column} * stride() + row : std::size_t{row} * stride() + column;
  }
  const char* layout() const { return by_columns ? "col" : "row"; }
};

template <class T, class Convert>
std::vector<T> filled(const Stored& stored, std::uint32_t matrix, Convert convert) {
  std::vector<T> values(stored.elements(), convert(99));
  for (std::uint32_t row = 0; row < stored.rows; ++row) {
    for (std::uint32_t column = 0; column < stored.columns; ++column) {
      values[stored.at(row, column)] = convert(element(matrix, row, column));
    }
  }
  return values;
}

/// "{%a0, %a1, …}"
std::string registers(const std::string& name, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += fmt::format("{}%{}{}", i == 0 ? "{" : ", ", name, i);
  return text + "}";
}

struct WmmaCase {
  std::uint32_t m, n;
  const char* factor;
  bool a_by_columns, b_by_columns, c_by_columns, d_by_columns;
  bool half_c = false, half_d = false;

  bool bfloat() const { return factor[0] == 'b'; }
  std::string shape() const { return fmt::format("m{}n{}k16", m, n); }
  std::size_t factor_registers(std::uint32_t outer) const { return bfloat() ? outer * kDepth / 64 : 8; }
};

void PrintTo(const WmmaCase& given, std::ostream* stream) {
  *stream << given.shape() << " " << given.factor;
}

std::string product_of(const WmmaCase& given) {
  const char* c = given.half_c ? "f16" : "f32";
  const char* d = given.half_d ? "f16" : "f32";
  const std::string types = given.bfloat() ? "f32.bf16.bf16.f32" : fmt::format("{}.{}", d, c);
  return fmt::format("wmma.mma.sync.aligned.{}.{}.{}.{} {}, {}, {}, {};\n", given.a_by_columns ? "col" : "row",
                     given.b_by_columns ? "col" : "row", given.shape(), types,
                     registers(given.half_d ? "g" : "d", given.half_d ? 4 : 8),
                     registers("a", given.factor_registers(given.m)), registers("b", given.factor_registers(given.n)),
                     registers(given.half_c ? "h" : "c", given.half_c ? 4 : 8));
}

constexpr const char* kRegisters = R"(
    .reg .b32 %a<8>, %b<8>, %g<4>, %h<4>; .reg .f32 %c<8>, %d<8>;
    .reg .b64 %pa, %pb, %pc, %pd;
    ld.param.u64 %pa, [a]; ld.param.u64 %pb, [b]; ld.param.u64 %pc, [c]; ld.param.u64 %pd, [d];
)";
constexpr const char* kParameters = ".param .u64 a, .param .u64 b, .param .u64 c, .param .u64 d";

class Wmma : public testing::TestWithParam<WmmaCase> {};

TEST_P(Wmma, MultipliesWhatItLoadsAndStoresIt) {
  const WmmaCase& given = GetParam();
  const Stored a{given.m, kDepth, given.a_by_columns}, b{kDepth, given.n, given.b_by_columns};
  const Stored c{given.m, given.n, given.c_by_columns}, d{given.m, given.n, given.d_by_columns};
  std::string body = kRegisters;
  const auto load = [&](const char* name, const char* into, std::size_t count, const Stored& stored, const char* type) {
    body += fmt::format("wmma.load.{}.sync.aligned.{}.{}.global.{} {}, [%p{}], {};\n", name, stored.layout(),
                        given.shape(), type, registers(into, count), name, stored.stride());
  };
  load("a", "a", given.factor_registers(given.m), a, given.factor);
  load("b", "b", given.factor_registers(given.n), b, given.factor);
  load("c", given.half_c ? "h" : "c", given.half_c ? 4 : 8, c, given.half_c ? "f16" : "f32");
  body += product_of(given);
  body +=
      fmt::format("wmma.store.d.sync.aligned.{}.{}.{} [%pd], {}, {};\n", d.layout(), given.shape(),
                  given.half_d ? "f16" : "f32", registers(given.half_d ? "g" : "d", given.half_d ? 4 : 8), d.stride());
  Machine machine;
  const auto half = [&](int value) { return to_half(value, given.bfloat()); };
  const auto f16 = [](int value) { return to_half(value, false); };
  const auto single = [](int value) { return static_cast<float>(value); };
  const Address pa = upload(machine, filled<std::uint16_t>(a, 0, half));
  const Address pb = upload(machine, filled<std::uint16_t>(b, 1, half));
  const Address pc =
      given.half_c ? upload(machine, filled<std::uint16_t>(c, 2, f16)) : upload(machine, filled<float>(c, 2, single));
  const std::size_t bytes = given.half_d ? 2 : 4;
  const Address pd = machine.allocate(d.elements() * bytes);
  machine.fill(pd, 0x55, d.elements() * bytes);
  const Statistics statistics =
      machine.launch(*Program::parse(module_of(kParameters, body)), "k", shape(1, 32), parameters({pa, pb, pc, pd}));
  EXPECT_EQ(statistics.by_class.at("wmma"), 5u);
  EXPECT_EQ(statistics.mma_without_copy_in_flight, 1u);
  EXPECT_EQ(statistics.global_bytes_written, given.m * given.n * bytes);
  const auto expected = [&](std::uint32_t row, std::uint32_t column) {
    int sum = element(2, row, column);
    for (std::uint32_t k = 0; k < kDepth; ++k) sum += element(0, row, k) * element(1, k, column);
    return sum;
  };
  const auto check = [&](const auto& values, auto convert, auto untouched) {
    auto wanted = std::vector(values.size(), untouched);
    for (std::uint32_t row = 0; row < given.m; ++row) {
      for (std::uint32_t column = 0; column < given.n; ++column) {
        wanted[d.at(row, column)] = convert(expected(row, column));
      }
    }
    EXPECT_EQ(values, wanted);
  };
  if (given.half_d) {
    check(download<std::uint16_t>(machine, pd, d.elements()), f16, std::uint16_t{0x5555});
  } else {
    check(download<float>(machine, pd, d.elements()), single, std::bit_cast<float>(0x55555555));
  }
}

std::vector<WmmaCase> all_cases() {
  std::vector<WmmaCase> cases;
  for (const auto& [m, n] : {std::pair{16u, 16u}, {8u, 32u}, {32u, 8u}}) {
    for (const unsigned layouts : {0u, 1u, 2u, 3u}) {
      const bool a = (layouts & 1) != 0, b = (layouts & 2) != 0;
      cases.push_back({m, n, "f16", a, b, a, b});
      cases.push_back({m, n, "bf16", a, b, b, a});
      cases.push_back({m, n, "f16", a, b, b, a, true, true});
    }
    cases.push_back({m, n, "f16", false, true, true, false, true, false});
    cases.push_back({m, n, "f16", true, false, false, true, false, true});
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Shapes, Wmma, testing::ValuesIn(all_cases()));

/// Runs `body` on one warp with 4096 bytes at [a], zeros unless `given`, and gives back as many at [d].
std::vector<float> run(const std::string& body, const std::vector<float>& given = std::vector<float>(1024, 0),
                       Machine machine = Machine()) {
  const Address a = upload(machine, given);
  const Address d = machine.allocate(4096);
  machine.fill(d, 0, 4096);
  machine.launch(*Program::parse(module_of(kParameters, kRegisters + body)), "k", shape(1, 32),
                 parameters({a, a, a, d}));
  return download<float>(machine, d, 1024);
}

std::vector<float> counted(std::size_t count) {
  std::vector<float> values(1024, 0);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

TEST(WmmaFragments, WithoutAStrideRowsLiePacked) {
  const auto result = run("wmma.load.c.sync.aligned.row.m8n32k16.f32 " + registers("c", 8) +
                              ", [%pc];\nwmma.store.d.sync.aligned.col.m8n32k16.f32 [%pd], " + registers("c", 8) + ";",
                          counted(256));
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(result[i], static_cast<float>(i % 8 * 32 + i / 8));
}

TEST(WmmaFragments, OperationsOnAllRegistersActOnEveryElementOnce) {
  std::string body = "wmma.load.c.sync.aligned.row.m16n16k16.f32 " + registers("c", 8) + ", [%pc], 16;\n";
  for (int i = 0; i < 8; ++i) body += fmt::format("add.f32 %c{0}, %c{0}, 0f3F800000;\n", i);
  body += "wmma.store.d.sync.aligned.row.m16n16k16.f32 [%pd], " + registers("c", 8) + ", 16;";
  const auto result = run(body, counted(256));
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(result[i], static_cast<float>(i + 1));
}

TEST(WmmaFragments, FactorsOfF16HoldTheirElementsAsOftenAsThereIsRoom) {
  // A of 8 x 16 ones: its elements are in every half of the eight registers. B is filled with twos.
  std::string body = R"(
    .reg .b32 %one, %two, %l; .reg .b64 %x;
    .shared .align 32 .b8 tile[256];
    mov.b32 %one, 0x3c003c00; mov.b32 %two, 0x40004000; mov.u32 %l, %laneid; shl.b32 %l, %l, 3;
    st.shared.b32 [%l], %one; st.shared.b32 [%l+4], %one; bar.warp.sync -1;
    mov.u64 %x, tile;
    wmma.load.a.sync.aligned.row.m8n32k16.shared.f16 )" +
                     registers("a", 8) + ", [%x], 16;\n";
  for (int i = 0; i < 8; ++i) body += fmt::format("add.f16x2 %a{0}, %a{0}, %one; mov.b32 %b{0}, %two;\n", i);
  for (int i = 0; i < 8; ++i) body += fmt::format("mov.f32 %c{}, 0f3F800000;\n", i);
  body += "wmma.mma.sync.aligned.row.row.m8n32k16.f32.f32 " + registers("d", 8) + ", " + registers("a", 8) + ", " +
          registers("b", 8) + ", " + registers("c", 8) + ";\n";
  body += "wmma.store.d.sync.aligned.row.m8n32k16.f32 [%pd], " + registers("d", 8) + ", 32;";
  const auto result = run(body);
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(result[i], 16 * 2 * 2 + 1);
}

TEST(WmmaFragments, AccumulatorsOfHalvesAndFloatsLieAlike) {
  std::string body = "wmma.load.c.sync.aligned.row.m16n16k16.f32 " + registers("c", 8) + ", [%pc], 16;\n";
  for (int i = 0; i < 4; ++i) body += fmt::format("cvt.rn.f16x2.f32 %h{}, %c{}, %c{};\n", i, 2 * i + 1, 2 * i);
  body += "wmma.store.d.sync.aligned.row.m16n16k16.f16 [%pd], " + registers("h", 4) + ", 16;";
  const auto result = run(body, counted(256));
  for (std::size_t i = 0; i < 128; ++i) {
    const std::uint32_t low = to_half(static_cast<int>(2 * i), false),
                        high = to_half(static_cast<int>(2 * i) + 1, false);
    EXPECT_EQ(bits(result[i]), low | high << 16);
  }
}

TEST(WmmaFragments, LoadsMayReadARowAgainAndAgain) {
  const auto result =
      run("wmma.load.c.sync.aligned.row.m16n16k16.f32 " + registers("c", 8) +
              ", [%pc], 0;\nwmma.store.d.sync.aligned.row.m16n16k16.f32 [%pd], " + registers("c", 8) + ", 16;",
          counted(16));
  for (std::size_t i = 0; i < 256; ++i) EXPECT_EQ(result[i], static_cast<float>(i % 16));
}

// --- rules -----------------------------------------------------------------------------------------------------------

const std::string kLoadA = "wmma.load.a.sync.aligned.row.m16n16k16.f16 " + registers("a", 8);
const std::string kLoadC = "wmma.load.c.sync.aligned.row.m16n16k16.f32 " + registers("c", 8);
const std::string kStoreD = "wmma.store.d.sync.aligned.row.m16n16k16.f32 ";

void expect_fault(const std::string& body, Fault::Kind kind, const std::string& text) {
  const auto fault = fault_of([&] { run(body); });
  ASSERT_TRUE(fault) << body;
  EXPECT_EQ(fault->kind(), kind) << fault->what();
  EXPECT_NE(std::string(fault->what()).find(text), std::string::npos) << fault->what();
}

TEST(WmmaRules, AMatrixIsAlignedToItsFragment) {
  expect_fault(kLoadA + ", [%pa+16], 16;", Fault::Kind::kMisaligned, "not a multiple of 32, the size of its fragment");
  expect_fault(kLoadA + ", [%pa], 20;", Fault::Kind::kMisaligned, "not a multiple of 16");
  run("wmma.load.a.sync.aligned.row.m16n16k16.bf16 " + registers("a", 4) + ", [%pa+16], 24;");
}

TEST(WmmaRules, RowsThatOnlyTheGuideAllowsAreANote) {
  MachineOptions options;
  options.pedantic = true;
  for (const auto& [stride, notes] : {std::pair{16, 0u}, {24, 1u}}) {
    Machine machine(options);
    const Address a = upload(machine, counted(1024));
    machine.launch(*Program::parse(module_of(kParameters, kRegisters + fmt::format("{}, [%pa], {};", kLoadA, stride))),
                   "k", shape(1, 32), parameters({a, a, a, a}));
    EXPECT_EQ(machine.take_notes().size(), notes);
  }
}

TEST(WmmaRules, EveryRowLiesInMemory) {
  run(kLoadC + ", [%pc], 64;");
  expect_fault(kLoadC + ", [%pc], 72;", Fault::Kind::kOutOfBounds, "reads 64 bytes");
  expect_fault(kLoadC + ", [%pc], 16;" + kStoreD + "[%pd], " + registers("c", 8) + ", 72;", Fault::Kind::kOutOfBounds,
               "writes 64 bytes");
  expect_fault(
      ".local .align 32 .b8 own[1024]; .reg .b64 %x; mov.u64 %x, own; cvta.local.u64 %x, %x;" + kLoadC + ", [%x], 16;",
      Fault::Kind::kUninitialised, "never written");
  expect_fault(".local .align 32 .b8 own[1024]; .reg .b64 %x; mov.u64 %x, own; cvta.local.u64 %x, %x;" + kLoadC +
                   ", [%pc], 16;" + kStoreD + "[%x], " + registers("c", 8) + ", 16;",
               Fault::Kind::kOutOfBounds, "neither in global nor in shared memory");
}

TEST(WmmaRules, EveryRowWasWritten) {
  expect_fault(R"(
    .shared .align 32 .b8 tile[1024];
    .reg .pred %p; .reg .b32 %l, %at; .reg .b64 %x;
    mov.u32 %l, %laneid; shl.b32 %at, %l, 5; setp.lt.u32 %p, %l, 31;
    @%p st.shared.v4.b32 [%at], {%l, %l, %l, %l};
    @%p st.shared.v4.b32 [%at+16], {%l, %l, %l, %l};
    bar.warp.sync -1; mov.u64 %x, tile; cvta.shared.u64 %x, %x;
    )" + kLoadC + ", [%x], 16;",
               Fault::Kind::kUninitialised, "of which byte 32 was never written");
}

TEST(WmmaRules, AllLanesNameOneMatrix) {
  const std::string lane = ".reg .b32 %l; .reg .b64 %x; mov.u32 %l, %laneid; mad.wide.u32 %x, %l, 32, %pc;";
  expect_fault(lane + kLoadC + ", [%x], 16;", Fault::Kind::kDescriptor, "all threads of a warp must give the same");
  expect_fault(lane + kLoadC + ", [%pc], %l;", Fault::Kind::kDescriptor, "with a stride of 1 elements here");
}

TEST(WmmaRules, AWholeWarpTakesPart) {
  expect_fault(
      ".reg .b32 %l; .reg .pred %p; mov.u32 %l, %laneid; setp.lt.u32 %p, %l, 16; @%p ret;" + kLoadC + ", [%pc], 16;",
      Fault::Kind::kBarrier, "");
}

TEST(WmmaRules, StoredRowsDoNotOverlap) {
  expect_fault(kLoadC + ", [%pc], 16;" + kStoreD + "[%pd], " + registers("c", 8) + ", 8;", Fault::Kind::kRace,
               "overwrite each other");
}

TEST(WmmaRules, AnotherWarpsRowsNeedABarrier) {
  const auto with = [](const std::string& between) {
    const std::string body = std::string(kRegisters) + R"(
      .shared .align 32 .b8 tile[1024];
      .reg .pred %p; .reg .b32 %t; .reg .b64 %x;
      mov.u32 %t, %tid.x; setp.ge.u32 %p, %t, 32; mov.u64 %x, tile; cvta.shared.u64 %x, %x;
      @%p bra SECOND;
      )" + kLoadC + ", [%pc], 16;" +
                             kStoreD + "[%x], " + registers("c", 8) + ", 16;\nSECOND:\n" + between + "\n@!%p ret;\n" +
                             kLoadC + ", [%x], 16;";
    Machine machine({.schedule = Schedule::kInOrder});
    const Address c = upload(machine, counted(1024));
    machine.launch(*Program::parse(module_of(kParameters, body)), "k", shape(1, 64), parameters({c, c, c, c}));
  };
  with("bar.sync 0;");
  const auto fault = fault_of([&] { with(""); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kRace);
}

void expect_refused(const std::string& instruction, Fault::Kind kind, const std::string& text) {
  const auto fault = fault_of([&] { Program::parse(module_of(kParameters, kRegisters + instruction)); });
  ASSERT_TRUE(fault) << instruction;
  EXPECT_EQ(fault->kind(), kind) << fault->what();
  EXPECT_NE(std::string(fault->what()).find(text), std::string::npos) << fault->what();
}

TEST(WmmaRules, WhatIsNotKnownIsRefusedByName) {
  const std::string eight = registers("a", 8), four = registers("a", 4);
  const std::string sums = registers("d", 8) + ", " + eight + ", " + eight + ", " + registers("c", 8) + ";";
  const std::string load = "wmma.load.a.sync.aligned.row.";
  const std::string mma = "wmma.mma.sync.aligned.row.col.m16n16k16.";
  expect_refused(load + "m16n16k8.tf32 " + four + ", [%pa], 8;", Fault::Kind::kUnsupported, "m16n16k16");
  expect_refused(load + "m16n16k16.s8 " + four + ", [%pa], 16;", Fault::Kind::kUnsupported, "f16 and bf16 are known");
  expect_refused(load + "m16n16k16.f16 " + four + ", [%pa], 16;", Fault::Kind::kSyntax, "elements, not 8");
  expect_refused(load + "m16n16k16.const.f16 " + eight + ", [%pa], 16;", Fault::Kind::kSyntax,
                 "in global or in shared memory");
  expect_refused("wmma.load.d.sync.aligned.row.m16n16k16.f32 " + eight + ", [%pa], 16;", Fault::Kind::kSyntax,
                 ".a, .b or .c is missing");
  expect_refused("wmma.load.a.row.m16n16k16.f16 " + eight + ", [%pa], 16;", Fault::Kind::kSyntax,
                 ".sync.aligned is missing");
  expect_refused("wmma.load.a.sync.aligned.m16n16k16.f16 " + eight + ", [%pa], 16;", Fault::Kind::kSyntax,
                 "the layout .row or .col is missing");
  expect_refused(mma + "f32.f32.satfinite " + sums, Fault::Kind::kUnsupported, "satfinite");
  expect_refused(mma + "f32.f16.bf16.f32 " + sums, Fault::Kind::kUnsupported, "factors of one type");
  expect_refused(mma + "f32.tf32.tf32.f32 " + sums, Fault::Kind::kUnsupported, "factors of f16 and bf16");
  expect_refused(mma + "s32.s32 " + sums, Fault::Kind::kUnsupported, "accumulators of f16 and f32");
  expect_refused(mma + "f16.bf16.bf16.f32 " + sums, Fault::Kind::kSyntax, "accumulators of f32");
}

}  // namespace
}  // namespace flashmask::emulator::test
