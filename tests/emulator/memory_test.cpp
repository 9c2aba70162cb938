#include <gtest/gtest.h>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

/// Runs a body that knows %g (global address of 256 initialised bytes) and %t (thread).
std::optional<Fault> fault_in(const std::string& body, const std::string& globals = "", std::uint32_t threads = 32,
                              std::size_t shared_bytes = 0) {
  return fault_of([&] {
    Machine machine;
    const Address data = upload(machine, std::vector<std::uint8_t>(256, 1));
    machine.launch(*Program::parse(module_of(".param .u64 data", R"(
      .reg .b64 %g, %x; .reg .b32 %t, %r, %s; .reg .b16 %h; .reg .pred %p;
      ld.param.u64 %g, [data]; mov.u32 %t, %tid.x;
      )" + body,
                                             globals)),
                   "k", shape(1, threads, shared_bytes), parameters({data}));
  });
}

void expect_fault(Fault::Kind kind, const std::string& body, const std::string& globals = "") {
  const auto fault = fault_in(body, globals);
  ASSERT_TRUE(fault) << body;
  EXPECT_EQ(fault->kind(), kind) << body << "\n" << fault->what();
}

TEST(Strictness, AReportHasRuleLineAndThread) {
  const auto fault = fault_in("mad.wide.u32 %x, %t, 16, %g;\nadd.u64 %x, %x, 4;\nld.global.u32 %r, [%x+0]; // here");
  ASSERT_TRUE(fault);
  const std::string report = fault->what();
  EXPECT_EQ(fault->kind(), Fault::Kind::kOutOfBounds);
  EXPECT_NE(report.find("ld.global.u32 %r, [%x+0]; // here"), std::string::npos) << report;
  EXPECT_NE(report.find("lane 16 (thread 16,0,0)"), std::string::npos) << report;
  EXPECT_NE(report.find("256 bytes"), std::string::npos) << report;
}

TEST(Strictness, UninitialisedBytesAreFoundOneByOne) {
  const std::string shared = ".shared .align 16 .b8 tile[64];\n";
  expect_fault(Fault::Kind::kUninitialised, "ld.shared.u32 %r, [tile];", shared);
  expect_fault(Fault::Kind::kUninitialised,
               "st.shared.u8 [tile], %t; st.shared.u8 [tile+1], %t; st.shared.u8 [tile+3], %t;"
               "ld.shared.u32 %r, [tile];",
               shared);
  expect_fault(Fault::Kind::kUninitialised,
               "st.shared.u32 [tile], %t; st.shared.u32 [tile+4], %t; "
               "ld.shared.v4.u32 {%r, %s, %r, %s}, [tile];",
               shared);
  expect_fault(Fault::Kind::kUninitialised,
               ".local .align 4 .b8 own[8]; st.local.u32 [own], %t; ld.local.u32 %r, [own+4];");
}

TEST(Strictness, BytesThatWereWrittenAreReadable) {
  EXPECT_EQ(evaluate(R"(
    .shared .align 16 .b8 tile[64];
    st.shared.u8 [tile+7], 0x44; st.shared.u8 [tile+6], 0x33; st.shared.u16 [tile+4], 0x2211;
    bar.warp.sync -1;
    ld.shared.u32 %d, [tile+4];)"),
            0x44332211u);
}

TEST(Strictness, MemoryOfOneCtaIsNotInitialisedForTheNext) {
  const std::string text = module_of("", R"(
    .shared .align 4 .u32 word; .reg .b32 %c, %r; .reg .pred %p;
    mov.u32 %c, %ctaid.x; setp.eq.u32 %p, %c, 9;
    @!%p st.shared.u32 [word], 1;
    ld.shared.u32 %r, [word];)");
  Machine machine;
  const auto fault = fault_of([&] { machine.launch(*Program::parse(text), "k", shape(10, 1), {}); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kUninitialised);
}

TEST(Strictness, BoundsOfEverySpace) {
  expect_fault(Fault::Kind::kOutOfBounds, "ld.global.u8 %h, [%g+256];");
  expect_fault(Fault::Kind::kOutOfBounds, "ld.global.u8 %h, [%g-1];");
  expect_fault(Fault::Kind::kOutOfBounds, "st.global.u32 [%g+1048576], %t;");
  expect_fault(Fault::Kind::kOutOfBounds, "mov.u64 %x, 0; ld.global.u32 %r, [%x];");
  expect_fault(Fault::Kind::kOutOfBounds, "st.shared.u32 [tile+64], %t;", ".shared .align 4 .b8 tile[64];\n");
  expect_fault(Fault::Kind::kOutOfBounds, ".local .align 4 .b8 own[16]; st.local.u32 [own+16], %t;");
  expect_fault(Fault::Kind::kOutOfBounds, "ld.param.u32 %r, [data+8];");
}

TEST(Strictness, DynamicSharedMemoryEndsWhereTheLaunchSays) {
  const std::string globals = ".extern .shared .align 16 .b8 smem[];\n.shared .align 4 .b8 fixed[20];\n";
  EXPECT_FALSE([&] {
    try {
      Machine machine;
      machine.launch(
          *Program::parse(module_of("", ".reg .b32 %r; mov.u32 %r, smem; st.shared.u32 [%r+28], %r;", globals)), "k",
          shape(1, 1, 32), {});
    } catch (const Fault&) {
      return true;
    }
    return false;
  }());
  const auto fault = fault_in("mov.u32 %r, smem; st.shared.u32 [%r+32], %t;", globals, 32, 32);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kOutOfBounds);
}

TEST(Strictness, AddressesMustBeAligned) {
  expect_fault(Fault::Kind::kMisaligned, "ld.global.u32 %r, [%g+2];");
  expect_fault(Fault::Kind::kMisaligned, "ld.global.v4.u32 {%r, %s, %r, %s}, [%g+8];");
  expect_fault(Fault::Kind::kMisaligned, "st.shared.u16 [tile+1], %h;", ".shared .align 4 .b8 tile[64];\n");
}

TEST(Strictness, ReleasedMemoryIsGone) {
  Machine machine;
  const Address data = upload(machine, std::vector<std::uint8_t>(256, 1));
  machine.release(data);
  const auto program = Program::parse(module_of(".param .u64 data",
                                                ".reg .b64 %g; .reg .b32 %r; ld.param.u64 %g, [data]; "
                                                "ld.global.u32 %r, [%g];"));
  const auto fault = fault_of([&] { machine.launch(*program, "k", shape(1, 1), parameters({data})); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kOutOfBounds);
  EXPECT_EQ(fault_of([&] { machine.release(data); })->kind(), Fault::Kind::kOutOfBounds);
}

TEST(Host, ReadsOfBytesThatNobodyWroteAreFaults) {
  Machine machine;
  const Address data = machine.allocate(16);
  machine.fill(data, 7, 8);
  EXPECT_EQ(download<std::uint8_t>(machine, data, 8), std::vector<std::uint8_t>(8, 7));
  EXPECT_EQ(fault_of([&] { download<std::uint8_t>(machine, data, 9); })->kind(), Fault::Kind::kUninitialised);
  EXPECT_EQ(fault_of([&] { download<std::uint8_t>(machine, data, 17); })->kind(), Fault::Kind::kOutOfBounds);
  EXPECT_EQ(data % 256, 0u);
}

TEST(Memory, GenericAddressesReachEverySpace) {
  EXPECT_EQ(evaluate(R"(
    .shared .align 4 .u32 word; .local .align 4 .u32 own;
    mov.u32 %r, word; cvt.u64.u32 %x, %r; cvta.shared.u64 %x, %x;
    st.u32 [%x], 5;
    mov.u64 %y, own; cvta.local.u64 %y, %y;
    st.u32 [%y], 6;
    isspacep.shared %p, %x; isspacep.global %q, %y;
    bar.warp.sync -1; ld.shared.u32 %r, [word]; ld.local.u32 %s, [own];
    shl.b32 %r, %r, 4; or.b32 %d, %r, %s;
    @%p or.b32 %d, %d, 0x100; @%q or.b32 %d, %d, 0x200;
    cvta.param.u64 %x, in; ld.u64 %x, [%x];
    cvta.to.local.u64 %y, %y; ld.local.u32 %s, [%y]; mad.lo.u32 %d, %s, 0x1000, %d;)"),
            0x6156u);
}

TEST(Memory, ModuleVariablesHoldTheirInitialValuesAndStay) {
  const std::string text =
      module_of(".param .u64 out", R"(
    .reg .b64 %o, %p; .reg .b32 %a, %b, %c;
    ld.param.u64 %o, [out];
    ld.const.u32 %a, [table+4];
    ld.global.u64 %p, [pointer]; ld.global.u32 %b, [%p];
    atom.global.add.u32 %c, [counter], 1;
    st.global.u32 [%o], %a; st.global.u32 [%o+4], %b; st.global.u32 [%o+8], %c;)",
                ".const .align 4 .b8 table[8] = {1, 0, 0, 0, 2, 1, 0, 0};\n.global .align 4 .u32 counter;\n"
                ".global .align 4 .u32 numbers[3] = {7, 8, 9};\n"
                ".global .align 8 .u64 pointer = generic(numbers)+8;\n");
  const auto program = Program::parse(text);
  Machine machine;
  const Address out = machine.allocate(12);
  machine.launch(*program, "k", shape(1, 1), parameters({out}));
  machine.launch(*program, "k", shape(1, 1), parameters({out}));
  EXPECT_EQ(download<std::uint32_t>(machine, out, 3), (std::vector<std::uint32_t>{0x102, 9, 1}));
}

TEST(Memory, NarrowLoadsExtendAndVectorsKeepTheirOrder) {
  EXPECT_EQ(evaluate(R"(
    .shared .align 16 .b8 tile[16];
    st.shared.v4.u32 [tile], {%a, %b, %c, 4};
    bar.warp.sync -1; ld.shared.s8 %r, [tile]; ld.shared.u8 %h, [tile]; cvt.u32.u16 %s, %h;
    ld.shared.v2.u32 {%t, %e}, [tile+8];
    add.u32 %d, %r, %s; add.u32 %d, %d, %t; add.u32 %d, %d, %e;)",
                     0xff, 0, 3),
            0xffu - 1 + 7);
  EXPECT_EQ(evaluate(R"(
    .shared .align 16 .b8 tile[16]; .reg .b128 %w;
    st.shared.v2.u64 [tile], {%wa, %wb}; bar.warp.sync -1;
    ld.shared.b128 %w, [tile]; mov.b128 {%x, %y}, %w; cvt.u32.u64 %d, %y;)",
                     1, 9),
            9u);
}

// --- asynchronous copies
// ------------------------------------------------------------------------------------------------

const std::string kCopyHead = R"(
  .shared .align 16 .b8 tile[2048]; .reg .b32 %at, %v; .reg .b64 %from;
  mad.wide.u32 %from, %t, 8, %g; shl.b32 %at, %t, 4;
)";

TEST(AsyncCopy, ArrivesWhenItsThreadWaits) {
  const std::string text = module_of(".param .u64 data, .param .u64 out", R"(
    .shared .align 16 .b8 tile[512]; .reg .b64 %g, %o, %x; .reg .b32 %t, %at, %v, %n; .reg .pred %p;
    ld.param.u64 %g, [data]; ld.param.u64 %o, [out]; mov.u32 %t, %tid.x;
    mad.wide.u32 %x, %t, 16, %g; shl.b32 %at, %t, 4; and.b32 %n, %t, 15; setp.eq.u32 %p, %t, 3;
    cp.async.cg.shared.global.L2::128B [%at], [%x], 16, %n;
    cp.async.commit_group;
    cp.async.wait_group 0;
    bar.sync 0;
    ld.shared.u8 %v, [%at+14];
    mad.wide.u32 %x, %t, 4, %o; st.global.u32 [%x], %v;
    bar.sync 0;
    mad.wide.u32 %x, %t, 4, %g; shl.b32 %at, %t, 2;
    cp.async.ca.shared.global [%at], [%x], 4, %p;
    cp.async.wait_all;
    ld.shared.u32 %v, [%at]; mad.wide.u32 %x, %t, 4, %o; st.global.u32 [%x+128], %v;)");
  Machine machine;
  const Address data = upload(machine, std::vector<std::uint8_t>(512, 5));
  const Address out = machine.allocate(256);
  const Statistics statistics = machine.launch(*Program::parse(text), "k", shape(1, 32), parameters({data, out}));
  const auto result = download<std::uint32_t>(machine, out, 64);
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(result[lane], lane % 16 == 15 ? 5u : 0u) << lane;  // beyond the source's size: zeros
    EXPECT_EQ(result[32 + lane], lane == 3 ? 0u : 0x05050505u);  // ignored source: zeros
  }
  EXPECT_EQ(statistics.by_class.at("cp.async"), 2u);
  EXPECT_EQ(statistics.global_bytes_read, 2 * 120u + 31 * 4);
  // The copies have none; words 16 bytes apart meet four to a bank.
  EXPECT_EQ(statistics.shared_bank_conflicts, 3u);
}

TEST(AsyncCopy, OwnsItsDestinationUntilTheWaitThatCoversIt) {
  const std::string copy = kCopyHead + "cp.async.ca.shared.global [%at], [%from], 8; cp.async.commit_group;\n";
  const auto read = fault_in(copy + "ld.shared.u32 %v, [%at];");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind(), Fault::Kind::kPending);
  const std::string report = read->what();
  EXPECT_NE(report.find("cp.async.ca.shared.global"), std::string::npos) << report;
  EXPECT_NE(report.find("ld.shared.u32 %v"), std::string::npos) << report;
  expect_fault(Fault::Kind::kPending, copy + "st.shared.u32 [%at+4], %t;");
  expect_fault(Fault::Kind::kPending, copy + "cp.async.ca.shared.global [%at], [%from], 4;");
  expect_fault(Fault::Kind::kPending, copy + "cp.async.wait_group 1; ld.shared.u32 %v, [%at];");
  // Not committed: only wait_all covers it.
  expect_fault(Fault::Kind::kPending, kCopyHead +
                                          "cp.async.ca.shared.global [%at], [%from], 8; cp.async.wait_group 0;"
                                          "ld.shared.u32 %v, [%at];");
  // Another thread's wait does not help, whatever barrier follows.
  const auto other = fault_in(kCopyHead + R"(
    setp.lt.u32 %p, %t, 32; @%p cp.async.ca.shared.global [%at], [%from], 8; cp.async.commit_group;
    @!%p cp.async.wait_group 0;
    bar.sync 0; xor.b32 %at, %at, 512;
    @!%p ld.shared.u32 %v, [%at];)",
                              "", 64);
  ASSERT_TRUE(other);
  EXPECT_EQ(other->kind(), Fault::Kind::kPending);
}

TEST(AsyncCopy, OwnsItsSource) {
  const std::string copy = kCopyHead + "cp.async.ca.shared.global [%at], [%from], 8; cp.async.commit_group;\n";
  expect_fault(Fault::Kind::kPending, copy + "st.global.u32 [%g+128], %t;");
  expect_fault(Fault::Kind::kPending, copy + "red.global.add.u32 [%g+128], %t;");
  EXPECT_NO_THROW({
    Machine machine;
    const Address data = upload(machine, std::vector<std::uint8_t>(256, 1));
    machine.launch(*Program::parse(module_of(".param .u64 data",
                                             ".reg .b64 %g; .reg .b32 %t; ld.param.u64 %g, [data]; "
                                             "mov.u32 %t, %tid.x;" +
                                                 kCopyHead +
                                                 "cp.async.ca.shared.global [%at], [%from], 8; cp.async.commit_group;"
                                                 "cp.async.wait_group 0; bar.sync 0; st.global.u32 [%g+128], %t;")),
                   "k", shape(1, 32), parameters({data}));
  });
}

TEST(AsyncCopy, ChecksBothEnds) {
  expect_fault(Fault::Kind::kMisaligned, kCopyHead + "cp.async.cg.shared.global [%at+8], [%g], 16;");
  expect_fault(Fault::Kind::kMisaligned, kCopyHead + "cp.async.cg.shared.global [%at], [%g+8], 16;");
  expect_fault(Fault::Kind::kOutOfBounds, kCopyHead + "cp.async.cg.shared.global [%at+2048], [%g], 16;");
  expect_fault(Fault::Kind::kOutOfBounds, kCopyHead + "cp.async.cg.shared.global [%at], [%g+256], 16;");
  expect_fault(Fault::Kind::kSyntax, kCopyHead + "cp.async.cg.shared.global [%at], [%g], 8;");
}

TEST(AsyncCopy, StatisticsTellWhichProductsHadACopyInFlight) {
  const std::string text = module_of(".param .u64 data", R"(
    .reg .b64 %g; .reg .b32 %t;
    ld.param.u64 %g, [data]; mov.u32 %t, %tid.x;)" + kCopyHead +
                                                             R"(
    mov.b32 %v, 0;
    cp.async.ca.shared.global [%at], [%from], 8; cp.async.commit_group;
    mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%v, %v}, {%v, %v, %v, %v}, {%v, %v}, {%v, %v};
    cp.async.wait_group 0;
    mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%v, %v}, {%v, %v, %v, %v}, {%v, %v}, {%v, %v};)");
  Machine machine;
  const Address data = upload(machine, std::vector<std::uint8_t>(256, 1));
  const Statistics statistics = machine.launch(*Program::parse(text), "k", shape(1, 32), parameters({data}));
  EXPECT_EQ(statistics.mma_with_copy_in_flight, 1u);
  EXPECT_EQ(statistics.mma_without_copy_in_flight, 1u);
}

TEST(Prefetch, OfCachesAndTensorMapsMovesNothing) {
  const auto prefetch = [](const std::string& modifiers) {
    return module_of(".param .u64 data, .param .align 64 .b8 map[128]", R"(
      .reg .b64 %g, %map;
      ld.param.u64 %g, [data];
      mov.b64 %map, map;
      cvta.param.u64 %map, %map;
      prefetch)" + modifiers,
                     "", "sm_90a");
  };
  for (const char* modifiers :
       {".global.L1 [%g];", ".global.L2 [%g];", ".L1 [%g];", ".tensormap [%map];", ".param.tensormap [map];"}) {
    SCOPED_TRACE(modifiers);
    Machine machine;
    std::vector<std::uint64_t> words(24, 0);
    words[0] = machine.allocate(16);  // that nobody has written
    const Statistics statistics =
        machine.launch(*Program::parse(prefetch(modifiers)), "k", shape(1, 32), parameters(words));
    EXPECT_EQ(statistics.global_bytes_read, 0u);
  }
  const auto fault = fault_of([&] { Program::parse(prefetch(".global.L3 [%g];")); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kUnsupported) << fault->what();
}

TEST(Launch, IsRefusedWhenNoDeviceWouldTakeIt) {
  Machine machine;
  const auto program = Program::parse(module_of(".param .u64 data", ""));
  const auto kind = [&](const LaunchShape& given, std::size_t words, const char* entry = "k") {
    return fault_of([&] { machine.launch(*program, entry, given, parameters(std::vector<std::uint64_t>(words, 0))); })
        ->kind();
  };
  EXPECT_EQ(kind(shape(1, 2048), 1), Fault::Kind::kLaunch);
  EXPECT_EQ(kind(shape(0, 32), 1), Fault::Kind::kLaunch);
  EXPECT_EQ(kind(shape(1, 32, 300000), 1), Fault::Kind::kLaunch);
  EXPECT_EQ(kind(shape(1, 32), 2), Fault::Kind::kLaunch);
  EXPECT_EQ(kind(shape(1, 32), 1, "other"), Fault::Kind::kLaunch);
}

TEST(Launch, AfterAFaultTheMachineGoesOn) {
  Machine machine;
  const Address data = upload(machine, std::vector<std::uint8_t>(256, 1));
  const auto bad = Program::parse(module_of(".param .u64 data",
                                            ".reg .b64 %g; .reg .b32 %t; ld.param.u64 %g, [data]; mov.u32 %t, "
                                            "%tid.x;" +
                                                kCopyHead + "cp.async.ca.shared.global [%at], [%from], 8; trap;"));
  const auto good =
      Program::parse(module_of(".param .u64 data", ".reg .b64 %g; ld.param.u64 %g, [data]; st.global.u32 [%g], 3;"));
  EXPECT_EQ(fault_of([&] { machine.launch(*bad, "k", shape(1, 32), parameters({data})); })->kind(), Fault::Kind::kTrap);
  machine.launch(*good, "k", shape(1, 32), parameters({data}));
  EXPECT_EQ(download<std::uint32_t>(machine, data, 1)[0], 3u);
}

TEST(Addresses, OfClusterSharedMemoryLieInTheWindowOfSharedMemory) {
  const std::string difference = "cvta.shared::cluster.u64 %x, %wa; cvta.shared.u64 %y, %wa; sub.s64 %wd, %x, %y;";
  EXPECT_EQ(evaluate_wide(difference, 64), 0u);
}

}  // namespace
}  // namespace flashmask::emulator::test
