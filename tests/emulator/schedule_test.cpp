#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/emulator/harness.h"
#include "tests/emulator/scenario.h"

namespace flashmask::emulator::test {
namespace {

// --- schedules -------------------------------------------------------------------------------------------------------

/// Warps take tickets, so that the words tell in which order they came.
const Scenario kTickets{.body = R"(
  @!%l0 ret;
  mov.u32 %r2, 0;
  LOOP:
  atom.relaxed.gpu.global.add.u32 %r0, [flag], 1;
  mad.wide.u32 %x0, %r0, 4, %out;
  mad.lo.u32 %r1, %cta, 8, %warp;
  st.global.u32 [%x0], %r1;
  add.u32 %r2, %r2, 1;
  setp.lt.u32 %p0, %r2, 8;
  @%p0 bra LOOP;)",
                        .threads = 256,
                        .ctas = 4};

struct Outcome {
  std::vector<std::uint32_t> words;
  std::map<std::string, std::uint64_t> counts;
};

Outcome run_tickets(Schedule schedule, std::uint64_t seed) {
  MachineOptions options;
  options.schedule = schedule;
  options.seed = seed;
  Stage stage(options);
  const Statistics statistics = stage.run(kTickets);
  Outcome run{stage.words(256), {}};
  for (const auto& [name, count] : statistics.by_class) run.counts[std::string(name)] = count;
  return run;
}

TEST(Schedules, RepeatExactlyForASeed) {
  for (const Schedule schedule : all_schedules()) {
    const Outcome first = run_tickets(schedule, 7);
    const Outcome second = run_tickets(schedule, 7);
    EXPECT_EQ(first.words, second.words) << name_of(schedule);
    EXPECT_EQ(first.counts, second.counts) << name_of(schedule);
  }
}

TEST(Schedules, DifferBySeed) {
  std::set<std::vector<std::uint32_t>> orders;
  for (std::uint64_t seed = 0; seed < 5; ++seed) orders.insert(run_tickets(Schedule::kRandom, seed).words);
  EXPECT_GT(orders.size(), 1u);
}

TEST(Schedules, InOrderAndReversedRunOneWarpToItsEnd) {
  std::vector<std::uint32_t> expected;
  for (std::uint32_t warp = 0; warp < 32; ++warp) expected.insert(expected.end(), 8, warp);
  EXPECT_EQ(run_tickets(Schedule::kInOrder, 0).words, expected);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(run_tickets(Schedule::kReversed, 0).words, expected);
}

TEST(Schedules, StarvedLeavesOneWarpOfEachCtaToTheEnd) {
  const std::vector<std::uint32_t> words = run_tickets(Schedule::kStarved, 3).words;
  const std::set<std::uint32_t> last(words.end() - 32, words.end());
  ASSERT_EQ(last.size(), 4u);
  EXPECT_EQ(*last.rbegin() - *last.begin(), 24u) << "the same warp of the four CTAs";
}

TEST(Schedules, HaveNames) {
  std::set<std::string_view> names;
  for (const Schedule schedule : all_schedules()) {
    names.insert(name_of(schedule));
    EXPECT_EQ(schedule_named(name_of(schedule)), schedule);
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"random", "in-order", "reversed", "starved", "late-landings"}));
  EXPECT_EQ(schedule_named("fifo"), std::nullopt);
}

TEST(Schedules, EndSpinsOnVolatileFlags) {
  // Each warp waits for the one with the next number, and each for the one before: nobody comes first under every
  // schedule.
  expect_legal({.body = R"(
    @!%l0 ret;
    UP:
    ld.volatile.global.u32 %r0, [flag];
    setp.ne.u32 %p0, %r0, %warp;
    @%p0 bra UP;
    add.u32 %r0, %r0, 1;
    st.volatile.global.u32 [flag], %r0;
    sub.u32 %r2, 7, %warp;
    DOWN:
    ld.volatile.global.u32 %r1, [flag+4];
    setp.ne.u32 %p0, %r1, %r2;
    @%p0 bra DOWN;
    add.u32 %r1, %r1, 1;
    st.volatile.global.u32 [flag+4], %r1;)",
                .threads = 256});
}

TEST(Schedules, EndSpinsOnTickets) {
  expect_legal({.body = R"(
    @!%l0 ret;
    atom.relaxed.gpu.global.add.u32 %r0, [flag], 1;
    SPIN:
    ld.acquire.gpu.global.u32 %r1, [flag+4];
    setp.ne.u32 %p0, %r1, %r0;
    @%p0 bra SPIN;
    ld.global.u32 %r2, [%out];
    add.u32 %r2, %r2, 1;
    st.global.u32 [%out], %r2;
    red.release.gpu.global.add.u32 [flag+4], 1;)",
                .threads = 128,
                .ctas = 4});
}

TEST(Schedules, EndSpinsOnTestWait) {
  expect_legal({.body = R"(
    @%t0 mbarrier.init.shared::cta.b64 [full], 32;
    bar.sync 0;
    setp.eq.u32 %p1, %warp, 1;
    @%p1 mbarrier.arrive.shared::cta.b64 _, [full];
    SPIN:
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 bra SPIN;)",
                .threads = 96});
}

TEST(Schedules, LockedSectionsEndAndDoNotOverlap) {
  const Scenario locked{.body = R"(
    @!%l0 ret;
    LOCK:
    atom.acquire.gpu.global.cas.b32 %r0, [flag], 0, 1;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra LOCK;
    ld.global.u32 %r1, [%out];
    add.u32 %r1, %r1, 1;
    st.global.u32 [%out], %r1;
    st.release.gpu.global.u32 [flag], 0;)",
                        .threads = 128,
                        .ctas = 2};
  expect_legal(locked);
  Stage stage;
  stage.run(locked);
  EXPECT_EQ(stage.words(1)[0], 8u);
}

// --- register budgets ------------------------------------------------------------------------------------------------

/// Three warpgroups; the first gives registers up.
Scenario budgets(const std::string& producer, const std::string& consumer) {
  return {.body = R"(
    setp.lt.u32 %p0, %warp, 4;
    @%p0 bra PRODUCER;
    )" + consumer +
                  "\nret;\nPRODUCER:\n" + producer,
          .threads = 384};
}

TEST(RegisterBudget, ThatAddsUpLetsEverybodyGoOn) {
  expect_legal(budgets("setmaxnreg.dec.sync.aligned.u32 24;", "setmaxnreg.inc.sync.aligned.u32 240;"));
  expect_legal(budgets("setmaxnreg.dec.sync.aligned.u32 40;", "setmaxnreg.inc.sync.aligned.u32 232;"));
}

TEST(RegisterBudget, ThatDoesNotAddUpIsADeadlock) {
  expect_fault(budgets("setmaxnreg.dec.sync.aligned.u32 40;", "setmaxnreg.inc.sync.aligned.u32 240;"),
               Fault::Kind::kDeadlock, {"nobody can go on", "setmaxnreg.inc.sync.aligned.u32 240;, which waits"});
}

TEST(RegisterBudget, IsChangedInTheDirectionThatTheInstructionNames) {
  expect_fault(budgets("setmaxnreg.dec.sync.aligned.u32 176;", ""), Fault::Kind::kRegister,
               {"setmaxnreg.dec to 176 registers a thread, but the warp has 168 now"});
  expect_fault(budgets("setmaxnreg.inc.sync.aligned.u32 160;", ""), Fault::Kind::kRegister,
               {"setmaxnreg.inc to 160 registers a thread, but the warp has 168 now"});
}

TEST(RegisterBudget, IsAMultipleOfEightWithinBounds) {
  for (const std::string count : {"16", "30", "264"}) {
    const auto fault = fault_of([&] { Stage().run(budgets("setmaxnreg.dec.sync.aligned.u32 " + count + ";", "")); });
    ASSERT_TRUE(fault);
    EXPECT_NE(std::string(fault->what()).find("multiples of 8 from 24 to 256 are allowed"), std::string::npos);
  }
}

// --- exploration -----------------------------------------------------------------------------------------------------

/// Two warps add one to a word, each guarded by a flag that it looks at before it sets its own: both may pass.
const Scenario kWrongLock{.body = R"(
  @!%l0 ret;
  @%w1 bra OTHER;
  ld.volatile.global.u32 %r0, [flag+4];
  setp.ne.u32 %p0, %r0, 0;
  @%p0 ret;
  st.volatile.global.u32 [flag], 1;
  bra ADD;
  OTHER:
  ld.volatile.global.u32 %r0, [flag];
  setp.ne.u32 %p0, %r0, 0;
  @%p0 ret;
  st.volatile.global.u32 [flag+4], 1;
  ADD:
  ld.volatile.global.u32 %r1, [%out];
  add.u32 %r1, %r1, 1;
  st.volatile.global.u32 [%out], %r1;)"};

void expect_at_most_one(Machine& machine, Address out) {
  const std::uint32_t passed = download<std::uint32_t>(machine, out, 1)[0];
  if (passed > 1) throw Fault(Fault::Kind::kTrap, "both have passed");
}

TEST(Exploration, FindsTheScheduleThatASeedRarelyMeets) {
  // Each of the seeds runs a warp for longer than the few instructions in question.
  int met = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    MachineOptions options;
    options.seed = seed;
    Stage stage(options);
    stage.run(kWrongLock);
    met += stage.words(1)[0] > 1 ? 1 : 0;
  }
  EXPECT_LT(met, 10);
  Stage stage;
  const auto fault = fault_of(
      [&] { stage.explore(kWrongLock, {}, [&](Machine& machine) { expect_at_most_one(machine, stage.out); }); });
  ASSERT_TRUE(fault);
  const std::string report = fault->what();
  EXPECT_EQ(fault->kind(), Fault::Kind::kTrap);
  EXPECT_NE(report.find("both have passed\n  met in run "), std::string::npos) << report;
  EXPECT_NE(report.find(" of an exploration: choice "), std::string::npos) << report;
  EXPECT_NE(report.find(" passes over 1"), std::string::npos) << report;
}

TEST(Exploration, NeedsAPreemptionForIt) {
  Stage stage;
  const Exploration result =
      stage.explore(kWrongLock, {.preemptions = 0}, [&](Machine& machine) { expect_at_most_one(machine, stage.out); });
  EXPECT_EQ(result.runs, 1u);
  EXPECT_TRUE(result.complete);
}

TEST(Exploration, OfALockThatHoldsIsComplete) {
  const Scenario lock{.body = R"(
    @!%l0 ret;
    LOCK:
    atom.acquire.gpu.global.cas.b32 %r0, [flag], 0, 1;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra LOCK;
    ld.global.u32 %r1, [%out];
    add.u32 %r1, %r1, 1;
    st.global.u32 [%out], %r1;
    st.release.gpu.global.u32 [flag], 0;)"};
  Stage stage;
  const Exploration result = stage.explore(
      lock, {}, [&](Machine& machine) { EXPECT_EQ(download<std::uint32_t>(machine, stage.out, 1)[0], 2u); });
  EXPECT_TRUE(result.complete);
  EXPECT_GT(result.runs, 5u);
  EXPECT_LT(result.runs, 500u) << "spins are not schedules";
}

TEST(Exploration, SeesEveryOrderOfTwoAtomics) {
  const Scenario race{.body = R"(
    @!%l0 ret;
    add.u32 %r1, %warp, 1;
    atom.relaxed.gpu.global.exch.b32 %r0, [flag], %r1;
    mad.wide.u32 %x0, %warp, 4, %out;
    st.global.u32 [%x0], %r0;)"};
  std::set<std::vector<std::uint32_t>> results;
  Stage stage;
  const Exploration result = stage.explore(
      race, {}, [&](Machine& machine) { results.insert(download<std::uint32_t>(machine, stage.out, 2)); });
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(results, (std::set<std::vector<std::uint32_t>>{{0, 1}, {2, 0}}));
}

TEST(Exploration, StartsEachRunFromTheSameMemory) {
  const Scenario counts{.body = R"(
    @!%l0 ret;
    red.relaxed.gpu.global.add.u32 [%out], 1;
    atom.relaxed.gpu.global.add.u32 %r0, [flag], 1;
    st.relaxed.gpu.global.u32 [%out+4], %r0;)"};
  Stage stage;
  const Exploration result = stage.explore(counts, {}, [&](Machine& machine) {
    const auto words = download<std::uint32_t>(machine, stage.out, 2);
    EXPECT_EQ(words[0], 2u);
    EXPECT_LT(words[1], 2u) << "variables of the program start anew as well";
    machine.allocate(64);
  });
  EXPECT_GT(result.runs, 1u);
  EXPECT_EQ(stage.words(1)[0], 2u) << "the memory is that of the last run";
}

TEST(Exploration, EndsAtItsBound) {
  Stage stage;
  const Exploration result = stage.explore(kTickets, {.preemptions = 2, .most_runs = 10});
  EXPECT_EQ(result.runs, 10u);
  EXPECT_FALSE(result.complete);
}

TEST(Exploration, VariesTheLandingsOfCopies) {
  // Two copies; the thread looks which of them has landed first.
  const Scenario copies{.body = R"(
    @!%t0 ret;
    mbarrier.init.shared::cta.b64 [full], 1;
    mbarrier.init.shared::cta.b64 [empty], 1;
    fence.proxy.async;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 16;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [empty], 16;
    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [data], [%in], 16, [full];
    cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [data+16], [%in], 16, [empty];
    mbarrier.test_wait.parity.shared::cta.b64 %p0, [full], 0;
    mbarrier.test_wait.parity.shared::cta.b64 %p1, [empty], 0;
    selp.u32 %r0, 1, 0, %p0;
    selp.u32 %r1, 2, 0, %p1;
    add.u32 %r0, %r0, %r1;
    st.global.u32 [%out], %r0;
    A: mbarrier.try_wait.parity.shared::cta.b64 %p0, [full], 0;
    @!%p0 bra A;
    B: mbarrier.try_wait.parity.shared::cta.b64 %p0, [empty], 0;
    @!%p0 bra B;)",
                        .threads = 32};
  std::set<std::uint32_t> seen;
  Stage stage;
  const Exploration result = stage.explore(copies, {.preemptions = 3}, [&](Machine& machine) {
    seen.insert(download<std::uint32_t>(machine, stage.out, 1)[0]);
  });
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(seen, (std::set<std::uint32_t>{0, 1, 2, 3}));
}

TEST(Exploration, FindsADeadlockOfTwoLocks) {
  const Scenario locks{.body = R"(
    @!%l0 ret;
    mov.u64 %x0, flag;
    add.u64 %x1, %x0, 4;
    @!%w1 bra FIRST;
    mov.u64 %x1, %x0;
    add.u64 %x0, %x0, 4;
    FIRST:
    mov.u32 %r2, 0;
    TAKE:
    atom.acquire.gpu.global.cas.b32 %r0, [%x0], 0, 1;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra TAKE;
    SECOND:
    atom.acquire.gpu.global.cas.b32 %r0, [%x1], 0, 1;
    add.u32 %r2, %r2, 1;
    setp.eq.u32 %p1, %r2, 100;
    @%p1 trap;
    setp.ne.u32 %p0, %r0, 0;
    @%p0 bra SECOND;
    st.release.gpu.global.u32 [%x1], 0;
    st.release.gpu.global.u32 [%x0], 0;)"};
  Stage stage;
  const auto fault = fault_of([&] { stage.explore(locks, {}); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kTrap);
}

// --- trace -----------------------------------------------------------------------------------------------------------

TEST(Trace, SeesEveryWarpInstructionOnceWithItsLine) {
  std::map<std::string, std::uint64_t> times;
  std::map<std::uint32_t, std::string> lines;
  MachineOptions options;
  options.trace = [&](const TraceStep& step) {
    const std::string text(step.text.substr(step.text.find_first_not_of(' ')));
    ++times[text];
    EXPECT_EQ(lines.try_emplace(step.line, text).first->second, text);
    EXPECT_LT(step.warp, 2u);
    EXPECT_LT(step.cta[0], 2u);
  };
  Stage stage(options);
  // Instructions at which warps wait for others are told of once as well.
  const Statistics statistics = stage.run({.body = R"(
    @%t0 mbarrier.init.shared::cta.b64 [full], 64;
    bar.sync 0;
    mbarrier.arrive.shared::cta.b64 _, [full];
    WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %p7, [full], 0;
    @!%p7 bra WAIT;
    barrier.cluster.arrive.aligned;
    barrier.cluster.wait.aligned;)",
                                           .ctas = 2,
                                           .cluster = 2});
  EXPECT_EQ(times["@%t0 mbarrier.init.shared::cta.b64 [full], 64;"], 2u) << "one warp of each CTA";
  EXPECT_EQ(times["bar.sync 0;"], 4u);
  EXPECT_EQ(times["mbarrier.arrive.shared::cta.b64 _, [full];"], 4u);
  EXPECT_EQ(times["barrier.cluster.wait.aligned;"], 4u);
  EXPECT_EQ(times["mbarrier.try_wait.parity.shared::cta.b64 %p7, [full], 0;"],
            statistics.by_class.at("mbarrier") - 4 - 4)
      << "as often as it ran";
}

TEST(Trace, TellsWhichLanesRun) {
  std::vector<std::uint32_t> lanes;
  MachineOptions options;
  options.trace = [&](const TraceStep& step) {
    if (step.text.find("bar.warp.sync") != std::string_view::npos) lanes.push_back(step.lanes);
  };
  Stage(options).run({.body = R"(
    setp.lt.u32 %p0, %lane, 4;
    @%p0 bra FEW;
    nanosleep.u32 1;
    FEW: bar.warp.sync -1;)",
                      .threads = 32});
  // Each lane once, though the few come first and wait for the others.
  std::uint32_t all = 0;
  for (const std::uint32_t each : lanes) {
    EXPECT_EQ(all & each, 0u);
    all |= each;
  }
  EXPECT_EQ(all, 0xffffffffu);
}

TEST(Trace, EndsWithTheInstructionThatIsReported) {
  std::string last;
  MachineOptions options;
  options.trace = [&](const TraceStep& step) { last = step.text; };
  ASSERT_TRUE(fault_of([&] { Stage(options).run({.body = "trap;", .threads = 32}); }));
  EXPECT_EQ(last, "trap;");
}

}  // namespace
}  // namespace flashmask::emulator::test
