#include <gtest/gtest.h>

#include <utility>

#include "tests/emulator/harness.h"
#include "tests/emulator/scenario.h"

namespace flashmask::emulator::test {
namespace {

const std::string kLoad =
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [data], [%in], 64, [full];\n";
const std::string kStore = "cp.async.bulk.global.shared::cta.bulk_group [%out], [data], 64;\n";
const std::string kCommit = "cp.async.bulk.commit_group;\n";
const std::string kWait = "WAIT:\nmbarrier.try_wait.parity.shared::cta.b64 %p7, [full], 0;\n@!%p7 bra WAIT;\n";

/// `full` expects one arrival, and the first 64 bytes of `data` are written.
std::string prepared() {
  return R"(
    setp.lt.u32 %p6, %thread, 16;
    mul.lo.u32 %r15, %thread, 4;
    add.u32 %r15, %r15, data;
    @%p6 st.shared.u32 [%r15], %thread;
    @%t0 mbarrier.init.shared::cta.b64 [full], 1;
    fence.proxy.async;
    bar.sync 0;
  )";
}

/// Thread 0 loads 64 bytes into `data` in bulk; then `rest` runs in all threads.
Scenario loaded(const std::string& rest) {
  return {.body = prepared() + "@!%t0 bra ISSUED;\nmbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;\n" + kLoad +
                  "ISSUED:\n" + rest};
}

/// Thread 0 stores the 64 bytes of `data` in bulk and goes on with `own`; then `rest` runs in all threads.
Scenario stored(const std::string& own, const std::string& rest = "") {
  return {.body = prepared() + "@!%t0 bra ISSUED;\n" + kStore + kCommit + own + "ISSUED:\n" + rest};
}

// --- loads -----------------------------------------------------------------------------------------------------------

TEST(BulkLoad, IsReadAfterAWaitForItsMbarrier) {
  expect_legal(loaded(kWait + "ld.shared.u32 %r0, [data+60];\nsetp.ne.u32 %p0, %r0, 15;\n@%p0 trap;"));
}

TEST(BulkLoad, TheWaitOfOneThreadReachesOthersThroughABarrier) {
  const auto scenario = [](const std::string& barrier) {
    return loaded("@!%t0 bra WAITED;\n" + kWait + "WAITED:\n" + barrier + "ld.shared.u32 %r0, [data+60];");
  };
  expect_legal(scenario("bar.sync 0;\n"));
  // Whether it has landed or not: it is in flight, or nothing orders it.
  for (const Schedule schedule : all_schedules()) {
    MachineOptions options;
    options.schedule = schedule;
    const auto fault = fault_of([&] { Stage(options).run(scenario("")); });
    ASSERT_TRUE(fault);
    EXPECT_TRUE(fault->kind() == Fault::Kind::kPending || fault->kind() == Fault::Kind::kRace) << fault->what();
    EXPECT_NE(std::string(fault->what()).find("ld.shared.u32 %r0, [data+60];"), std::string::npos) << fault->what();
  }
}

/// How many products of a warp were issued while the load was in flight and, after `ends`, while none was.
std::pair<std::uint64_t, std::uint64_t> products_around(const std::string& ends, Schedule schedule,
                                                        const std::string& last = "") {
  // B is the second KiB of `data`, A and the accumulators are zeros.
  const std::string product = R"(
    wgmma.fence.sync.aligned;
    wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%d0, %d1, %d2, %d3}, {%r0, %r1, %r2, %r3}, %x0, 1, 1, 1, 0;
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned 0;
  )";
  const std::string operands = R"(
    .reg .f32 %d<4>;
    mov.f32 %d0, 0f00000000; mov.f32 %d1, %d0; mov.f32 %d2, %d0; mov.f32 %d3, %d0;
    mov.b32 %r0, 0; mov.b32 %r1, 0; mov.b32 %r2, 0; mov.b32 %r3, 0;
    mul.lo.u32 %r15, %thread, 8;
    add.u32 %r15, %r15, data;
    mov.b64 %x0, 0;
    st.shared.b64 [%r15+1024], %x0;
    mov.u32 %r15, data;
    add.u32 %r15, %r15, 1024;
    shr.u32 %r15, %r15, 4;
    cvt.u64.u32 %x0, %r15;
    or.b64 %x0, %x0, 0x1000080000;
  )";
  MachineOptions options;
  options.schedule = schedule;
  Scenario scenario = loaded("bar.sync 0;\n" + product + ends + "bar.sync 0;\n" + product + last);
  scenario.body = operands + scenario.body;
  scenario.threads = 128;
  const Statistics statistics = Stage(options).run(scenario);
  return {statistics.mma_with_copy_in_flight, statistics.mma_without_copy_in_flight};
}

TEST(BulkLoad, IsInFlightForProductsUntilSomebodyHasWaitedForIt) {
  for (const Schedule schedule : all_schedules()) {
    SCOPED_TRACE(std::string(name_of(schedule)));
    // Each warp has its part of a product.
    EXPECT_EQ(products_around("bar.sync 0;\n@!%t0 bra WAITED;\n" + kWait + "WAITED:\n", schedule), std::pair(4ul, 4ul));
    EXPECT_EQ(products_around("", schedule, "bar.sync 0;\n" + kWait), std::pair(8ul, 0ul));
  }
}

TEST(BulkLoad, IsNotInFlightForProductsOnceItsMbarrierIsGone) {
  // It lands at its issue.
  EXPECT_EQ(products_around("bar.sync 0;\n@%t0 mbarrier.inval.shared::cta.b64 [full];\n", Schedule::kInOrder),
            std::pair(4ul, 4ul));
}

TEST(BulkLoad, OwnsItsDestinationInFlight) {
  MachineOptions options;
  options.schedule = Schedule::kLateLandings;
  for (const std::string access :
       {"ld.shared.u32 %r0, [data+60];", "st.shared.u32 [data+60], 1;", "atom.shared.add.u32 %r0, [data+60], 1;"}) {
    const auto fault = fault_of([&] { Stage(options).run(loaded("@%t0 " + access + "\n" + kWait)); });
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->kind(), Fault::Kind::kPending) << fault->what();
    const std::string report = fault->what();
    EXPECT_NE(report.find("which an asynchronous copy in flight will write"), std::string::npos) << report;
    EXPECT_NE(report.find(kLoad.substr(0, kLoad.size() - 1)), std::string::npos) << report;
    EXPECT_NE(report.find("warp 0, lane 0 (thread 0,0,0)"), std::string::npos) << report;
    EXPECT_NE(report.find(access), std::string::npos) << report;
  }
}

TEST(BulkLoad, OwnsItsSourceInFlight) {
  MachineOptions options;
  options.schedule = Schedule::kLateLandings;
  const auto fault = fault_of([&] { Stage(options).run(loaded("@%t0 st.global.u32 [%in+60], 1;\n" + kWait)); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kPending);
  EXPECT_NE(std::string(fault->what()).find("which an asynchronous copy still reads"), std::string::npos);
}

TEST(BulkLoad, OverwritesWhatAnEmptyMbarrierSaysWasRead) {
  // The reader needs no proxy fence: reads before asynchronous writes are ordered by the arrival alone.
  const auto scenario = [](const std::string& wait) {
    return Scenario{.body = prepared() + R"(
      @%t0 mbarrier.init.shared::cta.b64 [empty], 32;
      fence.proxy.async;
      bar.sync 0;
      @%w0 bra PRODUCER;
      ld.shared.u32 %r0, [data+4];
      mbarrier.arrive.shared::cta.b64 _, [empty];
      ret;
      PRODUCER:
      @!%t0 ret;
      )" + wait + R"(
      mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
      )" + kLoad + kWait};
  };
  expect_legal(scenario("EMPTY: mbarrier.try_wait.parity.shared::cta.b64 %p0, [empty], 0;\n@!%p0 bra EMPTY;"));
  MachineOptions options;
  options.schedule = Schedule::kReversed;  // the reader first
  const auto fault = fault_of([&] { Stage(options).run(scenario("")); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kRace) << fault->what();
  EXPECT_NE(std::string(fault->what()).find("it writes asynchronously 64 bytes at shared+0x0"), std::string::npos);
}

TEST(BulkLoad, WithoutAProxyFenceAfterOrdinaryReadsIsNoted) {
  const auto notes_of = [](const std::string& fence) {
    MachineOptions options;
    options.pedantic = true;
    Stage stage(options);
    stage.run({.body = prepared() + "@%w1 ld.shared.u32 %r0, [data];\n" + fence + R"(
      bar.sync 0;
      @!%t0 bra ISSUED;
      mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
      )" + kLoad + "ISSUED:\n" +
                       kWait});
    return stage.machine.take_notes();
  };
  EXPECT_TRUE(notes_of("fence.proxy.async;").empty());
  const std::vector<std::string> notes = notes_of("");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find(kLoad.substr(0, kLoad.size() - 1)), std::string::npos) << notes[0];
  EXPECT_NE(notes[0].find("overwrites what ordinary loads read, without fence.proxy.async between"), std::string::npos);
}

TEST(BulkLoad, KeepsToAlignmentsBoundsAndObjects) {
  const auto copy = [](const std::string& operands) {
    return loaded("@%t0 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes " + operands + ", [full];");
  };
  expect_fault(copy("[data+72], [%in], 16"), Fault::Kind::kMisaligned, {"the target"});
  expect_fault(copy("[data+80], [%in+8], 16"), Fault::Kind::kMisaligned, {"the source"});
  expect_fault(copy("[data+80], [%in], 24"), Fault::Kind::kMisaligned, {"the size"});
  expect_fault(copy("[data+80], [%in+4080], 32"), Fault::Kind::kOutOfBounds,
               {"it reads 32 bytes at the global address"});
  expect_fault(copy("[data+4096], [%in], 16"), Fault::Kind::kMbarrier, {"where an mbarrier is"});
}

TEST(BulkLoad, LateLandingsMakeAMissingWaitVisibleWithoutTheCheckOfRaces) {
  MachineOptions options;
  options.races = false;
  options.schedule = Schedule::kLateLandings;
  const auto fault = fault_of([&] { Stage(options).run(loaded("@%t0 ld.shared.u32 %r0, [data+60];\n" + kWait)); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kPending);
}

TEST(BulkLoad, MustCompleteBeforeItsCtaEnds) {
  MachineOptions options;
  options.schedule = Schedule::kLateLandings;
  const auto fault = fault_of([&] { Stage(options).run(loaded("")); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kPending);
  const std::string report = fault->what();
  EXPECT_NE(
      report.find("the CTA (0,0,0) ends while an asynchronous copy still writes its shared memory; a wait for its "
                  "mbarrier must come before"),
      std::string::npos)
      << report;
  EXPECT_NE(report.find("in CTA (0,0,0), warp 0, lane 0 (thread 0,0,0)"), std::string::npos) << report;
}

// --- stores ----------------------------------------------------------------------------------------------------------

TEST(BulkStore, FreesItsSourceWithWaitGroupRead) {
  const auto scenario = [](const std::string& wait) {
    return stored(wait, "bar.sync 0;\n@%w1 st.shared.u32 [data], 7;");
  };
  expect_legal(scenario("cp.async.bulk.wait_group.read 0;\n"));
  expect_legal(scenario("cp.async.bulk.wait_group 0;\n"));
  // Without it the copy still reads, whatever the schedule; with more groups allowed in flight as well.
  for (const std::string wait : {"", "cp.async.bulk.wait_group.read 1;\n"}) {
    expect_fault(scenario(wait), Fault::Kind::kPending,
                 {"which an asynchronous operation still reads", kStore.substr(0, kStore.size() - 1),
                  "what would order them: cp.async.bulk.wait_group.read by the thread that issued it",
                  "st.shared.u32 [data], 7;"});
  }
}

TEST(BulkStore, TheWaitOfItsThreadReachesOthersThroughABarrierOnly) {
  MachineOptions options;
  options.schedule = Schedule::kInOrder;
  const Scenario scenario =
      stored("cp.async.bulk.wait_group.read 0;\nst.relaxed.gpu.global.u32 [flag], 1;\n",
             "SPIN: ld.relaxed.gpu.global.u32 %r0, [flag];\nsetp.eq.u32 %p0, %r0, 0;\n@%p0 bra SPIN;\n"
             "@%w1 st.shared.u32 [data], 7;");
  expect_race(scenario, {"an asynchronous read by CTA (0,0,0), warp 0, lane 0", kStore.substr(0, kStore.size() - 1)});
}

TEST(BulkStore, IsSeenInGlobalMemoryAfterWaitGroupOnly) {
  const auto scenario = [](const std::string& wait) {
    return stored(wait, "bar.sync 0;\n@%w1 ld.global.u32 %r0, [%out+60];");
  };
  expect_legal(scenario("cp.async.bulk.wait_group 0;\n"));
  expect_fault(scenario("cp.async.bulk.wait_group.read 0;\n"), Fault::Kind::kPending,
               {"which an asynchronous copy in flight will write", kStore.substr(0, kStore.size() - 1)});
}

TEST(BulkStore, OnlyTheIssuingThreadCanWaitForIt) {
  expect_fault(stored("", "@%w1 cp.async.bulk.wait_group 0;\nbar.sync 0;\n@%w1 st.shared.u32 [data], 7;"),
               Fault::Kind::kPending);
}

TEST(BulkStore, OfAGroupThatIsNotCommittedIsNotWaitedFor) {
  expect_fault({.body = prepared() + "@!%t0 bra ISSUED;\n" + kStore +
                        "cp.async.bulk.wait_group.read 0;\nISSUED:\nbar.sync 0;\n@%w1 st.shared.u32 [data], 7;"},
               Fault::Kind::kPending);
}

TEST(BulkStore, MustHaveReadBeforeItsCtaEnds) {
  expect_fault(
      stored(""), Fault::Kind::kPending,
      {"ends while an asynchronous copy still reads its shared memory; cp.async.bulk.wait_group.read 0 must come "
       "before its last thread exits"});
  Stage stage;
  stage.run(stored("cp.async.bulk.wait_group.read 0;\n"));
  EXPECT_EQ(stage.words(16)[15], 15u) << "the rest lands by itself";
}

TEST(BulkStore, OfBytesThatNobodyWroteIsReported) {
  expect_fault({.body = prepared() + "@%t0 cp.async.bulk.global.shared::cta.bulk_group [%out], [data], 80;"},
               Fault::Kind::kUninitialised, {"it reads 80 bytes at shared+0x0, of which byte 64 was never written"});
}

TEST(BulkStore, ReductionsStandBesideEachOtherAndBesideAtomics) {
  const Scenario scenario{.body = prepared() + R"(
    @!%t0 ret;
    cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%out], [data], 64;
    cp.async.bulk.commit_group;
    red.global.add.u32 [%out+4], 100;
    cp.async.bulk.wait_group 0;)",
                          .ctas = 3};
  expect_legal(scenario);
  Stage stage;
  stage.run(scenario);
  EXPECT_EQ(stage.words(16)[1], 303u);
  EXPECT_EQ(stage.words(16)[15], 45u);
  expect_fault({.body = prepared() + R"(
    @!%t0 ret;
    cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%out], [data], 64;
    st.global.u32 [%out+4], 100;)"},
               Fault::Kind::kPending, {"which an asynchronous reduction in flight will write"});
}

/// Each of three CTAs adds to the same floats. It waits for its turn with `begin` and passes it on with `end`; %r0 is
/// the turn that it sees.
Scenario sums_in_turn(const std::string& begin, const std::string& end) {
  return {.body = prepared() + R"(
    @!%t0 ret;
    WAIT:
    )" + begin + R"(
    cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%out], [data], 64;
    cp.async.bulk.commit_group;
    )" + end,
          .ctas = 3};
}
const std::string kTakeTurn = "ld.acquire.gpu.global.u32 %r0, [flag];\nsetp.ne.u32 %p0, %r0, %cta;\n@%p0 bra WAIT;\n";
const std::string kPassTurn = "red.release.gpu.global.add.u32 [flag], 1;\n";

TEST(BulkStore, SumsOfFloatsThatMustBeOrderedNeedATurnAFenceAndAWaitForTheirEnd) {
  const std::string fence = "fence.proxy.async.global;\n";
  const std::string wait = "cp.async.bulk.wait_group 0;\n";
  const auto run = [](const Scenario& scenario, Schedule schedule) {
    MachineOptions options;
    options.ordered_sums = true;
    options.schedule = schedule;
    Stage(options).run(scenario);
  };
  for (const Schedule schedule : all_schedules()) run(sums_in_turn(kTakeTurn + fence, wait + kPassTurn), schedule);
  const auto expect = [&](const Scenario& scenario, Fault::Kind kind) {
    const auto found = fault_of([&] { run(scenario, Schedule::kReversed); });
    ASSERT_TRUE(found) << scenario.body;
    EXPECT_EQ(found->kind(), kind) << found->what();
    expect_legal(scenario);  // as far as additions may come in any order
  };
  const std::string in_turn_only =
      "ld.relaxed.gpu.global.u32 %r0, [flag];\nsetp.ne.u32 %p0, %r0, %cta;\n@%p0 bra WAIT;\n";
  expect(sums_in_turn("", wait), Fault::Kind::kRace);
  expect(sums_in_turn(in_turn_only + fence, wait + kPassTurn), Fault::Kind::kRace);
  expect(sums_in_turn(kTakeTurn + fence, wait + "red.relaxed.gpu.global.add.u32 [flag], 1;"), Fault::Kind::kRace);
  expect(sums_in_turn(kTakeTurn, wait + kPassTurn), Fault::Kind::kProxy);
  expect(sums_in_turn(kTakeTurn + fence, "cp.async.bulk.wait_group.read 0;\n" + kPassTurn), Fault::Kind::kRace);
}

TEST(BulkStore, ReductionsOfIntegersComeInAnyOrderWhereSumsMustBeOrdered) {
  MachineOptions options;
  options.ordered_sums = true;
  Stage stage(options);
  stage.run({.body = prepared() + R"(
    @!%t0 ret;
    cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%out], [data], 64;
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group 0;)",
             .ctas = 3});
  EXPECT_EQ(stage.words(16)[15], 45u);
}

TEST(BulkStore, AReductionStillOwnsItsBytesAfterAnAtomicStore) {
  expect_fault({.body = prepared() + R"(
    @!%t0 ret;
    cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%out], [data], 64;
    st.relaxed.gpu.global.u32 [%out+4], 100;
    ld.global.u32 %r0, [%out+4];)"},
               Fault::Kind::kPending, {"which an asynchronous reduction in flight will write"});
}

// --- cp.async --------------------------------------------------------------------------------------------------------

TEST(AsyncCopies, AreOrdinaryWritesToAnAsynchronousReader) {
  const auto scenario = [](const std::string& fence) {
    return Scenario{.body = R"(
      setp.lt.u32 %p0, %thread, 4;
      mul.wide.u32 %x0, %thread, 16;
      add.u64 %x0, %x0, %in;
      mul.lo.u32 %r0, %thread, 16;
      add.u32 %r0, %r0, data;
      @%p0 cp.async.cg.shared.global [%r0], [%x0], 16;
      cp.async.wait_all;
      )" + fence + R"(
      bar.sync 0;
      @!%t0 ret;
      )" + kStore + kCommit +
                            "cp.async.bulk.wait_group 0;"};
  };
  expect_legal(scenario("fence.proxy.async;"));
  expect_fault(scenario(""), Fault::Kind::kProxy, {"cp.async.cg.shared.global [%r0], [%x0], 16;"});
}

// --- products of a warpgroup -----------------------------------------------------------------------------------------

/// All of `data` is written, and seen by the asynchronous proxy unless `fence` is empty. %d0 to %d3 are accumulators,
/// %a0 to %a3 a fragment of A; the descriptors of A and B are in %x0 and %x1.
Scenario warpgroup(const std::string& body, const std::string& fence = "fence.proxy.async;") {
  return {.body = R"(
    .reg .f32 %d<4>;
    .reg .b32 %a<4>;
    mul.lo.u32 %r0, %thread, 32;
    add.u32 %r0, %r0, data;
    st.shared.v4.u32 [%r0], {0, 0, 0, 0};
    st.shared.v4.u32 [%r0+16], {0, 0, 0, 0};
    )" + fence + R"(
    bar.sync 0;
    mov.f32 %d0, 0f00000000; mov.f32 %d1, %d0; mov.f32 %d2, %d0; mov.f32 %d3, %d0;
    mov.u32 %a0, 0; mov.u32 %a1, 0; mov.u32 %a2, 0; mov.u32 %a3, 0;
    mov.u64 %x0, 0x1000080000;
    mov.u64 %x1, 0x1000080080;
    )" + body,
          .threads = 128};
}

const std::string kFence = "wgmma.fence.sync.aligned;\n";
const std::string kProduct =
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%d0, %d1, %d2, %d3}, %x0, %x1, 1, 1, 1, 0, 0;\n";
const std::string kProductOfRegisters =
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, %x1, 1, 1, 1, "
    "0;\n";
const std::string kCommitProducts = "wgmma.commit_group.sync.aligned;\n";
const std::string kWaitForProducts = "wgmma.wait_group.sync.aligned 0;\n";

TEST(WarpgroupProducts, NeedTheProxyFenceAfterOrdinaryStores) {
  const std::string body = kFence + kProduct + kCommitProducts + kWaitForProducts;
  expect_legal(warpgroup(body));
  expect_legal(warpgroup("fence.proxy.async;\n" + body, ""));
  expect_fault(warpgroup(body, ""), Fault::Kind::kProxy, {"st.shared.v4.u32 [%r0", "wgmma.mma_async"});
}

TEST(WarpgroupProducts, OwnTheirOperandsInSharedMemoryUntilTheWait) {
  const auto overwritten = [](const std::string& before) {
    return warpgroup(kFence + kProduct + kCommitProducts + before + "@%t0 st.shared.u32 [data], 1;\n" +
                     kWaitForProducts);
  };
  expect_legal(overwritten(kWaitForProducts + "bar.sync 0;\n"));
  expect_fault(overwritten(""), Fault::Kind::kPending,
               {"which an asynchronous operation still reads", kProduct.substr(0, kProduct.size() - 1),
                "what would order them: wgmma.wait_group by the warp that issued it, and a barrier after that"});
}

TEST(WarpgroupProducts, WhatTheyHaveReadIsOverwrittenAfterASignalOfOneLaneOfEachWarp) {
  const auto scenario = [](const std::string& count, const std::string& guard) {
    return warpgroup("@%t0 mbarrier.init.shared::cta.b64 [empty], " + count + R"(;
      bar.sync 0;
      )" + kFence + kProduct +
                     kCommitProducts + kWaitForProducts + guard + R"( mbarrier.arrive.shared::cta.b64 _, [empty];
      @!%t0 ret;
      EMPTY: mbarrier.try_wait.parity.shared::cta.b64 %p0, [empty], 0;
      @!%p0 bra EMPTY;
      st.shared.u32 [data+2048], 1;)");
  };
  expect_legal(scenario("4", "@%l0"));
  expect_legal(scenario("128", ""));
  // The signal of one warp does not speak for the others: their products still read, or nothing orders them.
  for (const Schedule schedule : all_schedules()) {
    MachineOptions options;
    options.schedule = schedule;
    const auto fault = fault_of([&] { Stage(options).run(scenario("1", "@%t0")); });
    ASSERT_TRUE(fault);
    EXPECT_TRUE(fault->kind() == Fault::Kind::kPending || fault->kind() == Fault::Kind::kRace) << fault->what();
    EXPECT_NE(std::string(fault->what()).find("wgmma.mma_async"), std::string::npos) << fault->what();
  }
}

TEST(WarpgroupProducts, OwnTheirAccumulatorsUntilTheWait) {
  const std::string issued = kFence + kProduct + kCommitProducts;
  expect_legal(warpgroup(issued + kWaitForProducts + "add.f32 %d1, %d1, %d1;"));
  expect_fault(warpgroup(issued + "mov.b32 %r1, %d1;\n" + kWaitForProducts), Fault::Kind::kPending,
               {"it reads the register %d1, which a wgmma in flight still accumulates in", "mov.b32 %r1, %d1;"});
  expect_fault(warpgroup(issued + "mov.f32 %d3, 0f00000000;\n" + kWaitForProducts), Fault::Kind::kPending,
               {"it writes the register %d3"});
}

TEST(WarpgroupProducts, LetOneGroupStayInFlight) {
  const std::string other =
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%e0, %e1, %e2, %e3}, %x0, %x1, 0, 1, 1, 0, "
      "0;\n";
  const auto scenario = [&](const std::string& read) {
    return warpgroup(".reg .f32 %e<4>;\n" + kFence + kProduct + kCommitProducts + other + kCommitProducts +
                     "wgmma.wait_group.sync.aligned 1;\nmov.b32 %r1, " + read + ";\n" + kWaitForProducts);
  };
  expect_legal(scenario("%d0"));
  expect_fault(scenario("%e0"), Fault::Kind::kPending, {"the register %e0"});
}

TEST(WarpgroupProducts, NeedAFenceAfterOthersTouchedTheirRegisters) {
  expect_fault(warpgroup(kProduct + kCommitProducts + kWaitForProducts), Fault::Kind::kRegister,
               {"Put wgmma.fence.sync.aligned between the two"});
  expect_fault(warpgroup(kFence + "mov.f32 %d2, 0f00000000;\n" + kProduct + kCommitProducts + kWaitForProducts),
               Fault::Kind::kRegister, {"%d2"});
  // Products of one shape follow each other in the same accumulators without.
  expect_legal(warpgroup(kFence + kProduct + kProduct + kCommitProducts + kWaitForProducts));
}

TEST(WarpgroupProducts, ReadTheirFragmentsOfAUntilTheWait) {
  const std::string issued = kFence + kProductOfRegisters + kCommitProducts;
  expect_legal(warpgroup(issued + kWaitForProducts + "mov.u32 %a1, 1;"));
  expect_legal(warpgroup(issued + "mov.u32 %r1, %a1;\n" + kWaitForProducts));
  expect_fault(warpgroup(issued + "mov.u32 %a1, 1;\n" + kWaitForProducts), Fault::Kind::kPending,
               {"it writes the register %a1, which a wgmma in flight still reads"});
}

TEST(WarpgroupProducts, AreTheSameInAllWarpsOfTheWarpgroup) {
  const std::string end = kCommitProducts + kWaitForProducts;
  expect_fault(warpgroup("@%w1 mov.u64 %x1, 0x1000080081;\n" + kFence + kProduct + end), Fault::Kind::kBarrier,
               {"the warps of warpgroup 0 issue different products: its 1."});
  // All of them, or one warp ends without.
  expect_fault(warpgroup("@%w1 ret;\n" + kFence + kProduct + end), Fault::Kind::kBarrier);
}

TEST(WarpgroupProducts, AreWaitedForBeforeTheWarpEnds) {
  expect_fault(warpgroup(kFence + kProduct + kCommitProducts), Fault::Kind::kPending,
               {"the warp ends while a product has not been waited for"});
  expect_fault(warpgroup(kFence + kProduct), Fault::Kind::kPending, {"has not been committed and waited for"});
}

TEST(WarpgroupProducts, ReadWhatABulkCopyBroughtWithoutAFence) {
  expect_legal(warpgroup(R"(
    @%t0 mbarrier.init.shared::cta.b64 [full], 1;
    @%t0 fence.proxy.async;
    bar.sync 0;
    @!%t0 bra ISSUED;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
    )" + kLoad + "ISSUED:\n" +
                         kWait + kFence + kProduct + kCommitProducts + kWaitForProducts));
}

}  // namespace
}  // namespace flashmask::emulator::test
