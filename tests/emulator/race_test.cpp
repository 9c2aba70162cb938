#include <gtest/gtest.h>

#include "tests/emulator/harness.h"
#include "tests/emulator/scenario.h"

namespace flashmask::emulator::test {
namespace {

/// Gives the first 16 bytes of shared memory a value, so that who reads too early does not meet uninitialised bytes.
const std::string kZeroed = "@%t0 st.shared.v4.u32 [data], {0, 0, 0, 0};\nbar.sync 0;\n";

/// Warp 0 writes a word of shared memory, `between` follows, and warp 1 reads it.
Scenario handed_over(const std::string& between) {
  return {.body = kZeroed + "@%t0 st.shared.u32 [data], 7;\n" + between + "\n@%w1 ld.shared.u32 %r0, [data];\n"};
}

/// Lane 0 writes a word of shared memory, `between` follows, and all lanes of its warp read it.
Scenario handed_to_lanes(const std::string& between) {
  return {.body = kZeroed + "@%l0 st.shared.u32 [data], 7;\n" + between + "\nld.shared.u32 %r0, [data];\n",
          .threads = 32};
}

/// CTA 0 writes a word of global memory and `signals`; thread 0 of CTA 1 `waits` and reads it.
Scenario between_ctas(const std::string& signals, const std::string& waits, std::uint32_t cluster = 1) {
  return {.body = "@%c0 bra WRITER;\n" + waits +
                  "\nld.global.u32 %r1, [%out];\nret;\n"
                  "WRITER:\nst.global.u32 [%out], 7;\n" +
                  signals,
          .threads = 1,
          .ctas = 2,
          .cluster = cluster};
}

std::string spin(const std::string& load) {
  return "SPIN:\n" + load + "\nsetp.eq.u32 %p0, %r0, 0;\n@%p0 bra SPIN;\n";
}

// --- barriers of the CTA ---------------------------------------------------------------------------------------------

TEST(Races, WithoutABarrierAreReportedWithBothAccessesAndTheRemedy) {
  // Which of the two comes first depends on the schedule, so that either may be the one that is reported.
  expect_race(handed_over(""), {
                                   ": @%t0 st.shared.u32 [data], 7;",
                                   ": @%w1 ld.shared.u32 %r0, [data];",
                                   "CTA (0,0,0), warp 0, lane 0 (thread 0,0,0)",
                                   "CTA (0,0,0), warp 1, lane",
                                   "what would order them: a barrier of the CTA (bar.sync)",
                                   "4 bytes at shared+0x0",
                               });
}

TEST(Races, BarSyncOrders) {
  expect_legal(handed_over("bar.sync 0;"));
  expect_legal(handed_over("barrier.sync 3, 64;"));
}

TEST(Races, BarSyncOrdersOnlyItsParticipants) {
  expect_race({.body = kZeroed + R"(
    setp.lt.u32 %p0, %warp, 2;
    @%t0 st.shared.u32 [data], 7;
    @%p0 bar.sync 1, 64;
    @!%p0 ld.shared.u32 %r0, [data];)",
               .threads = 96});
}

TEST(Races, ABarrierSignalsFromThoseWhoArriveToThoseWhoWait) {
  expect_legal(handed_over("@%w0 bar.arrive 1, 64;\n@%w1 bar.sync 1, 64;"));
  // Who only arrived has learnt nothing.
  expect_race({.body = kZeroed + R"(
    setp.eq.u32 %p0, %thread, 32;
    @%p0 st.shared.u32 [data], 7;
    @%w0 bar.arrive 1, 64;
    @%w1 bar.sync 1, 64;
    @%w0 ld.shared.u32 %r0, [data];)"});
}

TEST(Races, BarRedOrders) {
  expect_legal(handed_over("bar.red.popc.u32 %r1, 0, %t0;"));
  expect_legal(handed_over("bar.red.or.pred %p1, 0, %t0;"));
}

TEST(Races, AReadIsOrderedBeforeTheWriteThatFollows) {
  const auto overwritten = [](const std::string& between) {
    return Scenario{.body = R"(
      @%t0 st.shared.u32 [data], 7;
      bar.sync 0;
      @%w1 ld.shared.u32 %r0, [data];
      )" + between + R"(
      @%t0 st.shared.u32 [data], 8;)"};
  };
  expect_legal(overwritten("bar.sync 0;"));
  expect_race(overwritten(""), {"@%w1 ld.shared.u32 %r0, [data];", "@%t0 st.shared.u32 [data], 8;"});
}

// --- lanes of a warp -------------------------------------------------------------------------------------------------

TEST(Races, LanesOfAWarpAreOrderedByBarWarpSync) {
  expect_legal(handed_to_lanes("bar.warp.sync -1;"));
  expect_race(handed_to_lanes(""), {"bar.warp.sync (__syncwarp) between the two lanes"});
}

TEST(Races, BarWarpSyncOfSomeLanesOrdersTheseLanes) {
  const auto read_by = [](const std::string& lanes) {
    return Scenario{.body = "setp.lt.u32 %p0, %lane, 8;\nsetp.lt.u32 %p1, %lane, " + lanes + R"(;
      @%l0 st.shared.u32 [data], 7;
      @%p0 bar.warp.sync 0xff;
      @%p1 ld.shared.u32 %r0, [data];)",
                    .threads = 32};
  };
  expect_legal(read_by("8"));
  expect_race(read_by("9"), {"lane 8 (thread 8,0,0)"});
}

TEST(Races, ShufflesVotesAndMatchesDoNotOrderMemory) {
  expect_race(handed_to_lanes("shfl.sync.idx.b32 %r1, %lane, 0, 31, -1;"));
  expect_race(handed_to_lanes("vote.sync.ballot.b32 %r1, %l0, -1;"));
  expect_race(handed_to_lanes("match.any.sync.b32 %r1, %lane, -1;"));
}

TEST(Races, LanesOfOneInstructionMayWriteTheSameBytes) {
  expect_legal(
      {.body = "st.shared.u32 [data], %thread;\nbar.warp.sync -1;\nld.shared.u32 %r0, [data];", .threads = 32});
}

TEST(Races, LanesThatRunAnInstructionOneAfterTheOtherMayNot) {
  expect_race({.body = R"(
    mov.u32 %r1, 0;
    LOOP:
    setp.eq.u32 %p0, %lane, %r1;
    @%p0 st.shared.u32 [data], %r1;
    add.u32 %r1, %r1, 1;
    setp.lt.u32 %p1, %r1, 4;
    @%p1 bra LOOP;)",
               .threads = 32});
}

TEST(Races, WhatALaneDidBeforeItExitedIsKnownToNobody) {
  const auto exits = [](const std::string& before_exit) {
    return Scenario{.body = kZeroed + "setp.eq.u32 %p0, %lane, 5;\n@%p0 st.shared.u32 [data], 7;\n" + before_exit + R"(
      @%p0 exit;
      bar.warp.sync 0xffffffdf;
      @%l0 ld.shared.u32 %r0, [data];)",
                    .threads = 32};
  };
  expect_legal(exits("bar.warp.sync -1;"));
  expect_race(exits(""));
}

// --- bytes -----------------------------------------------------------------------------------------------------------

TEST(Races, NeighboursBytesAreNobodysBusiness) {
  expect_legal({.body = R"(
    mov.u32 %r0, data;
    add.u32 %r0, %r0, %thread;
    cvt.u16.u32 %h0, %thread;
    st.shared.u8 [%r0], %h0;
    ld.shared.u8 %h1, [%r0];)"});
  expect_legal({.body = R"(
    mul.wide.u32 %x0, %thread, 2;
    add.u64 %x0, %x0, %out;
    cvt.u16.u32 %h0, %thread;
    st.global.u16 [%x0], %h0;
    ld.global.u16 %h1, [%x0];)"});
}

TEST(Races, OneSharedByteIsEnough) {
  expect_race({.body = R"(
    mov.u32 %r0, data;
    add.u32 %r0, %r0, 3;
    @%t0 st.shared.u32 [data], 7;
    cvt.u16.u32 %h0, %thread;
    setp.eq.u32 %p0, %thread, 40;
    @%p0 st.shared.u8 [%r0], %h0;)"},
              {"st.shared.u32 [data], 7;", "st.shared.u8 [%r0], %h0;"});
}

TEST(Races, WideWritesMeetEachNarrowAccessThatTheyCover) {
  expect_race({.body = R"(
    mov.u32 %r0, 0;
    @%w0 st.shared.v4.u32 [data], {%r0, %r0, %r0, %r0};
    setp.eq.u32 %p0, %thread, 33;
    cvt.u16.u32 %h0, %thread;
    @%p0 st.shared.u8 [data+13], %h0;)"});
}

TEST(Races, EveryReaderIsRemembered) {
  // 16 warps read; the one that comes too late to the barrier is found, whichever it is.
  for (const std::uint32_t missing : {1u, 7u, 15u}) {
    expect_race({.body = "setp.ne.u32 %p0, %warp, " + std::to_string(missing) + R"(;
      @%t0 st.shared.u32 [data], 7;
      bar.sync 0;
      ld.shared.u32 %r0, [data];
      @%p0 bar.sync 1, 480;
      @%t0 st.shared.u32 [data], 8;)",
                 .threads = 512},
                {"warp " + std::to_string(missing)});
  }
}

// --- release and acquire ---------------------------------------------------------------------------------------------

TEST(Races, ReleaseAndAcquireOrder) {
  const std::string acquire = spin("ld.acquire.gpu.global.u32 %r0, [flag];");
  expect_legal(between_ctas("st.release.gpu.global.u32 [flag], 1;", acquire));
  expect_legal(between_ctas("red.release.gpu.global.add.u32 [flag], 1;", acquire));
  expect_legal(between_ctas("atom.acq_rel.gpu.global.exch.b32 %r2, [flag], 1;", acquire));
  expect_legal(
      between_ctas("st.release.sys.global.u32 [flag], 1;", spin("atom.acquire.gpu.global.or.b32 %r0, [flag], 0;")));
}

TEST(Races, RelaxedAccessesDoNotOrder) {
  const std::string release = "st.release.gpu.global.u32 [flag], 1;";
  const std::string acquire = spin("ld.acquire.gpu.global.u32 %r0, [flag];");
  expect_race(between_ctas("st.relaxed.gpu.global.u32 [flag], 1;", acquire), {"a scope that holds both"});
  expect_race(between_ctas(release, spin("ld.relaxed.gpu.global.u32 %r0, [flag];")));
  expect_race(between_ctas("st.volatile.global.u32 [flag], 1;", spin("ld.volatile.global.u32 %r0, [flag];")));
}

TEST(Races, FencesMakeRelaxedAccessesOrder) {
  const std::string flag = "st.relaxed.gpu.global.u32 [flag], 1;";
  const std::string poll = spin("ld.relaxed.gpu.global.u32 %r0, [flag];");
  expect_legal(between_ctas("fence.acq_rel.gpu;\n" + flag, poll + "fence.acq_rel.gpu;"));
  expect_legal(between_ctas("membar.gl;\n" + flag, poll + "membar.gl;"));
  expect_legal(between_ctas("fence.sc.sys;\nst.volatile.global.u32 [flag], 1;",
                            spin("ld.volatile.global.u32 %r0, [flag];") + "fence.sc.sys;"));
  expect_race(between_ctas(flag, poll + "fence.acq_rel.gpu;"));
  expect_race(between_ctas("fence.acq_rel.gpu;\n" + flag, poll));
  expect_race(between_ctas(flag + "\nfence.acq_rel.gpu;", poll + "fence.acq_rel.gpu;"));
}

TEST(Races, AFenceOrdersOnlyForItsOwnLane) {
  const auto counted = [](const std::string& signal) {
    return Scenario{.body = R"(
      @%c0 bra WRITER;
      )" + spin("ld.acquire.gpu.global.u32 %r0, [flag];") +
                            R"(
      ld.global.u32 %r1, [%mine];
      ret;
      WRITER:
      st.global.u32 [%mine], %thread;
      )" + signal,
                    .threads = 32,
                    .ctas = 2};
  };
  expect_race(counted("fence.acq_rel.gpu;\nbar.warp.sync -1;\n@%l0 red.relaxed.gpu.global.add.u32 [flag], 1;"));
  expect_legal(counted("bar.warp.sync -1;\n@%l0 fence.acq_rel.gpu;\n@%l0 red.relaxed.gpu.global.add.u32 [flag], 1;"));
}

TEST(Races, AReleaseSequenceGoesOnThroughAtomicsAndEndsWithAStore) {
  // The third CTA looks once, after the second has changed what the first released.
  const auto chain = [](const std::string& second) {
    return Scenario{.body = R"(
      @%c0 bra FIRST;
      @%c1 bra SECOND;
      )" + spin("ld.relaxed.gpu.global.u32 %r0, [flag+4];") +
                            R"(
      ld.acquire.gpu.global.u32 %r1, [flag];
      ld.global.u32 %r1, [%out];
      ret;
      FIRST:
      st.global.u32 [%out], 7;
      st.release.gpu.global.u32 [flag], 1;
      ret;
      SECOND:
      ld.relaxed.gpu.global.u32 %r1, [flag];
      setp.ne.u32 %p0, %r1, 1;
      @%p0 bra SECOND;
      )" + second + R"(
      st.relaxed.gpu.global.u32 [flag+4], 1;)",
                    .threads = 1,
                    .ctas = 3};
  };
  expect_legal(chain("red.relaxed.gpu.global.add.u32 [flag], 1;"));
  expect_race(chain("st.relaxed.gpu.global.u32 [flag], 2;"));
}

TEST(Races, AFailedCompareAndSwapPublishesNothing) {
  expect_race(between_ctas(
      R"(
    atom.release.gpu.global.cas.b32 %r2, [flag+4], 5, 6;
    st.relaxed.gpu.global.u32 [flag], 1;)",
      spin("ld.relaxed.gpu.global.u32 %r0, [flag];") + "atom.acquire.gpu.global.or.b32 %r3, [flag+4], 0;"));
}

// --- scopes ----------------------------------------------------------------------------------------------------------

TEST(Races, AScopeMustHoldBothThreads) {
  const auto scenario = [](const std::string& scope, std::uint32_t cluster) {
    return between_ctas("st.release." + scope + ".global.u32 [flag], 1;",
                        spin("ld.acquire." + scope + ".global.u32 %r0, [flag];"), cluster);
  };
  expect_race(scenario("cta", 1));
  expect_race(scenario("cta", 2));
  expect_race(scenario("cluster", 1));
  expect_legal(scenario("cluster", 2));
}

TEST(Races, TheNarrowerOfTwoScopesCounts) {
  // The flag itself is written and read at a scope that holds both; the fences are not.
  const std::string flag = "st.relaxed.gpu.global.u32 [flag], 1;";
  const std::string poll = spin("ld.relaxed.gpu.global.u32 %r0, [flag];");
  expect_race(between_ctas("fence.acq_rel.cta;\n" + flag, poll + "fence.acq_rel.gpu;"));
  expect_race(between_ctas("fence.acq_rel.gpu;\n" + flag, poll + "fence.acq_rel.cta;"));
  expect_legal(between_ctas("fence.acq_rel.cluster;\n" + flag, poll + "fence.acq_rel.cluster;", 2));
}

TEST(Races, OnePublicationDoesNotWidenAnother) {
  // Two atomics build up one location. The second releases to its own CTA only, so that the third CTA, which reads
  // both, learns of the first.
  expect_race({.body = R"(
    @%c0 bra FIRST;
    @%c1 bra SECOND;
    THIRD:
    ld.acquire.gpu.global.u32 %r0, [flag];
    setp.ne.u32 %p0, %r0, 2;
    @%p0 bra THIRD;
    ld.global.u32 %r1, [%out+4];
    ret;
    FIRST:
    atom.release.gpu.global.add.u32 %r1, [flag], 1;
    ret;
    SECOND:
    ld.relaxed.gpu.global.u32 %r0, [flag];
    setp.ne.u32 %p0, %r0, 1;
    @%p0 bra SECOND;
    st.global.u32 [%out+4], 7;
    fence.acq_rel.cta;
    red.relaxed.gpu.global.add.u32 [flag], 1;)",
               .threads = 1,
               .ctas = 3},
              {"st.global.u32 [%out+4], 7;"});
}

TEST(Races, StrongAccessesOfTooNarrowAScopeRace) {
  expect_race({.body = "red.relaxed.cta.global.add.u32 [flag], 1;", .threads = 1, .ctas = 2});
  expect_legal({.body = "red.relaxed.cluster.global.add.u32 [flag], 1;", .threads = 1, .ctas = 2, .cluster = 2});
  // A wider access of the same thread does not hide the narrower one.
  expect_race({.body = R"(
    @%c1 bra OTHER;
    red.relaxed.cta.global.add.u32 [flag], 1;
    red.relaxed.gpu.global.add.u32 [flag], 1;
    st.relaxed.gpu.global.u32 [flag+4], 1;
    ret;
    OTHER:
    ld.relaxed.gpu.global.u32 %r0, [flag+4];
    setp.eq.u32 %p0, %r0, 0;
    @%p0 bra OTHER;
    red.relaxed.gpu.global.add.u32 [flag], 1;)",
               .threads = 1,
               .ctas = 2},
              {"red.relaxed.cta.global.add.u32 [flag], 1;"});
}

// --- kinds of accesses -----------------------------------------------------------------------------------------------

TEST(Races, StrongAccessesStandBesideEachOther) {
  expect_legal({.body = R"(
    red.global.add.u32 [flag], 1;
    atom.global.max.u32 %r0, [flag], %thread;
    ld.volatile.global.u32 %r1, [flag];
    st.relaxed.gpu.global.u32 [flag+4], %thread;
    atom.relaxed.gpu.global.exch.b32 %r2, [flag+8], %thread;)"});
}

TEST(Races, APlainAccessBesideAtomicsRaces) {
  const auto beside = [](const std::string& plain) {
    return Scenario{.body = "@%w0 red.global.add.u32 [flag], 1;\n@%w1 " + plain};
  };
  expect_race(beside("ld.global.u32 %r0, [flag];"), {"red.global.add.u32 [flag], 1;", "ld.global.u32 %r0, [flag];"});
  expect_race(beside("st.global.u32 [flag], 1;"));
}

TEST(Races, ConstantLoadsAllowNoWriteInTheLaunchNotEvenAnOrderedOne) {
  expect_race({.body = R"(
    @%w0 st.global.u32 [%mine], %thread;
    bar.sync 0;
    @%w0 ld.global.nc.u32 %r0, [%mine];)"},
              {"ld.global.nc promises that nobody writes the bytes during the launch"});
  expect_race({.body = R"(
    @%w0 ld.global.nc.u32 %r0, [%mine];
    bar.sync 0;
    @%w0 st.global.u32 [%mine], %thread;)"});
  expect_legal({.body = "ld.global.nc.u32 %r0, [%in];\nst.global.u32 [%mine], %r0;"});
}

// --- CTAs ------------------------------------------------------------------------------------------------------------

TEST(Races, CtasThatRunOneAfterTheOtherAreNotOrdered) {
  for (const int resident : {1, 4}) {
    MachineOptions options;
    options.resident_ctas = resident;
    Stage stage(options);
    const auto fault =
        fault_of([&] { stage.run({.body = "@%t0 st.global.u32 [%out], %cta;", .threads = 32, .ctas = 2}); });
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->kind(), Fault::Kind::kRace);
    EXPECT_NE(std::string(fault->what()).find("CTA (1,0,0), warp 0, lane 0"), std::string::npos) << fault->what();
  }
}

TEST(Races, ALaunchIsAfterTheOneBefore) {
  Stage stage;
  const Scenario scenario{.body = "ld.global.u32 %r0, [%mine];\nadd.u32 %r0, %r0, 1;\nst.global.u32 [%mine], %r0;"};
  stage.run(scenario);
  stage.run(scenario);
  EXPECT_EQ(stage.words(1)[0], 2u);
}

TEST(Races, OfVariablesOfTheProgramAreFoundToo) {
  expect_race({.body = "@%l0 st.global.u32 [flag], %warp;"}, {"@%l0 st.global.u32 [flag], %warp;"});
}

TEST(Races, SharedMemoryOfTheNextCtaInAPlaceIsAnother) {
  MachineOptions options;
  options.resident_ctas = 1;
  Stage stage(options);
  stage.run({.body = "@%t0 st.shared.u32 [data], 7;\nbar.sync 0;\nld.shared.u32 %r0, [data];", .ctas = 3});
}

TEST(Races, AreNotLookedForWhenSwitchedOff) {
  MachineOptions options;
  options.races = false;
  Stage stage(options);
  stage.run({.body = "st.global.u32 [%out], %thread;"});
}

TEST(Races, ATicketOfTheLastCtaOrdersTheOthersBeforeIt) {
  // Every CTA writes its word and takes a ticket; who takes the last one adds up all words.
  const auto scenario = [](const std::string& fence) {
    return Scenario{.body = R"(
      mad.wide.u32 %x0, %cta, 4, %out;
      st.global.u32 [%x0], %cta;
      )" + fence + R"(
      atom.relaxed.gpu.global.add.u32 %r0, [flag], 1;
      )" + fence + R"(
      setp.ne.u32 %p0, %r0, 5;
      @%p0 ret;
      mov.u32 %r1, 0;
      LOOP:
      mad.wide.u32 %x0, %r1, 4, %out;
      ld.global.u32 %r2, [%x0];
      add.u32 %r1, %r1, 1;
      setp.lt.u32 %p1, %r1, 6;
      @%p1 bra LOOP;)",
                    .threads = 1,
                    .ctas = 6};
  };
  expect_legal(scenario("fence.acq_rel.gpu;"));
  expect_race(scenario(""));
}

// --- proxies ---------------------------------------------------------------------------------------------------------

/// Thread 0 writes 16 bytes of shared memory; thread 32 copies them to global memory. `before` and `after` the barrier.
Scenario stored_in_bulk(const std::string& before, const std::string& after) {
  return {.body = R"(
    mov.u32 %r0, 1;
    setp.eq.u32 %p1, %thread, 32;
    @%t0 st.shared.v4.u32 [data], {%r0, %r0, %r0, %r0};
    )" + before + R"(
    bar.sync 0;
    )" + after + R"(
    @%p1 cp.async.bulk.global.shared::cta.bulk_group [%out], [data], 16;
    @%p1 cp.async.bulk.commit_group;
    @%p1 cp.async.bulk.wait_group 0;)"};
}

TEST(Proxies, OrdinaryStoresNeedAFenceBeforeABulkCopyReadsThem) {
  expect_fault(stored_in_bulk("", ""), Fault::Kind::kProxy,
               {"st.shared.v4.u32 [data]", "cp.async.bulk.global.shared::cta.bulk_group",
                "what would order them: fence.proxy.async between the two, by the thread that wrote"});
  expect_legal(stored_in_bulk("fence.proxy.async;", ""));
  expect_legal(stored_in_bulk("fence.proxy.async.shared::cta;", ""));
}

TEST(Proxies, AFenceOfGlobalMemoryIsNoneOfSharedMemoryNorTheOtherWayRound) {
  expect_fault(stored_in_bulk("fence.proxy.async.global;", ""), Fault::Kind::kProxy, {"st.shared.v4.u32 [data]"});
  const auto loaded_in_bulk = [](const std::string& space) {
    return Scenario{.body = R"(
      @!%t0 ret;
      mbarrier.init.shared::cta.b64 [full], 1;
      fence.mbarrier_init.release.cluster;
      st.global.v4.u32 [%out], {1, 2, 3, 4};
      fence.proxy.async)" + space +
                            R"(;
      mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 16;
      cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [data], [%out], 16, [full];
      WAIT: mbarrier.try_wait.parity.shared::cta.b64 %p0, [full], 0;
      @!%p0 bra WAIT;)"};
  };
  expect_legal(loaded_in_bulk(""));
  expect_legal(loaded_in_bulk(".global"));
  expect_fault(loaded_in_bulk(".shared::cta"), Fault::Kind::kProxy, {"st.global.v4.u32 [%out]"});
}

TEST(Proxies, TheFenceMayStandWithTheIssuerAfterTheBarrier) {
  expect_legal(stored_in_bulk("", "@%p1 fence.proxy.async;"));
}

TEST(Proxies, AFenceOfAThirdPartyDoesNotHelp) {
  expect_fault(stored_in_bulk("@%w1 fence.proxy.async;", ""), Fault::Kind::kProxy);
  expect_fault(stored_in_bulk("", "@%w0 fence.proxy.async;"), Fault::Kind::kProxy);
}

TEST(Proxies, TheFenceAloneDoesNotReplaceTheBarrier) {
  Scenario scenario = stored_in_bulk("fence.proxy.async;", "");
  const std::string barrier = "bar.sync 0;";
  scenario.body.erase(scenario.body.find(barrier), barrier.size());
  MachineOptions options;
  options.schedule = Schedule::kInOrder;
  const auto fault = fault_of([&] { Stage(options).run(scenario); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kRace);
}

}  // namespace
}  // namespace flashmask::emulator::test
