#include "runtime/inspect/sass_loops.h"

#include <gmock/gmock.h>

namespace flashmask::sass {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Instruction next() {
  return {};
}
Instruction jump(int target) {
  return {.kind = std::nullopt, .value = target * static_cast<std::int64_t>(kInstructionBytes), .flow = Flow::kBranch};
}
Instruction branch(int target) {
  Instruction instruction = jump(target);
  instruction.conditional = true;
  return instruction;
}
Instruction leave() {
  return {.kind = std::nullopt, .flow = Flow::kAway};
}

TEST(SassLoops, StraightCodeHasNone) {
  EXPECT_THAT(natural_loops(std::vector<Instruction>{next(), branch(3), next(), leave()}), IsEmpty());
  EXPECT_THAT(natural_loops({}), IsEmpty());
}

TEST(SassLoops, ABranchBackMakesOne) {
  const auto loops = natural_loops(std::vector<Instruction>{next(), next(), next(), branch(1), leave()});
  ASSERT_THAT(loops, SizeIs(1));
  EXPECT_EQ(loops[0].header, 1u);
  EXPECT_EQ(loops[0].end, 4u);
  EXPECT_THAT(loops[0].instructions, ElementsAre(1, 2, 3));
}

TEST(SassLoops, WhatLiesBehindTheEndStandsWhereItIsExecuted) {
  // A wait that is tried again elsewhere: 1 tries, 5 and 6 try until it is done, 7 goes back.
  const std::vector<Instruction> code = {next(), branch(5), next(), branch(1), leave(), next(), branch(5), jump(2)};
  const auto loops = natural_loops(code);
  ASSERT_THAT(loops, SizeIs(2));
  EXPECT_EQ(loops[0].header, 1u);
  EXPECT_EQ(loops[0].end, 4u);
  EXPECT_THAT(loops[0].instructions, ElementsAre(1, 5, 6, 7, 2, 3));
  EXPECT_EQ(loops[1].header, 5u);
  EXPECT_THAT(loops[1].instructions, ElementsAre(5, 6));
}

TEST(SassLoops, TheWaysOfABranchStandOneBehindTheOther) {
  const std::vector<Instruction> code = {next(), branch(4), next(), jump(5), next(), branch(0), leave()};
  const auto loops = natural_loops(code);
  ASSERT_THAT(loops, SizeIs(1));
  EXPECT_THAT(loops[0].instructions, ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(SassLoops, TwoBranchesBackToOnePlaceAreOneLoop) {
  const auto loops = natural_loops(std::vector<Instruction>{next(), next(), branch(1), next(), branch(1), leave()});
  ASSERT_THAT(loops, SizeIs(1));
  EXPECT_EQ(loops[0].end, 5u);
  EXPECT_THAT(loops[0].instructions, ElementsAre(1, 2, 3, 4));
}

TEST(SassLoops, ALoopInALoopIsPartOfIt) {
  const auto loops = natural_loops(std::vector<Instruction>{next(), next(), branch(1), next(), branch(0), leave()});
  ASSERT_THAT(loops, SizeIs(2));
  EXPECT_THAT(loops[0].instructions, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(loops[1].instructions, ElementsAre(1, 2));
}

TEST(SassLoops, WhatIsEnteredInTheMiddleIsNone) {
  // 2 is reached from 0 past 1, to which 3 goes back.
  EXPECT_THAT(natural_loops(std::vector<Instruction>{branch(2), next(), next(), branch(1), leave()}), IsEmpty());
}

TEST(SassLoops, CodeThatNothingLeadsToIsLookedAtToo) {
  const auto loops = natural_loops(std::vector<Instruction>{leave(), next(), branch(1), leave()});
  ASSERT_THAT(loops, SizeIs(1));
  EXPECT_THAT(loops[0].instructions, ElementsAre(1, 2));
}

TEST(SassLoops, ABranchOutOfTheCodeLeadsNowhere) {
  EXPECT_THAT(natural_loops(std::vector<Instruction>{next(), branch(-1), branch(9), next()}), IsEmpty());
}

}  // namespace
}  // namespace flashmask::sass
