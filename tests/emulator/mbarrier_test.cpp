#include <gtest/gtest.h>

#include "tests/emulator/harness.h"
#include "tests/emulator/scenario.h"

namespace flashmask::emulator::test {
namespace {

/// Waits until the phase of `parity` has completed.
std::string wait(const std::string& mbarrier, const std::string& parity, const std::string& label,
                 const std::string& guard = "") {
  return label + ":\n" + guard + " mbarrier.try_wait.parity.shared::cta.b64 %p7, [" + mbarrier + "], " + parity +
         ";\n" +
         (guard.empty() ? "@!%p7 bra " + label + ";\n"
                        : "{ .reg .pred again; not.pred again, %p7; and.pred again, again, " + guard.substr(1) +
                              "; @again bra " + label + "; }\n");
}

/// Initialises `full`, `empty` and `third` for the given numbers of arrivals.
std::string initialised(std::uint32_t full, std::uint32_t empty = 1, std::uint32_t third = 1) {
  return "@%t0 mbarrier.init.shared::cta.b64 [full], " + std::to_string(full) +
         ";\n@%t0 mbarrier.init.shared::cta.b64 [empty], " + std::to_string(empty) +
         ";\n@%t0 mbarrier.init.shared::cta.b64 [third], " + std::to_string(third) +
         ";\n@%t0 st.shared.v4.u32 [data], {0, 0, 0, 0};\nfence.proxy.async;\nbar.sync 0;\n";
}

std::string arrive(const std::string& mbarrier, const std::string& guard = "") {
  return guard + " mbarrier.arrive.shared::cta.b64 _, [" + mbarrier + "];\n";
}

// --- ordering --------------------------------------------------------------------------------------------------------

TEST(Mbarrier, OrdersWhoArrivesBeforeWhoWaits) {
  const Scenario whole_warp{.body = initialised(32) + "@%w0 bra WRITES;\n" + wait("full", "0", "WAIT") +
                                    "ld.shared.u32 %r0, [data];\nret;\nWRITES:\n@%t0 st.shared.u32 [data], 7;\n" +
                                    arrive("full")};
  expect_legal(whole_warp);
  Scenario without = whole_warp;
  const std::string waits = wait("full", "0", "WAIT");
  without.body.erase(without.body.find(waits), waits.size());
  expect_race(without,
              {"st.shared.u32 [data], 7;", "ld.shared.u32 %r0, [data];", "an mbarrier that the first arrives at"});
}

TEST(Mbarrier, AnElectedLaneArrivesForItsWarpOnlyAfterBarWarpSync) {
  const auto elected = [](const std::string& before) {
    return Scenario{.body = initialised(1) + "@%w0 bra WRITES;\n" + wait("full", "0", "WAIT") + R"(
      mul.lo.u32 %r1, %lane, 4;
      add.u32 %r1, %r1, data;
      ld.shared.u32 %r0, [%r1];
      ret;
      WRITES:
      mul.lo.u32 %r1, %lane, 4;
      add.u32 %r1, %r1, data;
      st.shared.u32 [%r1], %lane;
      )" + before + arrive("full", "@%l0")};
  };
  expect_legal(elected("bar.warp.sync -1;\n"));
  expect_race(elected(""), {"st.shared.u32 [%r1], %lane;"});
}

TEST(Mbarrier, AnElectedLaneThatWaitedTellsItsWarpByBarWarpSync) {
  const auto elected = [](const std::string& after) {
    return Scenario{.body = initialised(32) + "@%w0 bra WRITES;\n" + wait("full", "0", "WAIT", "@%l0") + after +
                            "ld.shared.u32 %r0, [data];\nret;\nWRITES:\n@%t0 st.shared.u32 [data], 7;\n" +
                            arrive("full")};
  };
  expect_legal(elected("bar.warp.sync -1;\n"));
  expect_race(elected(""));
}

TEST(Mbarrier, RelaxedArrivalsAndWaitsOrderNothing) {
  const auto scenario = [](const std::string& arrival, const std::string& order) {
    return Scenario{.body = initialised(32) + "@%w0 bra WRITES;\nWAIT: mbarrier.try_wait.parity" + order +
                            ".shared::cta.b64 %p0, [full], 0;\n@!%p0 bra WAIT;\nld.shared.u32 %r0, [data];\nret;\n"
                            "WRITES:\n@%t0 st.shared.u32 [data], 7;\nmbarrier.arrive" +
                            arrival + ".shared::cta.b64 _, [full];"};
  };
  expect_legal(scenario(".release.cta", ".acquire.cta"));
  expect_race(scenario(".relaxed.cta", ".acquire.cta"));
  expect_race(scenario(".release.cta", ".relaxed.cta"));
}

TEST(Mbarrier, RelaxedArrivalsAndWaitsOrderByTheFencesBesideThem) {
  const auto scenario = [](const std::string& before, const std::string& arrival, const std::string& order,
                           const std::string& after) {
    return Scenario{.body = initialised(32) + "@%w0 bra WRITES;\nWAIT: mbarrier.try_wait.parity" + order +
                            ".shared::cta.b64 %p0, [full], 0;\n@!%p0 bra WAIT;\n" + after +
                            "ld.shared.u32 %r0, [data];\nret;\nWRITES:\n@%t0 st.shared.u32 [data], 7;\n" + before +
                            "mbarrier.arrive" + arrival + ".shared::cta.b64 _, [full];"};
  };
  const std::string fence = "fence.acq_rel.cta;\n";
  expect_legal(scenario(fence, ".relaxed.cta", ".acquire.cta", ""));
  expect_legal(scenario("", ".release.cta", ".relaxed.cta", fence));
  expect_legal(scenario(fence, ".relaxed.cta", ".relaxed.cta", fence));
}

TEST(Mbarrier, WhoUsesTheBytesOfOneThatIsGoneComesAfterItsInvalidation) {
  // Warp 1 always comes later, but only a relaxed flag tells it so, which orders nothing.
  const auto scenario = [](const std::string& store, const std::string& load) {
    return Scenario{.body = initialised(1) + "@%w0 bra ENDS;\nSPIN: " + load +
                            " %r1, [flag];\nsetp.eq.u32 %p0, %r1, 0;\n@%p0 bra SPIN;\nst.shared.u32 [third], 5;\n"
                            "ret;\nENDS:\n@!%t0 ret;\nmbarrier.inval.shared::cta.b64 [third];\n" +
                            store + " [flag], 1;"};
  };
  expect_race(scenario("st.relaxed.gpu.global.u32", "ld.relaxed.gpu.global.u32"),
              {"mbarrier.inval", "st.shared.u32 [third], 5;"});
  expect_legal(scenario("st.release.gpu.global.u32", "ld.acquire.gpu.global.u32"));
}

TEST(Mbarrier, ARingOfOneSlotNeverRaces) {
  // Warp 0 fills the slot four times, warp 1 empties it; both count phases by parities.
  const Scenario ring{.body = initialised(32, 32) + R"(
    mov.u32 %r2, 0;
    LOOP:
    and.b32 %r3, %r2, 1;
    @!%w0 bra CONSUMER;
    xor.b32 %r4, %r3, 1;
    )" + wait("empty", "%r4", "EMPTY") +
                              R"(
    @%l0 st.shared.u32 [data], %r2;
    )" + arrive("full") + R"(
    bra NEXT;
    CONSUMER:
    )" + wait("full", "%r3", "FULL") +
                              R"(
    ld.shared.u32 %r5, [data];
    setp.ne.u32 %p0, %r5, %r2;
    @%p0 trap;
    )" + arrive("empty") + R"(
    NEXT:
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p1, %r2, 4;
    @%p1 bra LOOP;)"};
  expect_legal(ring);
  MachineOptions options;
  options.races = false;
  Stage(options).run(ring);  // the phases are also counted without the check of races
}

TEST(Mbarrier, ARingWithoutTheEmptyBarrierRacesOrIsTooLate) {
  const Scenario ring{.body = initialised(32) + R"(
    mov.u32 %r2, 0;
    LOOP:
    and.b32 %r3, %r2, 1;
    @!%w0 bra CONSUMER;
    @%l0 st.shared.u32 [data], %r2;
    )" + arrive("full") + R"(
    bra NEXT;
    CONSUMER:
    )" + wait("full", "%r3", "FULL") +
                              R"(
    ld.shared.u32 %r5, [data];
    NEXT:
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p1, %r2, 4;
    @%p1 bra LOOP;)"};
  for (const Schedule schedule : all_schedules()) {
    MachineOptions options;
    options.schedule = schedule;
    const auto fault = fault_of([&] { Stage(options).run(ring); });
    ASSERT_TRUE(fault);
    EXPECT_TRUE(fault->kind() == Fault::Kind::kRace || fault->kind() == Fault::Kind::kMbarrier) << fault->what();
  }
}

// --- counts and phases -----------------------------------------------------------------------------------------------

TEST(Mbarrier, APhaseCompletesWhenEveryArrivalAndEveryByteIsThere) {
  expect_legal({.body = initialised(3) + R"(
    @!%t0 ret;
    mbarrier.arrive.shared::cta.b64 _, [full], 2;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @%p0 trap;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @%p0 trap;
    mbarrier.complete_tx.shared::cta.b64 [full], 48;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @%p0 trap;
    mbarrier.complete_tx.shared::cta.b64 [full], 16;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 trap;)"});
}

TEST(Mbarrier, BytesMayCompleteBeforeTheyAreExpected) {
  expect_legal({.body = initialised(1) + R"(
    @!%t0 ret;
    mbarrier.complete_tx.shared::cta.b64 [full], 16;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @%p0 trap;
    mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [full], 16;
    mbarrier.arrive.shared::cta.b64 _, [full];
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 trap;)"});
}

TEST(Mbarrier, CountsBytesWithinItsRange) {
  expect_fault({.body = initialised(1) + "@%t0 mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [full], 1048576;"},
               Fault::Kind::kMbarrier, {"1048576 bytes", "mbarrier.expect_tx"});
  expect_fault({.body = initialised(1) + R"(
    @%t0 mbarrier.complete_tx.shared::cta.b64 [full], 1048575;
    @%t0 mbarrier.complete_tx.shared::cta.b64 [full], 1;)"},
               Fault::Kind::kMbarrier, {"its count is between"});
}

TEST(Mbarrier, MoreArrivalsThanExpectedAreReported) {
  expect_fault(
      {.body = initialised(2) + "@%t0 mbarrier.arrive.shared::cta.b64 _, [full], 3;"}, Fault::Kind::kMbarrier,
      {"3 arrivals at the mbarrier at shared+0x1000, which expects 2 a phase and waits for 2 more in phase 0"});
  // While the bytes of a phase are missing, another arrival is one too many.
  expect_fault({.body = initialised(1) + R"(
    @%t0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 16;
    @%t0 mbarrier.arrive.shared::cta.b64 _, [full];)"},
               Fault::Kind::kMbarrier, {"waits for 0 more"});
}

TEST(Mbarrier, CountsOfZeroAreRefused) {
  expect_fault({.body = "@%t0 mbarrier.init.shared::cta.b64 [full], 0;"}, Fault::Kind::kMbarrier,
               {"1 to 1048575 are allowed"});
  expect_fault({.body = initialised(1) + "@%t0 mbarrier.arrive.shared::cta.b64 _, [full], 0;"}, Fault::Kind::kMbarrier,
               {"0 arrivals", "1 to 1048575 are allowed"});
}

TEST(Mbarrier, AParityTwoPhasesBehindIsReported) {
  expect_fault({.body = initialised(1) + R"(
    @%t0 mbarrier.arrive.shared::cta.b64 _, [full];
    @%t0 mbarrier.arrive.shared::cta.b64 _, [full];
    bar.sync 0;
    @%w1 mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;)"},
               Fault::Kind::kMbarrier, {"comes too late", "has seen 0 phases complete, but 2 have"});
}

TEST(Mbarrier, APhaseThatWasSeenCompleteStaysCompleteForItsParity) {
  expect_legal({.body = initialised(1) + R"(
    @!%t0 ret;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 1;
    @!%p0 trap;
    mbarrier.arrive.shared::cta.b64 _, [full];
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 trap;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 trap;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 1;
    @%p0 trap;
    mbarrier.arrive.shared::cta.b64 _, [full];
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 1;
    @!%p0 trap;)"});
}

TEST(Mbarrier, AStateIsOfThePhaseInWhichItArrived) {
  expect_legal({.body = initialised(2) + R"(
    @!%t0 ret;
    mbarrier.arrive.shared::cta.b64 %x0, [full];
    mbarrier.pending_count.b64 %r0, %x0;
    setp.ne.u32 %p1, %r0, 2;
    @%p1 trap;
    mbarrier.test_wait.shared::cta.b64 %p0, [full], %x0;
    @%p0 trap;
    mbarrier.arrive.shared::cta.b64 %x1, [full];
    mbarrier.test_wait.shared::cta.b64 %p0, [full], %x0;
    @!%p0 trap;
    mbarrier.try_wait.shared::cta.b64 %p0, [full], %x1, 1000;)"});
  expect_fault({.body = initialised(1) + R"(
    @!%t0 ret;
    mbarrier.arrive.shared::cta.b64 %x0, [full];
    mbarrier.arrive.shared::cta.b64 _, [full];
    mbarrier.test_wait.shared::cta.b64 %p0, [full], %x0;)"},
               Fault::Kind::kMbarrier, {"only its running phase and the one before may be waited for"});
}

TEST(Mbarrier, ADropLowersWhatTheNextPhasesExpect) {
  expect_legal({.body = initialised(2) + R"(
    @!%t0 ret;
    mbarrier.arrive_drop.shared::cta.b64 _, [full];
    mbarrier.arrive.shared::cta.b64 _, [full];
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 trap;
    mbarrier.arrive.shared::cta.b64 _, [full];
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 1;
    @!%p0 trap;)"});
}

TEST(Mbarrier, LanesThatArriveTogetherMayCompleteSeveralPhases) {
  expect_legal({.body = initialised(31) + "@%w0 mbarrier.arrive.shared::cta.b64 _, [full];\n" +
                        R"(@!%t0 ret;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 trap;
    mbarrier.arrive.shared::cta.b64 _, [full], 30;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 1;
    @!%p0 trap;)"});
}

// --- the object ------------------------------------------------------------------------------------------------------

TEST(Mbarrier, DoesNotExistBeforeItsInitialisation) {
  expect_fault({.body = "@%t0 mbarrier.arrive.shared::cta.b64 _, [full];"}, Fault::Kind::kMbarrier,
               {"there is no mbarrier at shared+0x1000", "mbarrier.init has not run for it"});
}

TEST(Mbarrier, IsForMbarrierOperationsOnly) {
  const std::string where = ", where an mbarrier is";
  expect_fault({.body = initialised(1) + "@%t0 ld.shared.u64 %x0, [full];"}, Fault::Kind::kMbarrier, {where});
  expect_fault({.body = initialised(1) + "@%t0 st.shared.u32 [full+4], 0;"}, Fault::Kind::kMbarrier, {where});
  expect_fault({.body = initialised(1) + "@%t0 atom.shared.exch.b32 %r0, [full], 0;"}, Fault::Kind::kMbarrier, {where});
}

TEST(Mbarrier, CanBeInvalidatedAndMadeAgain) {
  expect_legal({.body = initialised(1) + R"(
    @!%t0 ret;
    mbarrier.arrive.shared::cta.b64 _, [full];
    mbarrier.inval.shared::cta.b64 [full];
    st.shared.u64 [full], 0;
    mbarrier.init.shared::cta.b64 [full], 2;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @%p0 trap;
    mbarrier.arrive.shared::cta.b64 _, [full], 2;
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 trap;)"});
  expect_fault({.body = initialised(1) + "@%t0 mbarrier.init.shared::cta.b64 [full], 1;"}, Fault::Kind::kMbarrier,
               {"mbarrier.inval must come first"});
  expect_fault({.body = initialised(1) + R"(
    @%t0 mbarrier.inval.shared::cta.b64 [full];
    @%t0 mbarrier.arrive.shared::cta.b64 _, [full];)"},
               Fault::Kind::kMbarrier, {"there is no mbarrier"});
}

TEST(Mbarrier, MayBeUsedByOthersOnlyAfterItsInitialisation) {
  expect_race({.body = R"(
    @%t0 mbarrier.init.shared::cta.b64 [full], 64;
    @%t0 st.relaxed.gpu.global.u32 [flag], 1;
    SPIN:
    ld.relaxed.gpu.global.u32 %r0, [flag];
    setp.eq.u32 %p0, %r0, 0;
    @%p0 bra SPIN;
    mbarrier.arrive.shared::cta.b64 _, [full];)"},
              {"the mbarrier at shared+0x1000", "mbarrier.init.shared::cta.b64 [full], 64;"});
}

TEST(Mbarrier, MustLieOnAMultipleOfEightBytesOfSharedMemory) {
  expect_fault({.body = "@%t0 mbarrier.init.shared::cta.b64 [full+4], 1;"}, Fault::Kind::kMisaligned);
  expect_fault({.body = "@%t0 mbarrier.init.b64 [%out], 1;"}, Fault::Kind::kOutOfBounds);
}

// --- waiting ---------------------------------------------------------------------------------------------------------

TEST(Mbarrier, TryWaitMayFailThoughThePhaseHasCompleted) {
  int failures = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    MachineOptions options;
    options.seed = seed;
    Stage stage(options);
    stage.run({.body = initialised(1) + arrive("full", "@%t0") +
                       "@!%t0 ret;\nmbarrier.try_wait.parity.shared::cta.b64 %p0, [full], 0;\n"
                       "selp.u32 %r0, 1, 0, %p0;\nst.global.u32 [%out], %r0;"});
    failures += stage.words(1)[0] == 0 ? 1 : 0;
  }
  EXPECT_GT(failures, 0);
  EXPECT_LT(failures, 20);
}

TEST(Mbarrier, TestWaitTellsTheTruthAtOnce) {
  expect_legal({.body = initialised(1) + arrive("full", "@%t0") +
                        "@!%t0 ret;\nmbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;\n@!%p0 trap;"});
}

TEST(Mbarrier, ADeadlockNamesTheMbarrierAndWhatItWaitsFor) {
  expect_fault(
      {.body = initialised(33) + arrive("full", "@%w0") + "@%w1 bra END;\n" + wait("full", "0", "WAIT") + "END:"},
      Fault::Kind::kDeadlock,
      {"nobody can go on", "mbarrier.try_wait.parity.shared::cta.b64 %p7, [full], 0;",
       "CTA (0,0,0), mbarrier at shared+0x1000: 0 phases have completed, the next one waits for 1 of 33 "
       "arrivals and 0 bytes"});
}

TEST(Mbarrier, BytesThatNobodySendsAreADeadlock) {
  expect_fault({.body = initialised(1) + "@!%t0 ret;\nmbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 32;\n" +
                        wait("full", "0", "WAIT")},
               Fault::Kind::kDeadlock, {"0 of 1 arrivals and 32 bytes"});
}

// --- initialisation and the asynchronous proxy -----------------------------------------------------------------------

/// `before` stands between the initialisation by thread 0 and a bulk copy that completes on it.
Scenario copied(const std::string& before) {
  return {.body = "@%t0 mbarrier.init.shared::cta.b64 [full], 1;\n" + before + R"(
    bar.sync 0;
    @!%t0 bra WAIT;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [data], [%in], 64, [full];
    )" + wait("full", "0", "WAIT") +
                  "ld.shared.u32 %r0, [data+4];\nsetp.ne.u32 %p0, %r0, 1;\n@%p0 trap;"};
}

TEST(Mbarrier, ItsInitialisationIsFencedBeforeABulkCopyUsesIt) {
  expect_fault(copied(""), Fault::Kind::kProxy,
               {"the mbarrier at shared+0x1000", "mbarrier.init.shared::cta.b64 [full], 1;", "fence.proxy.async"});
  expect_legal(copied("@%t0 fence.proxy.async;"));
  expect_legal(copied("@%t0 fence.mbarrier_init.release.cluster;"));
  // All threads may run the fence; the one that counts is the initialising one's.
  expect_legal(copied("fence.mbarrier_init.release.cluster;"));
  expect_fault(copied("@%w1 fence.mbarrier_init.release.cluster;"), Fault::Kind::kProxy);
}

// --- cp.async that arrives -------------------------------------------------------------------------------------------

Scenario copies_arrive(const std::string& arrival, std::uint32_t count, const std::string& waits) {
  return {.body = initialised(count) + R"(
    @%w1 bra READS;
    mul.wide.u32 %x0, %thread, 16;
    add.u64 %x0, %x0, %in;
    mul.lo.u32 %r0, %thread, 16;
    add.u32 %r0, %r0, data;
    cp.async.cg.shared.global [%r0], [%x0], 16;
    )" + arrival + R"(
    ret;
    READS:
    )" + waits + R"(
    ld.shared.u32 %r1, [data+36];
    setp.ne.u32 %p0, %r1, 9;
    @%p0 trap;)"};
}

TEST(Mbarrier, CopiesOfThreadsArriveWhenTheyHaveLanded) {
  const std::string waits = wait("full", "0", "WAIT");
  expect_legal(copies_arrive("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [full];", 32, waits));
  // Without .noinc the arrival of the copies comes on top of the expected ones.
  expect_legal(copies_arrive(
      "cp.async.mbarrier.arrive.shared::cta.b64 [full];\nmbarrier.arrive.shared::cta.b64 _, [full];", 32, waits));
}

TEST(Mbarrier, CopiesThatHaveNotBeenWaitedForAreReportedAsRaces) {
  // Warp 1 hears of the arrivals by a relaxed flag, which orders nothing.
  expect_race(copies_arrive(R"(
    cp.async.mbarrier.arrive.noinc.shared::cta.b64 [full];
    st.relaxed.gpu.global.u32 [flag], 1;)",
                            32, R"(
    SPIN:
    ld.relaxed.gpu.global.u32 %r1, [flag];
    setp.eq.u32 %p0, %r1, 0;
    @%p0 bra SPIN;)"),
              {"cp.async.cg.shared.global [%r0], [%x0], 16;", "ld.shared.u32 %r1, [data+36];",
               "completes on the mbarrier at shared+0x1000 of CTA (0,0,0)",
               "what would order them: a wait for the phase of the mbarrier that the copy completes"});
}

TEST(Mbarrier, TheArrivalOfCopiesPublishesNothingElseOfTheThread) {
  const std::string waits = wait("full", "0", "WAIT");
  Scenario scenario = copies_arrive(
      "@%t0 st.shared.u32 [data+2048], 7;\n"
      "cp.async.mbarrier.arrive.noinc.shared::cta.b64 [full];",
      32, waits);
  expect_legal(scenario);
  scenario.body += "\nld.shared.u32 %r1, [data+2048];";
  expect_race(scenario, {"st.shared.u32 [data+2048], 7;"});
}

TEST(Mbarrier, EveryMbarrierOfACtaHasAName) {
  // More than have their place among the agents of the CTA.
  expect_race({.body = R"(
    mul.lo.u32 %r0, %thread, 8;
    add.u32 %r0, %r0, data;
    add.u32 %r1, %thread, 1;
    mbarrier.init.shared::cta.b64 [%r0], 1;
    fence.proxy.async;
    bar.sync 0;
    setp.ne.u32 %p0, %thread, 63;
    @%p0 bra END;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r0], 64;
    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [data+2048], [%in], 64, [%r0];
    WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r0], 0;
    @!%p1 bra WAIT;
    st.relaxed.gpu.global.u32 [flag], 1;
    END:
    setp.ne.u32 %p0, %thread, 0;
    @%p0 ret;
    SPIN:
    ld.relaxed.gpu.global.u32 %r2, [flag];
    setp.eq.u32 %p0, %r2, 0;
    @%p0 bra SPIN;
    ld.shared.u32 %r3, [data+2048];)",
               .ctas = 1},
              {"an asynchronous copy that completes on the mbarrier at shared+0x1f8 of CTA (0,0,0)",
               "a wait for the phase of the mbarrier that the copy completes"});
}

}  // namespace
}  // namespace flashmask::emulator::test
