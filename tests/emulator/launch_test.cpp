// What a kernel is given with its launch: the workspace of a cooperative grid, reserved shared memory, registers.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

// --- cooperative grids -----------------------------------------------------------------------------------------------

/// Every CTA counts itself, waits for all of them at the barrier word of the grid, and stores how many it saw.
const char* const kGridBarrier = R"(
    .reg .b32 %low, %high, %cta, %ctas, %seen; .reg .b64 %w, %x, %h, %o; .reg .pred %p;
    mov.u32 %high, %envreg1; mov.u32 %low, %envreg2;
    cvt.u64.u32 %h, %high; shl.b64 %h, %h, 32; cvt.u64.u32 %w, %low; or.b64 %w, %w, %h;
    ld.param.u64 %o, [out]; mov.u32 %cta, %ctaid.x; mov.u32 %ctas, %nctaid.x;
    setp.eq.u64 %p, %w, 0;
    @%p trap;
    atom.add.release.gpu.u32 %seen, [%w+4], 1;
AGAIN:
    ld.acquire.gpu.u32 %seen, [%w+4];
    setp.lt.u32 %p, %seen, %ctas;
    @%p bra AGAIN;
    mad.wide.u32 %o, %cta, 4, %o; st.global.u32 [%o], %seen;)";

LaunchShape cooperative(std::uint32_t ctas) {
  LaunchShape result = shape(ctas, 1);
  result.cooperative = true;
  return result;
}

TEST(CooperativeGrid, HasAllOfItsCtasAtOnceAndAZeroedWorkspaceForEachLaunch) {
  constexpr std::uint32_t kCtas = 12;
  const auto program = Program::parse(module_of(".param .u64 out", kGridBarrier));
  Machine machine({.resident_ctas = 1});
  const Address out = machine.allocate(4 * kCtas);
  for (int i = 0; i < 2; ++i) {
    machine.launch(*program, "k", cooperative(kCtas), parameters({out}));
    EXPECT_EQ(download<std::uint32_t>(machine, out, kCtas), std::vector<std::uint32_t>(kCtas, kCtas));
  }
}

TEST(CooperativeGrid, IsExploredFromANewWorkspaceEachTime) {
  const auto program = Program::parse(module_of(".param .u64 out", kGridBarrier));
  Machine machine;
  const Address out = machine.allocate(8);
  const Exploration exploration = machine.explore(*program, "k", cooperative(2), parameters({out}), {1, 100});
  EXPECT_GT(exploration.runs, 1u);
  EXPECT_EQ(download<std::uint32_t>(machine, out, 2), (std::vector<std::uint32_t>{2, 2}));
}

TEST(CooperativeGrid, AnOrdinaryLaunchHasNoWorkspace) {
  const auto program = Program::parse(module_of(".param .u64 out", kGridBarrier));
  Machine machine;
  const Address out = machine.allocate(8);
  const auto fault = fault_of([&] { machine.launch(*program, "k", shape(2, 1), parameters({out})); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kTrap);
}

TEST(CooperativeGrid, MayNotBeLargerThanCanBeResident) {
  const auto program = Program::parse(module_of(".param .u64 out", "ret;"));
  Machine machine;
  machine.launch(*program, "k", cooperative(256), parameters({0}));
  const auto fault = fault_of([&] { machine.launch(*program, "k", cooperative(257), parameters({0})); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kLaunch);
  EXPECT_NE(std::string(fault->what()).find("a cooperative grid of 257 CTAs"), std::string::npos) << fault->what();
  EXPECT_NE(std::string(fault->what()).find("at most 256 are allowed"), std::string::npos) << fault->what();
}

// --- reserved shared memory ------------------------------------------------------------------------------------------

/// The word that `body` leaves in %r, in a launch with `dynamic` bytes of shared memory.
std::uint32_t word_of(const std::string& body, std::size_t dynamic = 0) {
  const auto program = Program::parse(module_of(
      ".param .u64 out", ".reg .b32 %r, %s; .reg .b64 %o;" + body + "ld.param.u64 %o, [out]; st.global.u32 [%o], %r;",
      ".extern .shared .align 16 .b8 dynamic[];", "sm_90a"));
  Machine machine;
  const Address out = machine.allocate(4);
  machine.launch(*program, "k", shape(1, 1, dynamic), parameters({out}));
  return download<std::uint32_t>(machine, out, 1)[0];
}

TEST(ReservedSharedMemory, LiesBeforeTheKernelsOwnWhereTheKernelAsksForIt) {
  const std::string own = ".shared .align 4 .b8 own[20];";
  EXPECT_EQ(word_of(own + "mov.u32 %r, own;"), 0u);
  EXPECT_EQ(word_of(own + "mov.u32 %s, %reserved_smem_offset_begin; mov.u32 %r, own;"), 1024u);
  EXPECT_EQ(word_of(own + "mov.u32 %s, %reserved_smem_offset_1; mov.u32 %r, dynamic;", 64), 1024u + 32);
  EXPECT_EQ(word_of("mov.u32 %r, %reserved_smem_offset_begin;"), 0u);
  EXPECT_EQ(word_of("mov.u32 %r, %reserved_smem_offset_end;"), 1024u);
  EXPECT_EQ(word_of("mov.u32 %r, %reserved_smem_offset_cap;"), 1024u);
}

TEST(ReservedSharedMemory, HasRoomAtBothOfItsOffsets) {
  const auto at = [](const std::string& offset) {
    return word_of("mov.u32 %s, %reserved_smem_offset_" + offset +
                   "; st.shared.u32 [%s], 7; st.shared.u32 [%s+284], 8; ld.shared.u32 %r, [%s];");
  };
  EXPECT_EQ(at("0"), 7u);
  EXPECT_EQ(at("1"), 7u);
}

TEST(ReservedSharedMemory, IsNotZeroedForTheKernel) {
  EXPECT_EQ(word_of("mov.u32 %s, %reserved_smem_offset_1; ld.shared.u32 %r, [%s];"), 0xffffffffu);
}

TEST(ReservedSharedMemory, CountsInTheAggregateSizeOnly) {
  for (const std::string& asks : {std::string(), std::string("mov.u32 %s, %reserved_smem_offset_0;")}) {
    const std::string own = ".shared .align 16 .b8 own[48];" + asks;
    EXPECT_EQ(word_of(own + "mov.u32 %r, %total_smem_size;"), 48u);
    EXPECT_EQ(word_of(own + "mov.u32 %r, %total_smem_size;", 64), 48u + 64);
    EXPECT_EQ(word_of(own + "mov.u32 %r, %aggr_smem_size;", 64), 48u + 64 + 1024);
    EXPECT_EQ(word_of(own + "mov.u32 %r, %dynamic_smem_size;", 64), 64u);
    // As much as a CTA may have of its own.
    EXPECT_EQ(word_of(own + "mov.u32 %r, %total_smem_size;", 232448 - 48), 232448u);
    EXPECT_EQ(fault_of([&] { word_of(own + "mov.u32 %r, %total_smem_size;", 232449 - 48); })->kind(),
              Fault::Kind::kLaunch);
  }
}

// --- registers -------------------------------------------------------------------------------------------------------

/// Runs setmaxnreg in a kernel with `directive` and as many threads.
void change_registers(const std::string& directive, const std::string& change, std::uint32_t threads) {
  std::string text = module_of("", change, "", "sm_90a");
  text.insert(text.find(")\n{") + 1, " " + directive);
  Machine machine;
  machine.launch(*Program::parse(text), "k", shape(1, threads), {});
}

void expect_refused_change(const std::string& directive, const std::string& change, std::uint32_t threads,
                           const std::string& why) {
  const auto fault = fault_of([&] { change_registers(directive, change, threads); });
  ASSERT_TRUE(fault) << directive << " " << change;
  EXPECT_EQ(fault->kind(), Fault::Kind::kRegister);
  EXPECT_NE(std::string(fault->what()).find(why), std::string::npos) << fault->what();
}

TEST(Registers, AThreadStartsWithThoseThatTheDirectiveNames) {
  const std::string to_104 = "setmaxnreg.dec.sync.aligned.u32 104;";
  change_registers("", to_104, 128);
  change_registers(".maxnreg 104", to_104, 128);
  expect_refused_change(".maxnreg 96", to_104, 128, "the warp has 96 now");
  expect_refused_change(".maxnreg 100", to_104, 128, "the warp has 96 now");
  change_registers(".maxnreg 96", "setmaxnreg.dec.sync.aligned.u32 88; setmaxnreg.inc.sync.aligned.u32 96;", 128);
}

TEST(Registers, TheDirectiveGivesNoMoreThanTheEqualShare) {
  expect_refused_change(".maxnreg 255", "setmaxnreg.dec.sync.aligned.u32 136;", 512, "the warp has 128 now");
  change_registers(".maxnreg 255", "setmaxnreg.dec.sync.aligned.u32 128;", 512);
}

TEST(Registers, APoolThatTheDirectiveKeepsSmallCanRunDry) {
  // Nobody gives registers back, and a CTA has no others than those it started with.
  const auto fault = fault_of([] { change_registers(".maxnreg 96", "setmaxnreg.inc.sync.aligned.u32 104;", 128); });
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->kind(), Fault::Kind::kDeadlock);
}

}  // namespace
}  // namespace flashmask::emulator::test
