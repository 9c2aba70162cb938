#include <gtest/gtest.h>

#include "tests/emulator/harness.h"
#include "tests/emulator/scenario.h"

namespace flashmask::emulator::test {
namespace {

const std::string kArrive = "barrier.cluster.arrive.release.aligned;\n";
const std::string kWait = "barrier.cluster.wait.acquire.aligned;\n";
const std::string kSync = kArrive + kWait;
/// %r1 becomes the address of `data` in the next CTA of the cluster.
const std::string kPeer =
    "mov.u32 %r0, %cluster_nctarank;\nadd.u32 %r1, %rank, 1;\nrem.u32 %r2, %r1, %r0;\nmov.u32 %r3, data;\n"
    "mapa.shared::cluster.u32 %r1, %r3, %r2;\n";

Scenario pair(const std::string& body) {
  return {.body = body, .threads = 64, .ctas = 2, .cluster = 2};
}

/// The kind is one of two: which one depends on who comes first.
void expect_either(const Scenario& scenario, Fault::Kind one, Fault::Kind other) {
  for (const Schedule schedule : all_schedules()) {
    MachineOptions options;
    options.schedule = schedule;
    SCOPED_TRACE(name_of(schedule));
    const auto fault = fault_of([&] { Stage(options).run(scenario); });
    ASSERT_TRUE(fault);
    EXPECT_TRUE(fault->kind() == one || fault->kind() == other) << fault->what();
  }
}

// --- names and addresses ---------------------------------------------------------------------------------------------

TEST(Cluster, GivesEveryCtaItsPlace) {
  Stage stage;
  Scenario scenario{.body = R"(
    @!%t0 ret;
    mov.u32 %r0, %clusterid.x;
    mov.u32 %r1, %nclusterid.x;
    mov.u32 %r2, %cluster_ctaid.x;
    mov.u32 %r3, %cluster_nctaid.x;
    mov.u32 %r4, %cluster_nctarank;
    mul.wide.u32 %x0, %cta, 32;
    add.u64 %x0, %x0, %out;
    st.global.v4.u32 [%x0], {%r0, %r1, %r2, %r3};
    st.global.v2.u32 [%x0+16], {%r4, %rank};)",
                    .ctas = 6,
                    .cluster = 3};
  stage.run(scenario);
  const std::vector<std::uint32_t> words = stage.words(48);
  for (std::uint32_t cta = 0; cta < 6; ++cta) {
    const std::vector<std::uint32_t> expected = {cta / 3, 2, cta % 3, 3, 3, cta % 3};
    EXPECT_EQ(std::vector(words.begin() + 8 * cta, words.begin() + 8 * cta + 6), expected) << cta;
  }
}

TEST(Cluster, RanksCountTheFirstDimensionFirst) {
  Stage stage;
  const Scenario scenario{.body = R"(
    @!%t0 ret;
    mov.u32 %r0, %ctaid.y;
    mad.lo.u32 %r1, %r0, 4, %cta;
    mad.wide.u32 %x0, %r1, 4, %out;
    mov.u32 %r2, %clusterid.y;
    mad.lo.u32 %r2, %r2, 100, %rank;
    st.global.u32 [%x0], %r2;)"};
  LaunchShape launch = scenario.launch_shape();
  launch.grid[0] = 4;
  launch.grid[1] = 4;
  launch.cluster[0] = 2;
  launch.cluster[1] = 2;
  stage.machine.launch(*Program::parse(scenario.ptx()), "k", launch, parameters({stage.out, stage.in}));
  const std::vector<std::uint32_t> words = stage.words(16);
  for (std::uint32_t y = 0; y < 4; ++y) {
    for (std::uint32_t x = 0; x < 4; ++x) EXPECT_EQ(words[4 * y + x], y / 2 * 100 + y % 2 * 2 + x % 2);
  }
}

TEST(Cluster, MapsAddressesToRanksAndBack) {
  expect_legal(pair(kPeer + R"(
    getctarank.shared::cluster.u32 %r4, %r1;
    setp.ne.u32 %p0, %r4, %r2;
    @%p0 trap;
    mov.u64 %x0, data;
    cvta.shared.u64 %x0, %x0;
    mapa.u64 %x1, %x0, %r2;
    getctarank.u64 %r5, %x1;
    setp.ne.u32 %p0, %r5, %r2;
    @%p0 trap;
    getctarank.u64 %r5, %x0;
    setp.ne.u32 %p0, %r5, %rank;
    @%p0 trap;)"));
  expect_fault(pair("mov.u32 %r0, data;\nmapa.shared::cluster.u32 %r1, %r0, 2;"), Fault::Kind::kOutOfBounds,
               {"there is no CTA of rank 2 in a cluster of 2"});
}

// --- shared memory of others -----------------------------------------------------------------------------------------

TEST(DistributedSharedMemory, IsWrittenReadAndChangedAcrossTheCluster) {
  expect_legal(pair(kPeer + R"(
    @%t0 st.shared.u32 [data], 0;
    )" + kSync + R"(
    @%t0 st.shared::cluster.u32 [%r1], %rank;
    )" + kSync + R"(
    @%t0 ld.shared.u32 %r4, [data];
    sub.u32 %r5, 1, %rank;
    setp.ne.u32 %p0, %r4, %r5;
    and.pred %p0, %p0, %t0;
    @%p0 trap;
    )" + kSync + R"(
    @%l0 atom.shared::cluster.add.u32 %r6, [%r1], 1;
    )" + kSync + R"(
    ld.shared::cluster.u32 %r4, [%r1];
    add.u32 %r5, %rank, 2;
    setp.ne.u32 %p0, %r4, %r5;
    @%p0 trap;
    )" + kSync));
}

TEST(DistributedSharedMemory, IsReachedByGenericAddressesToo) {
  expect_legal(pair(R"(
    mov.u64 %x0, data;
    cvta.shared.u64 %x0, %x0;
    sub.u32 %r2, 1, %rank;
    mapa.u64 %x1, %x0, %r2;
    @%t0 st.u32 [%x1], %rank;
    )" + kSync + R"(
    ld.u32 %r4, [%x0];
    setp.ne.u32 %p0, %r4, %r2;
    @%p0 trap;
    )" + kSync));
}

TEST(DistributedSharedMemory, WithoutABarrierOfTheClusterRaces) {
  const std::string start =
      kPeer + "@%t0 st.shared.u32 [data], 0;\n" + kSync + "@%t0 st.shared::cluster.u32 [%r1], 7;\n";
  const std::string end = "ld.shared.u32 %r4, [data];\n" + kSync;
  expect_legal(pair(start + kSync + end));
  expect_race(pair(start + "bar.sync 0;\n" + end),
              {"st.shared::cluster.u32 [%r1], 7;", "ld.shared.u32 %r4, [data];", "a barrier of the cluster"});
}

TEST(DistributedSharedMemory, IsGoneWhenItsCtaHasEnded) {
  // Nothing keeps the peer until its memory has been read: it has ended by then, or could have.
  const std::string start = kPeer + "@%t0 st.shared.u32 [data], 0;\n" + kSync;
  const std::string read = "@%c0 ld.shared::cluster.u32 %r4, [%r1];\n";
  expect_legal(pair(start + read + kSync));
  expect_either(pair(start + read), Fault::Kind::kOutOfBounds, Fault::Kind::kRace);
  MachineOptions options;
  options.schedule = Schedule::kInOrder;
  const auto fault = fault_of([&] { Stage(options).run(pair(start + read + "@%c0 nanosleep.u32 10;")); });
  ASSERT_TRUE(fault);
}

TEST(DistributedSharedMemory, TheReportOfAPeerThatEndsTooEarlyNamesTheAccess) {
  // The reader tells its peer by a relaxed flag, so that the read is first and nothing orders it.
  expect_race(pair(kPeer + "@%t0 st.shared.u32 [data], 0;\n" + kSync + R"(
    @%c1 bra PEER;
    @%t0 ld.shared::cluster.u32 %r4, [%r1];
    @%t0 st.relaxed.gpu.global.u32 [flag], 1;
    ret;
    PEER:
    ld.relaxed.gpu.global.u32 %r4, [flag];
    setp.eq.u32 %p0, %r4, 0;
    @%p0 bra PEER;)"),
              {"the CTA ends, and nothing orders that after a read at shared+0x0 by CTA (0,0,0), warp 0, lane 0",
               "@%t0 ld.shared::cluster.u32 %r4, [%r1];", "a barrier of the cluster after the last access to the CTA"});
}

// --- the barrier -----------------------------------------------------------------------------------------------------

/// CTA 0 writes global memory before the barrier, CTA 1 reads it after.
Scenario across(const std::string& arrive, const std::string& wait, const std::string& before = "") {
  return pair("@%c0 st.global.u32 [%mine], %thread;\n" + before + arrive + wait + "@%c1 ld.global.u32 %r0, [%mine];\n");
}

TEST(ClusterBarrier, OrdersUnlessItsArrivalIsRelaxed) {
  expect_legal(across(kArrive, kWait));
  expect_legal(across("barrier.cluster.arrive.aligned;\n", "barrier.cluster.wait.aligned;\n"));
  expect_legal(across("barrier.cluster.arrive;\n", "barrier.cluster.wait;\n"));
  expect_race(across("barrier.cluster.arrive.relaxed.aligned;\n", kWait));
}

TEST(ClusterBarrier, AFenceBeforeARelaxedArrivalOrders) {
  const std::string relaxed = "barrier.cluster.arrive.relaxed.aligned;\n";
  expect_legal(across(relaxed, kWait, "fence.acq_rel.cluster;\n"));
  expect_legal(across(relaxed, kWait, "fence.acq_rel.gpu;\n"));
  expect_race(across(relaxed, kWait, "fence.acq_rel.cta;\n"));
  expect_race(across(relaxed, kWait, "fence.mbarrier_init.release.cluster;\n"));
}

TEST(ClusterBarrier, OrdersOnlyWithinTheCluster) {
  Scenario scenario = across(kArrive, kWait);
  scenario.cluster = 1;
  expect_race(scenario);
}

TEST(ClusterBarrier, LetsNobodyPassBeforeAllHaveArrived) {
  expect_legal({.body = R"(
    mov.u32 %r0, 0;
    LOOP:
    @%t0 red.relaxed.gpu.global.add.u32 [flag], 1;
    )" + kSync + R"(
    ld.relaxed.gpu.global.u32 %r1, [flag];
    add.u32 %r0, %r0, 1;
    mul.lo.u32 %r2, %r0, 4;
    setp.ne.u32 %p0, %r1, %r2;
    @%p0 trap;
    )" + kSync + R"(
    setp.lt.u32 %p1, %r0, 3;
    @%p1 bra LOOP;)",
                .threads = 64,
                .ctas = 4,
                .cluster = 4});
}

TEST(ClusterBarrier, LanesOfAWarpMayWaitApart) {
  // Half of each warp runs ahead to the next phase while the other half has not waited for this one.
  expect_legal(pair(R"(
    setp.lt.u32 %p0, %lane, 16;
    mov.u32 %r0, 0;
    @!%p0 bra SLOW;
    FAST:
    barrier.cluster.arrive;
    barrier.cluster.wait;
    add.u32 %r0, %r0, 1;
    setp.lt.u32 %p1, %r0, 3;
    @%p1 bra FAST;
    bra END;
    SLOW:
    barrier.cluster.arrive;
    nanosleep.u32 10;
    barrier.cluster.wait;
    add.u32 %r0, %r0, 1;
    setp.lt.u32 %p1, %r0, 3;
    @%p1 bra SLOW;
    END:)"));
}

TEST(ClusterBarrier, CountsThreadsThatHaveExitedAsArrived) {
  expect_legal(pair("@%w1 ret;\n" + kSync));
}

TEST(ClusterBarrier, IsArrivedAtAndWaitedForInTurn) {
  expect_fault(pair(kArrive + kArrive), Fault::Kind::kBarrier,
               {"arrives at the barrier of the cluster twice without barrier.cluster.wait between"});
  expect_fault(pair(kWait), Fault::Kind::kBarrier, {"without an arrival of the thread before it"});
}

TEST(ClusterBarrier, ADeadlockNamesThoseWhoWait) {
  expect_fault(pair("@%c1 bra OTHER;\n" + kSync + "ret;\nOTHER:\nbar.sync 1, 96;"), Fault::Kind::kDeadlock,
               {"CTA (0,0,0), warp 0:", "barrier.cluster.wait.acquire.aligned;, which waits",
                "barrier 1: 64 of 96 threads have arrived"});
}

// --- mbarriers -------------------------------------------------------------------------------------------------------

/// CTA 0 writes `out` and arrives at `full` of CTA 1, which waits for it.
Scenario remote(const std::string& made_known, const std::string& arrival) {
  return pair(R"(
    @%t0 mbarrier.init.shared::cta.b64 [full], 1;
    )" + made_known +
              R"(
    @%c1 bra WAITS;
    @!%t0 bra END;
    st.global.u32 [%out], 7;
    mov.u32 %r0, full;
    mapa.shared::cluster.u32 %r1, %r0, 1;
    )" + arrival +
              R"(
    bra END;
    WAITS:
    mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p0, [full], 0;
    @!%p0 bra WAITS;
    ld.global.u32 %r2, [%out];
    END:
    )" + kSync);
}

const std::string kRemoteArrive = "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r1];";

TEST(ClusterMbarrier, IsArrivedAtFromAnotherCta) {
  expect_legal(remote(kSync, kRemoteArrive));
}

TEST(ClusterMbarrier, IsMadeKnownByItsFenceAndARelaxedBarrier) {
  const std::string relaxed = "barrier.cluster.arrive.relaxed.aligned;\n" + kWait;
  expect_legal(remote("fence.mbarrier_init.release.cluster;\n" + relaxed, kRemoteArrive));
  expect_legal(remote("@%t0 fence.mbarrier_init.release.cluster;\n" + relaxed, kRemoteArrive));
  expect_race(remote(relaxed, kRemoteArrive), {"mbarrier.init.shared::cta.b64 [full], 1;"});
}

TEST(ClusterMbarrier, CannotBeWaitedForFromAnotherCtaWhenItsCtaHasEnded) {
  expect_either(pair(kPeer + kSync + "@%c0 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r1];"),
                Fault::Kind::kOutOfBounds, Fault::Kind::kMbarrier);
}

TEST(ClusterMbarrier, AWaitAtTheScopeOfTheCtaForAnotherCtaIsNoted) {
  const auto notes_of = [](const std::string& order) {
    Scenario scenario = remote(kSync, kRemoteArrive);
    const std::string strict = ".acquire.cluster";
    scenario.body.replace(scenario.body.find(strict), strict.size(), order);
    MachineOptions options;
    options.pedantic = true;
    Stage stage(options);
    stage.run(scenario);
    std::vector<std::string> notes = stage.machine.take_notes();
    EXPECT_TRUE(stage.machine.take_notes().empty()) << "taken once";
    return notes;
  };
  EXPECT_TRUE(notes_of(".acquire.cluster").empty());
  const std::vector<std::string> notes = notes_of("");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("mbarrier.try_wait.parity.shared::cta.b64 %p0, [full], 0;"), std::string::npos) << notes[0];
  EXPECT_NE(notes[0].find("waits at the scope of the CTA"), std::string::npos) << notes[0];
}

// --- multicast -------------------------------------------------------------------------------------------------------

Scenario multicast(const std::string& mask, const std::string& before_issue = kSync) {
  return pair(R"(
    @%t0 mbarrier.init.shared::cta.b64 [full], 1;
    @%t0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
    fence.proxy.async;
    )" + before_issue +
              R"(
    and.pred %p1, %t0, %c0;
    mov.u16 %h0, )" +
              mask + R"(;
    @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [data], [%in], 64, [full], %h0;
    WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 bra WAIT;
    ld.shared.u32 %r0, [data+60];
    setp.ne.u32 %p0, %r0, 15;
    @%p0 trap;
    )" + kSync);
}

TEST(Multicast, BringsTheBytesToEveryCtaOfTheMaskAndSignalsItsMbarrier) {
  expect_legal(multicast("3"));
  expect_fault(multicast("1"), Fault::Kind::kDeadlock, {"CTA (1,0,0), mbarrier at shared+0x1000", "64 bytes"});
  expect_fault(multicast("4"), Fault::Kind::kOutOfBounds, {"a multicast to the CTAs 0x4 of a cluster of 2"});
}

TEST(Multicast, NeedsTheMbarriersOfAllTargets) {
  expect_either(multicast("3", "bar.sync 0;\n"), Fault::Kind::kRace, Fault::Kind::kMbarrier);
}

TEST(BulkCopyBetweenCtas, BringsSharedMemoryToAPeer) {
  const auto scenario = [](const std::string& fence) {
    return pair(kPeer + R"(
      mov.u32 %r6, full;
      mapa.shared::cluster.u32 %r7, %r6, %r2;
      add.u32 %r8, %r1, 2048;
      setp.lt.u32 %p1, %thread, 16;
      mul.lo.u32 %r9, %thread, 4;
      add.u32 %r9, %r9, data;
      @%p1 st.shared.u32 [%r9], %cta;
      @%t0 mbarrier.init.shared::cta.b64 [full], 1;
      @%t0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
      )" + fence +
                kSync + R"(
      @%t0 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r8], [data], 64, [%r7];
      WAIT:
      mbarrier.try_wait.parity.shared::cta.b64 %p0, [full], 0;
      @!%p0 bra WAIT;
      ld.shared.u32 %r10, [data+2108];
      setp.ne.u32 %p0, %r10, %r2;
      @%p0 trap;
      )" + kSync);
  };
  expect_legal(scenario("fence.proxy.async;\n"));
  expect_fault(scenario("fence.mbarrier_init.release.cluster;\n"), Fault::Kind::kProxy,
               {"@%p1 st.shared.u32 [%r9], %cta;"});
}

// --- launches --------------------------------------------------------------------------------------------------------

TEST(ClusterLaunch, RefusesWhatNoDeviceWouldTake) {
  const auto refused = [](std::uint32_t ctas, std::uint32_t cluster) {
    const auto fault = fault_of([&] { Stage().run({.body = "", .ctas = ctas, .cluster = cluster}); });
    EXPECT_EQ(fault->kind(), Fault::Kind::kLaunch);
    return std::string(fault->what());
  };
  EXPECT_NE(refused(3, 2).find("grid dimension 0 is 3, which is not a multiple of the cluster's 2"), std::string::npos);
  EXPECT_NE(refused(17, 17).find("a cluster of 17 CTAs, at most 16 are allowed"), std::string::npos);
  EXPECT_NE(refused(2, 0).find("cluster's 0"), std::string::npos);
}

TEST(ClusterLaunch, FollowsTheDirectiveOfTheKernel) {
  const std::string ptx =
      ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k()\n.reqnctapercluster 2\n{\nret;\n}\n";
  Machine machine;
  LaunchShape launch = shape(4, 32);
  const auto fault = fault_of([&] { machine.launch(*Program::parse(ptx), "k", launch, {}); });
  ASSERT_TRUE(fault);
  EXPECT_NE(std::string(fault->what()).find("clusters of 2x1x1 CTAs are required (.reqnctapercluster)"),
            std::string::npos)
      << fault->what();
  launch.cluster[0] = 2;
  EXPECT_EQ(machine.launch(*Program::parse(ptx), "k", launch, {}).ctas, 4u);
}

TEST(ClusterLaunch, KeepsWholeClustersResident) {
  MachineOptions options;
  options.resident_ctas = 1;
  Stage stage(options);
  stage.run({.body = kSync, .ctas = 8, .cluster = 4});
}

}  // namespace
}  // namespace flashmask::emulator::test
