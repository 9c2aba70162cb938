#include <gtest/gtest.h>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

using testing::Test;

TEST(Divergence, BothSidesRunAndMeetAgain) {
  const LaneOutput output = run_lanes(R"(
    setp.lt.u32 %p, %u, 10;
    @%p bra LOW;
    mov.u32 %d, 1;
    bra.uni JOIN;
    LOW: mov.u32 %d, 2;
    JOIN: activemask.b32 %e;)");
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(output.d[lane], lane < 10 ? 2u : 1u);
    EXPECT_EQ(output.e[lane], 0xffffffffu);
  }
}

TEST(Divergence, LoopsOfDifferentLengthReconverge) {
  const LaneOutput output = run_lanes(R"(
    mov.u32 %r, 0;
    LOOP: add.u32 %d, %d, %r; add.u32 %r, %r, 1; setp.le.u32 %p, %r, %u;
    @%p bra LOOP;
    shfl.sync.idx.b32 %e, %d, 31, 31, -1;)");
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(output.d[lane], lane * (lane + 1) / 2);
    EXPECT_EQ(output.e[lane], 31u * 32 / 2);
  }
}

TEST(Divergence, ASpinningLaneLetsTheOthersOfItsWarpGoOn) {
  // Lane 0 waits at a lower address for a flag that lane 31 sets at a higher one.
  const LaneOutput output = run_lanes(R"(
    .shared .align 4 .u32 flag;
    setp.eq.u32 %q, %u, 0;
    @%q st.shared.u32 [flag], 0;
    bar.warp.sync -1;
    @!%q bra SET;
    SPIN: ld.volatile.shared.u32 %r, [flag]; setp.eq.u32 %p, %r, 0;
    @%p bra SPIN;
    mov.u32 %d, %r;
    bra.uni END;
    SET: setp.eq.u32 %p, %u, 31;
    @%p st.volatile.shared.u32 [flag], 77;
    END:)");
  EXPECT_EQ(output.d[0], 77u);
}

TEST(Branches, ByIndexAndInScopesWithTheirOwnNames) {
  const LaneOutput output = run_lanes(R"(
    and.b32 %r, %u, 3;
    TABLE: .branchtargets A, B, C, C;
    brx.idx %r, TABLE;
    A: mov.u32 %d, 10; bra END;
    B: mov.u32 %d, 11; bra END;
    C: mov.u32 %d, 12;
    END:
    { .reg .b32 %r; .reg .pred p; mov.u32 %r, 5; setp.eq.u32 p, %u, 7; @p bra END; mov.u32 %r, 6; END: mov.u32 %e, %r; }
    { .reg .pred p; setp.eq.u32 p, %r, 0; @p bra END; add.u32 %e, %e, 100; END: })");
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(output.d[lane], lane % 4 < 2 ? 10 + lane % 4 : 12u);
    EXPECT_EQ(output.e[lane], (lane == 7 ? 5u : 6u) + (lane % 4 == 0 ? 0u : 100u));
  }
}

TEST(Exchange, Shuffles) {
  LaneInput input;
  for (std::uint32_t lane = 0; lane < 32; ++lane) input.a.push_back(100 + lane);
  const auto shuffled = [&](const std::string& text) {
    return run_lanes("shfl.sync." + text + ", -1; selp.u32 %e, 1, 0, %p;", input);
  };
  const LaneOutput butterfly = shuffled("bfly.b32 %d|%p, %a, 5, 31");
  const LaneOutput up = shuffled("up.b32 %d|%p, %a, 3, 0");
  const LaneOutput down = shuffled("down.b32 %d|%p, %a, 3, 31");
  const LaneOutput index = shuffled("idx.b32 %d|%p, %a, 2, 0x181f");  // segments of 8
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(butterfly.d[lane], 100 + (lane ^ 5));
    EXPECT_EQ(up.d[lane], 100 + (lane < 3 ? lane : lane - 3));
    EXPECT_EQ(up.e[lane], lane < 3 ? 0u : 1u);
    EXPECT_EQ(down.d[lane], 100 + (lane + 3 > 31 ? lane : lane + 3));
    EXPECT_EQ(index.d[lane], 100 + (lane & 24) + 2);
  }
}

TEST(Exchange, VotesMatchesAndReductions) {
  LaneInput input;
  for (std::uint32_t lane = 0; lane < 32; ++lane) input.a.push_back(lane % 4);
  EXPECT_EQ(run_lanes("setp.eq.u32 %p, %a, 1; vote.sync.ballot.b32 %d, %p, -1;", input).d[3], 0x22222222u);
  EXPECT_EQ(run_lanes("setp.lt.u32 %p, %a, 4; vote.sync.all.pred %q, %p, -1; selp.u32 %d, 1, 0, %q;", input).d[0], 1u);
  EXPECT_EQ(run_lanes("setp.eq.u32 %p, %a, 9; vote.sync.any.pred %q, %p, -1; selp.u32 %d, 1, 0, %q;", input).d[0], 0u);
  EXPECT_EQ(run_lanes("match.any.sync.b32 %d, %a, -1;", input).d[5], 0x22222222u);
  EXPECT_EQ(run_lanes("match.all.sync.b32 %d|%p, %b, -1; selp.u32 %e, 1, 0, %p;", input).e[5], 1u);
  EXPECT_EQ(run_lanes("redux.sync.add.u32 %d, %a, -1;", input).d[0], 48u);
  EXPECT_EQ(run_lanes("redux.sync.max.s32 %d, %a, -1;", input).d[0], 3u);
  const LaneOutput elected = run_lanes("elect.sync %d|%p, -1; selp.u32 %e, 1, 0, %p;");
  EXPECT_EQ(elected.d[9], 0u);
  EXPECT_EQ(elected.e[0], 1u);
  EXPECT_EQ(elected.e[9], 0u);
}

TEST(Exchange, LanesWithMasksOfTheirOwnAreGroupsApart) {
  LaneInput input;
  for (std::uint64_t lane = 0; lane < 32; ++lane) input.a.push_back(lane);
  // The even and the odd lanes, in one instruction.
  const std::string body = "and.b32 %r, %u, 1; shl.b32 %s, 0x55555555, %r; redux.sync.add.u32 %d, %a, %s;";
  const LaneOutput output = run_lanes(body + "vote.sync.ballot.b32 %e, 1, %s;", input);
  EXPECT_EQ(output.d[4], 240u);
  EXPECT_EQ(output.d[5], 256u);
  EXPECT_EQ(output.e[4], 0x55555555u);
  EXPECT_EQ(output.e[5], 0xaaaaaaaau);
}

TEST(Exchange, OfASubsetNeedsOnlyItsMembers) {
  const LaneOutput output = run_lanes(R"(
    setp.lt.u32 %p, %u, 8;
    @!%p bra END;
    shfl.sync.idx.b32 %d, %u, 7, 31, 0xff;
    END:)");
  EXPECT_EQ(output.d[0], 7u);
  EXPECT_EQ(output.d[8], 0u);
}

TEST(Exchange, WithAMissingMemberIsAFault) {
  const auto missing = fault_of([] {
    run_lanes(
        "setp.lt.u32 %p, %u, 8; @%p bra A; bra B; A: shfl.sync.idx.b32 %d, %u, 0, 31, 0xffff; "
        "B: shfl.sync.idx.b32 %d, %u, 8, 31, 0xffffff00; bar.warp.sync -1;");
  });
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->kind(), Fault::Kind::kBarrier);
  const auto exited =
      fault_of([] { run_lanes("setp.lt.u32 %p, %u, 8; @%p exit; shfl.sync.idx.b32 %d, %u, 9, 31, -1;"); });
  ASSERT_TRUE(exited);
  EXPECT_EQ(exited->kind(), Fault::Kind::kBarrier);
  EXPECT_NE(std::string(exited->what()).find("0x000000ff"), std::string::npos) << exited->what();
}

Statistics run_cta(const std::string& body, std::uint32_t threads, std::uint64_t seed = 0) {
  MachineOptions options;
  options.seed = seed;
  Machine machine(options);
  return machine.launch(
      *Program::parse(module_of("", ".reg .b32 %t, %r; .reg .pred %p;\nmov.u32 %t, %tid.x;\n" + body)), "k",
      shape(1, threads), {});
}

Fault::Kind kind_of_cta(const std::string& body, std::uint32_t threads) {
  const auto fault = fault_of([&] { run_cta(body, threads); });
  return fault ? fault->kind() : Fault::Kind::kTrap;
}

TEST(Barrier, OrdersTheWarpsOfACta) {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    const Statistics statistics = run_cta(R"(
      .shared .align 4 .b8 words[512];
      shl.b32 %r, %t, 2;
      st.shared.u32 [%r], %t;
      bar.sync 0;
      xor.b32 %r, %r, 508;
      ld.shared.u32 %r, [%r];
      add.u32 %r, %r, %t;
      setp.ne.u32 %p, %r, 127;
      @%p trap;)",
                                          128, seed);
    EXPECT_EQ(statistics.barriers, 1u);
  }
}

TEST(Barrier, NamedOnesCountThreadsAndArrivalsDoNotWait) {
  run_cta(R"(
    setp.lt.u32 %p, %t, 32;
    @%p bra CONSUMER;
    bar.arrive 3, 64;
    exit;
    CONSUMER: barrier.cta.sync.aligned 3, 64;)",
          64);
}

TEST(Barrier, ReducesPredicates) {
  run_cta(R"(
    setp.lt.u32 %p, %t, 40;
    bar.red.popc.u32 %r, 0, %p;
    setp.ne.u32 %p, %r, 40;
    @%p trap;
    setp.ge.u32 %p, %t, 0;
    bar.red.and.pred %p, 0, %p;
    @!%p trap;)",
          64);
}

TEST(Barrier, MismatchesAreFaults) {
  EXPECT_EQ(kind_of_cta("setp.lt.u32 %p, %t, 8; @%p bra A; bar.sync 0; bra B; A: bar.sync 0; B:", 32),
            Fault::Kind::kBarrier);
  EXPECT_EQ(kind_of_cta("setp.lt.u32 %p, %t, 8; @%p exit; bar.sync 0;", 32), Fault::Kind::kBarrier);
  EXPECT_EQ(kind_of_cta("setp.lt.u32 %p, %t, 32; @%p exit; bar.sync 0;", 64), Fault::Kind::kBarrier);
  EXPECT_EQ(kind_of_cta("setp.lt.u32 %p, %t, 32; @%p bra A; bar.sync 1, 128; exit; A: bar.sync 1, 96;", 96),
            Fault::Kind::kBarrier);
  EXPECT_EQ(kind_of_cta("bar.sync 1, 33;", 64), Fault::Kind::kBarrier);
  EXPECT_EQ(kind_of_cta("bar.sync 16;", 64), Fault::Kind::kBarrier);
}

TEST(Barrier, DeadlockTellsWhereEveryWarpStands) {
  const auto fault =
      fault_of([] { run_cta("setp.lt.u32 %p, %t, 32;\n@%p bra A;\nbar.sync 1;\nexit;\nA: bar.sync 2;", 64); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kDeadlock);
  const std::string report = fault->what();
  EXPECT_NE(report.find("warp 0"), std::string::npos) << report;
  EXPECT_NE(report.find("warp 1"), std::string::npos) << report;
  EXPECT_NE(report.find("bar.sync 1;"), std::string::npos) << report;
  EXPECT_NE(report.find("barrier 2: 32 of 64"), std::string::npos) << report;
}

TEST(Trap, IsAFaultOfItsOwn) {
  EXPECT_EQ(kind_of_cta("trap;", 32), Fault::Kind::kTrap);
}

TEST(Ctas, WaitForEachOtherThroughMemory) {
  // Each CTA but the first spins until its predecessor has counted.
  const std::string text = module_of(".param .u64 counter", R"(
    .reg .b32 %r, %me; .reg .b64 %c; .reg .pred %p, %q;
    ld.param.u64 %c, [counter];
    mov.u32 %me, %ctaid.x;
    mov.u32 %r, %tid.x;
    setp.ne.u32 %q, %r, 0;
    @%q bra DONE;
    SPIN: ld.acquire.gpu.global.u32 %r, [%c]; setp.ne.u32 %p, %r, %me; nanosleep.u32 20;
    @%p bra SPIN;
    red.release.gpu.global.add.u32 [%c], 1;
    DONE: bar.sync 0;)");
  const auto program = Program::parse(text);
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    MachineOptions options;
    options.seed = seed;
    Machine machine(options);
    const Address counter = upload<std::uint32_t>(machine, {0});
    const Statistics statistics = machine.launch(*program, "k", shape(20, 64), parameters({counter}));
    EXPECT_EQ(statistics.ctas, 20u);
    EXPECT_EQ(download<std::uint32_t>(machine, counter, 1)[0], 20u);
  }
}

TEST(Ctas, ThatWaitForNobodyAreADeadlock) {
  const std::string text = module_of(".param .u64 flag", R"(
    .reg .b32 %r; .reg .b64 %c; .reg .pred %p;
    ld.param.u64 %c, [flag];
    SPIN: atom.global.cas.b32 %r, [%c], 1, 2; setp.ne.u32 %p, %r, 1;
    @%p bra SPIN;)");
  Machine machine;
  const Address flag = upload<std::uint32_t>(machine, {0});
  const auto fault = fault_of([&] { machine.launch(*Program::parse(text), "k", shape(1, 1), parameters({flag})); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kDeadlock);
}

TEST(Scheduler, EqualSeedsGiveEqualRunsAndOthersOtherOrders) {
  // Every warp takes a ticket: the order is the interleaving.
  const auto program = Program::parse(module_of(".param .u64 tickets", R"(
    .reg .b32 %r, %w, %n, %l; .reg .b64 %t, %a; .reg .pred %p;
    ld.param.u64 %t, [tickets];
    mov.u32 %w, %warpid; mov.u32 %r, %ctaid.x; mad.lo.u32 %w, %r, 8, %w;
    mov.u32 %l, %laneid; setp.ne.u32 %p, %l, 0; @%p exit;
    atom.global.add.u32 %n, [%t], 1;
    mad.wide.u32 %a, %n, 4, %t;
    st.global.u32 [%a+4], %w;)"));
  const auto order = [&](std::uint64_t seed) {
    MachineOptions options;
    options.seed = seed;
    Machine machine(options);
    const Address tickets = upload(machine, std::vector<std::uint32_t>(65, 0));
    machine.launch(*program, "k", shape(8, 256), parameters({tickets}));
    return download<std::uint32_t>(machine, tickets, 65);
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1), order(2));
}

TEST(Atomics, OfEveryKindReturnWhatWasThere) {
  const std::string text = module_of(".param .u64 data, .param .u64 out", R"(
    .reg .b32 %r; .reg .b64 %c, %o; .reg .f32 %f;
    ld.param.u64 %c, [data]; ld.param.u64 %o, [out];
    atom.global.add.u32 %r, [%c], 1; st.global.u32 [%o], %r;
    atom.global.max.s32 %r, [%c+4], 5; st.global.u32 [%o+4], %r;
    atom.global.min.u32 %r, [%c+8], 5; st.global.u32 [%o+8], %r;
    atom.global.exch.b32 %r, [%c+12], 9; st.global.u32 [%o+12], %r;
    atom.global.cas.b32 %r, [%c+16], 14, 99; st.global.u32 [%o+16], %r;
    atom.global.inc.u32 %r, [%c+20], 15; st.global.u32 [%o+20], %r;
    atom.global.dec.u32 %r, [%c+24], 15; st.global.u32 [%o+24], %r;
    atom.global.add.f32 %f, [%c+28], 0f3F800000; st.global.f32 [%o+28], %f;
    red.global.or.b32 [%c+32], 1;
    atom.global.add.noftz.f16x2 %r, [%c+36], %r;)");
  Machine machine;
  const Address data = upload<std::uint32_t>(machine, {10, 0xffffffffu, 12, 13, 14, 15, 0, bits(2.0f), 18, 0});
  const Address out = machine.allocate(64);
  machine.launch(*Program::parse(text), "k", shape(1, 1), parameters({data, out}));
  EXPECT_EQ(download<std::uint32_t>(machine, data, 9),
            (std::vector<std::uint32_t>{11, 5, 5, 9, 99, 0, 15, bits(3.0f), 19}));
  EXPECT_EQ(download<std::uint32_t>(machine, out, 8),
            (std::vector<std::uint32_t>{10, 0xffffffffu, 12, 13, 14, 15, 0, bits(2.0f)}));
}

TEST(Atomics, OnVectorsAddToEachNeighbour) {
  const std::string text = module_of(".param .u64 data", R"(
    .reg .b64 %c;
    ld.param.u64 %c, [data];
    red.relaxed.gpu.global.add.v4.f32 [%c+16], {0f3F800000, 0f40000000, 0f40400000, 0f40800000};
    red.global.add.v2.f32 [%c+8], {0f3F800000, 0f40000000};)");
  Machine machine;
  const Address data = upload<float>(machine, {0, 0, 0.5f, 0.5f, 10, 20, 30, 40});
  machine.launch(*Program::parse(text), "k", shape(1, 32), parameters({data}));
  EXPECT_EQ(download<float>(machine, data, 8), (std::vector<float>{0, 0, 32.5f, 64.5f, 42, 84, 126, 168}));
}

TEST(Atomics, OnVectorsAreAlignedToTheWholeVector) {
  const std::string text = module_of(".param .u64 data", R"(
    .reg .b64 %c;
    ld.param.u64 %c, [data];
    red.global.add.v4.f32 [%c+8], {0f3F800000, 0f3F800000, 0f3F800000, 0f3F800000};)");
  Machine machine;
  const Address data = upload<float>(machine, std::vector<float>(8));
  const auto fault = fault_of([&] { machine.launch(*Program::parse(text), "k", shape(1, 1), parameters({data})); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kMisaligned) << fault->what();
}

TEST(Atomics, OnVectorsOfOtherKindsAreRefusedByName) {
  for (const char* statement :
       {"red.global.max.v4.f32 [%c], {%f, %f, %f, %f};", "atom.global.add.v2.f32 {%f, %f}, [%c], {%f, %f};",
        "red.shared.add.v2.f32 [%c], {%f, %f};"}) {
    const std::string text = module_of(".param .u64 data", std::string(R"(
    .reg .b64 %c; .reg .f32 %f;
    mov.f32 %f, 0f00000000;
    ld.param.u64 %c, [data];
    )") + statement);
    const auto fault = fault_of([&] { Program::parse(text); });
    ASSERT_TRUE(fault) << statement;
    EXPECT_EQ(fault->kind(), Fault::Kind::kUnsupported) << fault->what();
  }
}

TEST(Atomics, OfManyLanesAllCount) {
  const std::string text = module_of(".param .u64 counter", R"(
    .reg .b32 %r; .reg .b64 %c;
    ld.param.u64 %c, [counter];
    atom.global.add.u32 %r, [%c], 1;)");
  Machine machine;
  const Address counter = upload<std::uint32_t>(machine, {0});
  machine.launch(*Program::parse(text), "k", shape(7, 100), parameters({counter}));
  EXPECT_EQ(download<std::uint32_t>(machine, counter, 1)[0], 700u);
}

}  // namespace
}  // namespace flashmask::emulator::test
