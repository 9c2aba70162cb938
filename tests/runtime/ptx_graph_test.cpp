#include "flashmask/ptx_graph.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace flashmask {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;

/// A module whose body begins in line 6, behind the registers.
std::string module_of(const std::string& body, const std::string& name = "k") {
  return fmt::format(
      ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry {}()\n"
      "{{ .reg .pred %p<4>; .reg .b32 %r<8>; .reg .b64 %d<8>; .reg .f32 %f<8>;\n{}\n}}\n",
      name, body);
}

PtxGraph graph_of(const std::string& body) {
  return read_ptx_graph(module_of(body));
}

PtxEdge taken(std::size_t target, bool back = false) {
  return {.target = target, .kind = PtxEdgeKind::kTaken, .back = back};
}
PtxEdge falls_to(std::size_t target) {
  return {.target = target, .kind = PtxEdgeKind::kFallthrough, .back = false};
}
PtxEdge indexed(std::size_t target) {
  return {.target = target, .kind = PtxEdgeKind::kIndexed, .back = false};
}

template <typename Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

PtxClass class_of(const std::string& instruction) {
  const PtxGraph graph = graph_of(instruction + ";\nret;");
  for (std::size_t i = 0; i < kPtxClasses; ++i) {
    const auto each = static_cast<PtxClass>(i);
    if (each != PtxClass::kBranch && graph.mix()[each] == 1) return each;
  }
  return PtxClass::kBranch;
}

TEST(PtxGraph, AStraightLineIsOneBlockThatEndsEveryThread) {
  const PtxGraph graph = graph_of("mov.u32 %r1, 1;\nadd.s32 %r1, %r1, 2;\nret;");
  EXPECT_EQ(graph.entry, "k");
  EXPECT_EQ(graph.target, "sm_90a");
  ASSERT_THAT(graph.blocks, SizeIs(1));
  const PtxBlock& block = graph.blocks[0];
  EXPECT_EQ(block.first_line, 6u);
  EXPECT_EQ(block.last_line, 8u);
  EXPECT_EQ(block.instructions, 3u);
  EXPECT_EQ(block.mix[PtxClass::kMove], 1u);
  EXPECT_EQ(block.mix[PtxClass::kInteger], 1u);
  EXPECT_EQ(block.mix[PtxClass::kBranch], 1u);
  EXPECT_EQ(block.terminator, "ret");
  EXPECT_EQ(block.exit, PtxExit::kAll);
  EXPECT_EQ(block.label, "");
  EXPECT_TRUE(block.reachable);
  EXPECT_EQ(block.dominator, std::nullopt);
  EXPECT_THAT(block.successors, IsEmpty());
  EXPECT_THAT(graph.loops, IsEmpty());
}

TEST(PtxGraph, ADiamondBranchesAndMeets) {
  const PtxGraph graph = graph_of("@%p1 bra ELSE;\nmov.u32 %r1, 1;\nbra.uni MEET;\nELSE: mov.u32 %r1, 2;\nMEET: ret;");
  ASSERT_THAT(graph.blocks, SizeIs(4));
  EXPECT_THAT(graph.blocks[0].successors, ElementsAre(taken(2), falls_to(1)));
  EXPECT_THAT(graph.blocks[1].successors, ElementsAre(taken(3)));
  EXPECT_THAT(graph.blocks[2].successors, ElementsAre(falls_to(3)));
  EXPECT_EQ(graph.blocks[0].terminator, "@%p1 bra");
  EXPECT_EQ(graph.blocks[1].terminator, "bra.uni");
  EXPECT_EQ(graph.blocks[2].terminator, "");
  EXPECT_EQ(graph.blocks[2].label, "ELSE");
  EXPECT_EQ(graph.blocks[3].label, "MEET");
  for (std::size_t i : {1, 2, 3}) EXPECT_THAT(graph.blocks[i].dominator, Optional(std::size_t{0})) << i;
  EXPECT_THAT(graph.loops, IsEmpty());
}

TEST(PtxGraph, LoopsInALoopKnowTheirHeadersLatchesAndDepths) {
  const PtxGraph graph = graph_of(
      "mov.u32 %r1, 0;\n"                               // 0
      "OUTER: add.s32 %r1, %r1, 1;\n"                   // 1
      "FIRST: add.s32 %r2, %r2, 1;\n@%p1 bra FIRST;\n"  // 2
      "SECOND: @%p2 bra SKIP;\n"                        // 3
      "add.s32 %r2, %r2, 1;\nbra SECOND;\n"             // 4
      "SKIP: @!%p3 bra OUTER;\n"                        // 5
      "ret;");                                          // 6
  ASSERT_THAT(graph.blocks, SizeIs(7));
  ASSERT_THAT(graph.loops, SizeIs(3));
  EXPECT_EQ(graph.loops[0].header, 1u);
  EXPECT_THAT(graph.loops[0].blocks, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(graph.loops[0].latches, ElementsAre(5));
  EXPECT_EQ(graph.loops[0].parent, std::nullopt);
  EXPECT_EQ(graph.loops[0].depth, 1);
  EXPECT_EQ(graph.loops[1].header, 2u);
  EXPECT_THAT(graph.loops[1].latches, ElementsAre(2));
  EXPECT_EQ(graph.loops[2].header, 3u);
  EXPECT_THAT(graph.loops[2].blocks, ElementsAre(3, 4));
  EXPECT_THAT(graph.loops[2].latches, ElementsAre(4));
  for (std::size_t i : {1, 2}) {
    EXPECT_THAT(graph.loops[i].parent, Optional(std::size_t{0}));
    EXPECT_EQ(graph.loops[i].depth, 2);
  }
  std::vector<int> depths;
  for (std::size_t i = 0; i < graph.blocks.size(); ++i) depths.push_back(graph.depth(i));
  EXPECT_THAT(depths, ElementsAre(0, 1, 2, 2, 2, 1, 0));
  EXPECT_THAT(graph.blocks[5].successors, ElementsAre(taken(1, true), falls_to(6)));
  EXPECT_EQ(graph.blocks[5].terminator, "@!%p3 bra");
}

TEST(PtxGraph, ABlockThatBranchesToItselfIsALoopOfOneBlock) {
  const PtxGraph graph = graph_of("mov.u32 %r1, 0;\nWAIT: add.s32 %r1, %r1, 1;\n@%p1 bra WAIT;\nret;");
  ASSERT_THAT(graph.loops, SizeIs(1));
  EXPECT_THAT(graph.loops[0].blocks, ElementsAre(1));
  EXPECT_THAT(graph.loops[0].latches, ElementsAre(1));
  EXPECT_THAT(graph.blocks[1].successors, ElementsAre(taken(1, true), falls_to(2)));
}

TEST(PtxGraph, TwoBranchesBackToOneHeaderAreOneLoop) {
  const PtxGraph graph = graph_of("TOP: @%p1 bra OTHER;\nadd.s32 %r1, %r1, 1;\nbra TOP;\nOTHER: @%p2 bra TOP;\nret;");
  ASSERT_THAT(graph.loops, SizeIs(1));
  EXPECT_THAT(graph.loops[0].blocks, ElementsAre(0, 1, 2));
  EXPECT_THAT(graph.loops[0].latches, ElementsAre(1, 2));
}

TEST(PtxGraph, WhatNothingLeadsToIsKeptMarkedAndInNoLoop) {
  const PtxGraph graph = graph_of(
      "bra TOP;\n"                                    // 0
      "DEAD: add.s32 %r1, %r1, 1;\n@%p1 bra DEAD;\n"  // 1
      "bra TOP;\n"                                    // 2
      "TOP: @%p2 bra TOP;\n"                          // 3
      "ret;");                                        // 4
  ASSERT_THAT(graph.blocks, SizeIs(5));
  std::vector<bool> reachable;
  for (const PtxBlock& block : graph.blocks) reachable.push_back(block.reachable);
  EXPECT_THAT(reachable, ElementsAre(true, false, false, true, true));
  ASSERT_THAT(graph.loops, SizeIs(1));
  EXPECT_THAT(graph.loops[0].blocks, ElementsAre(3));
  EXPECT_EQ(graph.blocks[1].dominator, std::nullopt);
  EXPECT_EQ(graph.depth(1), 0);
  EXPECT_THAT(graph.blocks[3].dominator, Optional(std::size_t{0})) << "what is never reached leads to it in vain";
}

TEST(PtxGraph, AnEntryMayEndAtSeveralPlaces) {
  const PtxGraph graph = graph_of("@%p1 bra OTHER;\nexit;\nOTHER: @%p2 bra BAD;\nret;\nBAD: trap;");
  std::vector<std::string> ends;
  for (const PtxBlock& block : graph.blocks) {
    if (block.exit == PtxExit::kAll) ends.push_back(block.terminator);
  }
  EXPECT_THAT(ends, ElementsAre("exit", "ret", "trap"));
}

TEST(PtxGraph, AGuardedReturnEndsSomeThreadsAndTheOthersGoOn) {
  const PtxGraph graph = graph_of("@%p1 ret;\nmov.u32 %r1, 1;\n@!%p2 exit;\nret;");
  ASSERT_THAT(graph.blocks, SizeIs(3));
  EXPECT_EQ(graph.blocks[0].exit, PtxExit::kSome);
  EXPECT_EQ(graph.blocks[0].terminator, "@%p1 ret");
  EXPECT_THAT(graph.blocks[0].successors, ElementsAre(falls_to(1)));
  EXPECT_EQ(graph.blocks[1].exit, PtxExit::kSome);
  EXPECT_EQ(graph.blocks[2].exit, PtxExit::kAll);
}

TEST(PtxGraph, AnIndexedBranchLeadsToEveryLabelOfItsListOnce) {
  const std::string list = "LIST: .branchtargets A, B, A;\n";
  const PtxGraph graph = graph_of(list + "brx.idx %r1, LIST;\nA: mov.u32 %r1, 1;\nB: ret;");
  EXPECT_THAT(graph.blocks[0].successors, ElementsAre(indexed(1), indexed(2)));
  EXPECT_EQ(graph.blocks[0].terminator, "brx.idx");
  const PtxGraph guarded = graph_of(list + "@%p1 brx.idx %r1, LIST;\nret;\nA: mov.u32 %r1, 1;\nB: ret;");
  EXPECT_THAT(guarded.blocks[0].successors, ElementsAre(indexed(2), indexed(3), falls_to(1)));
}

TEST(PtxGraph, ACycleWithTwoEntriesIsNamedAndIsNoLoop) {
  const PtxGraph graph = graph_of(
      "@%p1 bra B;\n"         // 0
      "A: mov.u32 %r1, 1;\n"  // 1
      "B: mov.u32 %r1, 2;\n"  // 2
      "IN: @%p3 bra IN;\n"    // 3
      "@%p2 bra A;\n"         // 4
      "ret;");                // 5
  ASSERT_THAT(graph.loops, SizeIs(1)) << "the one inside is a loop all the same";
  EXPECT_THAT(graph.loops[0].blocks, ElementsAre(3));
  ASSERT_THAT(graph.irreducible, SizeIs(1));
  EXPECT_THAT(graph.irreducible[0].blocks, ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(graph.irreducible[0].entries, ElementsAre(1, 2));
  EXPECT_THAT(graph.blocks[4].successors, ElementsAre(taken(1), falls_to(5))) << "no branch back to a header";
}

TEST(PtxGraph, WhatLeadsBehindTheTextEndsInAnEmptyBlock) {
  const PtxGraph graph = graph_of("@%p1 bra DONE;\nmov.u32 %r1, 1;\nDONE:");
  ASSERT_THAT(graph.blocks, SizeIs(3));
  EXPECT_EQ(graph.blocks[2].instructions, 0u);
  EXPECT_EQ(graph.blocks[2].label, "DONE");
  EXPECT_EQ(graph.blocks[2].first_line, 8u);
  EXPECT_EQ(graph.blocks[2].exit, PtxExit::kAll);
  EXPECT_THAT(graph.blocks[0].successors, ElementsAre(taken(2), falls_to(1)));
  const PtxGraph empty = graph_of("");
  ASSERT_THAT(empty.blocks, SizeIs(1));
  EXPECT_EQ(empty.blocks[0].exit, PtxExit::kAll);
  EXPECT_EQ(empty.blocks[0].first_line, 4u) << "that of the entry";
}

TEST(PtxGraph, LabelsThatNothingUsesCutNoBlock) {
  EXPECT_THAT(graph_of("mov.u32 %r1, 1;\nTMP: mov.u32 %r2, 1;\nret;").blocks, SizeIs(1));
}

TEST(PtxGraph, ABranchToTheNextInstructionHasBothEdges) {
  EXPECT_THAT(graph_of("@%p1 bra NEXT;\nNEXT: ret;").blocks[0].successors, ElementsAre(taken(1), falls_to(1)));
}

TEST(PtxGraph, EveryInstructionIsOfOneClass) {
  using enum PtxClass;
  const std::vector<std::pair<const char*, PtxClass>> expected = {
      {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2}, {%r1}, {%r2}, {%f1, %f2}", kMatrixProduct},
      {"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%f1}, %d1, %d2, 1, 1, 1, 0, 0", kMatrixProduct},
      {"wmma.mma.sync.aligned.row.col.m16n16k16.f32.f32 {%f1}, {%r1}, {%r2}, {%f1}", kMatrixProduct},
      {"cp.async.cg.shared.global [%r1], [%d1], 16", kAsyncCopy},
      {"cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes [%r1], [%d1, {%r2}], [%r3]",
       kAsyncCopy},
      {"cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%d1], [%r1], %r2", kAsyncCopy},
      {"st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r1], %r2, [%r3]", kAsyncCopy},
      {"cp.async.commit_group", kBarrier},
      {"cp.async.bulk.wait_group.read 0", kBarrier},
      {"cp.async.mbarrier.arrive.noinc.shared.b64 [%r1]", kBarrier},
      {"wgmma.fence.sync.aligned", kBarrier},
      {"wgmma.commit_group.sync.aligned", kBarrier},
      {"wgmma.wait_group.sync.aligned 0", kBarrier},
      {"mbarrier.try_wait.parity.shared::cta.b64 %p1, [%r1], %r2", kBarrier},
      {"bar.sync 1, 128", kBarrier},
      {"fence.proxy.async", kBarrier},
      {"membar.gl", kBarrier},
      {"ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [%r5]", kSharedMemory},
      {"atom.shared.add.u32 %r1, [%r2], 1", kSharedMemory},
      {"ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r1, %r2}, [%r3]", kSharedMemory},
      {"stmatrix.sync.aligned.m8n8.x2.shared.b16 [%r3], {%r1, %r2}", kSharedMemory},
      {"wmma.load.a.sync.aligned.row.m16n16k16.shared.f16 {%r1}, [%d1], %r2", kSharedMemory},
      {"ld.global.nc.u32 %r1, [%d1]", kGlobalMemory},
      {"st.f32 [%d1], %f1", kGlobalMemory},
      {"red.relaxed.gpu.global.add.s32 [%d1], 1", kGlobalMemory},
      {"prefetch.tensormap [%d1]", kGlobalMemory},
      {"ld.param.u64 %d1, [%d2]", kOtherMemory},
      {"st.local.u32 [%d1], %r1", kOtherMemory},
      {"cvt.rn.bf16x2.f32 %r1, %f1, %f2", kConversion},
      {"ex2.approx.ftz.f32 %f1, %f2", kSpecialFunction},
      {"rcp.approx.ftz.f32 %f1, %f2", kSpecialFunction},
      {"fma.rn.f32 %f1, %f2, %f3, %f4", kFloat},
      {"max.f32 %f1, %f2, %f3", kFloat},
      {"add.rn.bf16x2 %r1, %r2, %r3", kFloat},
      {"mul.rn.f32x2 %d1, %d2, %d3", kFloat},
      {"mad.lo.s32 %r1, %r2, %r3, %r4", kInteger},
      {"and.b32 %r1, %r2, %r3", kInteger},
      {"bfind.shiftamt.u32 %r1, %r2", kInteger},
      {"and.pred %p1, %p2, %p3", kPredicate},
      {"setp.gt.f32 %p1, %f1, %f2", kPredicate},
      {"selp.f32 %f1, %f2, %f3, %p1", kPredicate},
      {"shfl.sync.bfly.b32 %r1, %r2, 1, 31, -1", kExchange},
      {"vote.sync.ballot.b32 %r1, %p1, -1", kExchange},
      {"mov.b64 %d1, {%r1, %r2}", kMove},
      {"cvta.to.global.u64 %d1, %d2", kMove},
      {"setmaxnreg.dec.sync.aligned.u32 40", kOther},
      {"nanosleep.u32 20", kOther},
      {"notyet.b32 %r1", kOther},
  };
  for (const auto& [text, ptx_class] : expected) {
    EXPECT_EQ(to_string(class_of(text)), to_string(ptx_class)) << text;
  }
  for (const char* branch : {"bra", "brx", "ret", "exit", "trap"}) {
    const std::string body = std::string(branch) == "brx"   ? "L: .branchtargets A; brx.idx %r1, L; A: "
                             : std::string(branch) == "bra" ? "bra A; A: "
                                                            : std::string(branch) + ";";
    EXPECT_EQ(graph_of(body).mix()[PtxClass::kBranch], 1u) << branch;
  }
}

TEST(PtxGraph, EveryInstructionOfTheTextIsInOneBlock) {
  const PtxGraph graph = graph_of("A: @%p1 bra B;\nmov.u32 %r1, 1;\nB: { C: @%p2 ret; @%p3 bra C; }\nbra A;");
  std::uint32_t instructions = 0, counted = 0;
  for (const PtxBlock& block : graph.blocks) instructions += block.instructions;
  for (std::size_t i = 0; i < kPtxClasses; ++i) counted += graph.mix()[static_cast<PtxClass>(i)];
  EXPECT_EQ(instructions, 5u);
  EXPECT_EQ(counted, 5u);
}

TEST(PtxGraph, OneOfSeveralEntriesIsChosenByName) {
  const std::string two = module_of("ret;", "first") + ".visible .entry second() { trap; }";
  EXPECT_EQ(read_ptx_graph(two, "second").blocks[0].terminator, "trap");
  const Error none = error_of([&] { read_ptx_graph(two); });
  EXPECT_EQ(none.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(none.what(), HasSubstr("several entries: first, second"));
  const Error other = error_of([&] { read_ptx_graph(two, "third"); });
  EXPECT_EQ(other.code(), ErrorCode::kNotFound);
  EXPECT_THAT(other.what(), AllOf(HasSubstr("no entry third"), HasSubstr("first, second")));
  EXPECT_THAT(error_of([] { read_ptx_graph(".version 9.0\n.target sm_80\n"); }).what(), HasSubstr("no entry"));
}

TEST(PtxGraph, WhatIsNotPtxOrNotKnownIsRefusedByNameAndPlace) {
  const Error text = error_of([] { read_ptx_graph("int main() {}"); });
  EXPECT_EQ(text.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(text.what(), HasSubstr("line 1, column 1"));
  const Error call = error_of([] { graph_of("call f;"); });
  EXPECT_EQ(call.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(call.what(), AllOf(HasSubstr("line 6, column 1"), HasSubstr("'call'")));
  const Error nowhere = error_of([] { graph_of("bra %r1;"); });
  EXPECT_EQ(nowhere.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(nowhere.what(), AllOf(HasSubstr("line 6, column 1"), HasSubstr("'bra' needs a label")));
  EXPECT_THAT(error_of([] { graph_of("brx.idx %r1, A;\nA: ret;"); }).what(),
              HasSubstr("'brx.idx' needs a list of branch targets"));
}

TEST(PtxGraph, MoreBlocksThanAreKnownAreRefusedWithTheirNumber) {
  const auto body_of = [](int blocks) {
    std::string body;
    for (int i = 1; i < blocks; ++i) body += "@%p1 bra END;\n";
    return body + "END: ret;";
  };
  EXPECT_THAT(graph_of(body_of(4096)).blocks, SizeIs(4096));
  const Error error = error_of([&] { graph_of(body_of(4097)); });
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("4097 blocks"), HasSubstr("4096")));
}

TEST(PtxGraph, TheDeepestNestOfLoopsThatIsKnownIsRead) {
  std::string tops, bottoms;
  for (int i = 0; i < 1365; ++i) {
    tops += fmt::format("L{}: @%p1 bra B{};\n", i, i);
    bottoms = fmt::format("B{}: mov.u32 %r1, 1;\n@%p2 bra L{};\n", i, i) + bottoms;
  }
  const PtxGraph graph = graph_of(tops + bottoms);
  int deepest = 0;
  for (const PtxLoop& loop : graph.loops) deepest = std::max(deepest, loop.depth);
  EXPECT_EQ(deepest, 1365);
}

/// Random branches between some blocks, and what must hold of any flow.
TEST(PtxGraph, OfRandomFlowLoopsNestAndDominatorsAreOnEveryWay) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const std::size_t count = 2 + random() % 12;
    std::string body;
    for (std::size_t i = 0; i < count; ++i) {
      const bool guarded = random() % 4 != 0;
      body += fmt::format("L{}: mov.u32 %r1, {};\n{}bra L{};\n", i, i, guarded ? "@%p1 " : "", random() % count);
    }
    const PtxGraph graph = graph_of(body + "ret;");
    const auto reached_without = [&](std::size_t avoided) {
      std::vector<bool> seen(graph.blocks.size(), false);
      std::vector<std::size_t> open;
      if (avoided != 0) open.push_back(0);
      while (!open.empty()) {
        const std::size_t block = open.back();
        open.pop_back();
        if (seen[block]) continue;
        seen[block] = true;
        for (const PtxEdge& edge : graph.blocks[block].successors) {
          if (edge.target != avoided) open.push_back(edge.target);
        }
      }
      return seen;
    };
    const std::vector<bool> reached = reached_without(graph.blocks.size());
    for (std::size_t i = 0; i < graph.blocks.size(); ++i) {
      EXPECT_EQ(graph.blocks[i].reachable, reached[i]);
      if (!graph.blocks[i].dominator) continue;
      EXPECT_FALSE(reached_without(*graph.blocks[i].dominator)[i]) << body;
    }
    for (const PtxLoop& loop : graph.loops) {
      const std::vector<bool> around = reached_without(loop.header);
      for (std::size_t block : loop.blocks) EXPECT_FALSE(around[block]) << body;
      if (!loop.parent) continue;
      const std::vector<std::size_t>& outer = graph.loops[*loop.parent].blocks;
      EXPECT_TRUE(std::ranges::includes(outer, loop.blocks)) << body;
      EXPECT_LT(loop.blocks.size(), outer.size());
      EXPECT_EQ(loop.depth, graph.loops[*loop.parent].depth + 1);
    }
    for (const PtxIrreducibleRegion& region : graph.irreducible) EXPECT_GE(region.entries.size(), 2u) << body;
  }
}

TEST(PtxGraph, MutatedTextIsReadOrRefusedWithoutACrash) {
  const std::string text =
      module_of("LIST: .branchtargets A, B;\nA: @%p1 bra B;\n{ C: @%p2 bra C; }\nB: brx.idx %r1, LIST;\n@!%p2 ret;");
  std::mt19937 random(11);
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string mutated = text;
    const std::size_t at = random() % mutated.size();
    if (round % 2 == 0) {
      mutated[at] = mutated[random() % mutated.size()];
    } else {
      mutated.erase(at, 1 + random() % 8);
    }
    try {
      read_ptx_graph(mutated);
    } catch (const Error& error) {
      ++refused;
      EXPECT_TRUE(error.code() == ErrorCode::kInvalidArgument || error.code() == ErrorCode::kUnsupported);
    }
  }
  EXPECT_GT(refused, 300);
  EXPECT_LT(refused, 3000);
}

}  // namespace
}  // namespace flashmask
