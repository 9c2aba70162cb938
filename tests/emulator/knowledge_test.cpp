#include "emulator/machine/core/knowledge.h"

#include <gtest/gtest.h>

#include "emulator/machine/core/race_shadow.h"
#include "emulator/machine/core/warp.h"

namespace flashmask::emulator::test {
namespace {

// --- Knowledge -------------------------------------------------------------------------------------------------------

TEST(Knowledge, OfAnAgentReachesUpToAClockForAllItsLanes) {
  Knowledge knowledge(10, 4);
  knowledge.raise(11, 5);
  EXPECT_TRUE(knowledge.covers(11, kAllLanes, 5));
  EXPECT_FALSE(knowledge.covers(11, 1, 6));
  EXPECT_FALSE(knowledge.covers(12, 1, 1));
  EXPECT_EQ(knowledge.uncovered(11, 0xf0, 6), 0xf0u);
}

TEST(Knowledge, OnlyGrows) {
  Knowledge knowledge(10, 4);
  knowledge.raise(11, 5);
  knowledge.raise(11, 3);
  knowledge.raise(99, 5);
  knowledge.raise(99, 3);
  EXPECT_EQ(knowledge.whole(11), 5u);
  EXPECT_EQ(knowledge.whole(99), 5u);
  EXPECT_EQ(knowledge.whole(98), 0u);
}

TEST(Knowledge, OfLanesIsOfTheseLanesOnly) {
  Knowledge knowledge(10, 4);
  knowledge.raise_lanes(11, 0b101, 7);
  EXPECT_TRUE(knowledge.covers(11, 0b101, 7));
  EXPECT_EQ(knowledge.uncovered(11, 0b111, 7), 0b010u);
  EXPECT_EQ(knowledge.uncovered(11, 0b101, 8), 0b101u);
  knowledge.raise(11, 7);
  EXPECT_TRUE(knowledge.covers(11, kAllLanes, 7));
}

TEST(Knowledge, OfTheWholeAgentDoesNotHideALanesLaterClock) {
  Knowledge knowledge(10, 4);
  knowledge.raise_lanes(11, 0b1, 9);
  knowledge.raise(11, 5);
  EXPECT_TRUE(knowledge.covers(11, 0b1, 9));
  EXPECT_FALSE(knowledge.covers(11, 0b10, 6));
  knowledge.raise_lanes(11, 0b1, 4);
  EXPECT_TRUE(knowledge.covers(11, 0b1, 9));
}

TEST(Knowledge, MergesWithOthersOfTheSameHome) {
  Knowledge one(10, 4);
  Knowledge other(10, 4);
  one.raise(10, 3);
  one.raise(50, 1);
  one.raise_lanes(12, 0b1, 5);
  other.raise(10, 2);
  other.raise(13, 8);
  other.raise(40, 2);
  other.raise(50, 6);
  other.raise_lanes(12, 0b10, 5);
  one.merge(other);
  EXPECT_EQ(one.whole(10), 3u);
  EXPECT_EQ(one.whole(13), 8u);
  EXPECT_EQ(one.whole(40), 2u);
  EXPECT_EQ(one.whole(50), 6u);
  EXPECT_TRUE(one.covers(12, 0b11, 5));
  EXPECT_FALSE(one.covers(12, 0b100, 1));
}

TEST(Knowledge, MergesWithOthersOfAnotherHome) {
  Knowledge one(10, 4);
  Knowledge other(20, 4);
  other.raise(21, 4);
  other.raise(11, 6);
  other.raise_lanes(10, 0b1, 2);
  one.merge(other);
  EXPECT_EQ(one.whole(21), 4u);
  EXPECT_EQ(one.whole(11), 6u);
  EXPECT_EQ(one.home()[1], 6u) << "what is at home is looked up at once";
  EXPECT_TRUE(one.covers(10, 0b1, 2));
  Knowledge nobody;
  nobody.merge(one);
  EXPECT_EQ(nobody.whole(11), 6u);
}

TEST(Knowledge, IsForgottenByClear) {
  Order order(10, 4);
  order.known.raise(11, 4);
  order.known.raise(90, 4);
  order.fenced[kSharedMemory].raise_lanes(12, 1, 4);
  order.fenced[kGlobalMemory].raise_lanes(12, 1, 4);
  order.clear();
  EXPECT_EQ(order.known.whole(11) + order.known.whole(90), 0u);
  EXPECT_FALSE(order.fenced[kSharedMemory].covers(12, 1, 1));
  EXPECT_FALSE(order.fenced[kGlobalMemory].covers(12, 1, 1));
  order.known.raise(11, 2);
  EXPECT_EQ(order.known.whole(11), 2u);
}

// --- RaceShadow ------------------------------------------------------------------------------------------------------

constexpr Agent kFirst = 10;
constexpr std::uint32_t kAgents = 16;

/// A warp that accesses a shadow, and what it knows of others.
class Actor {
 public:
  explicit Actor(std::uint32_t index) {
    warp_.order.agent = kFirst + index;
    warp_.order.common = Order(kFirst, kAgents);
    warp_.mask = kAllLanes;
  }

  Accessor by(std::uint32_t flags, std::uint32_t lanes = 1, std::uint32_t operation = 0) const {
    const Order& common = warp_.order.common;
    return {.warp = &warp_,
            .record = {warp_.order.agent, warp_.order.clock, lanes, operation << kFlagBits | flags},
            .home = common.known.home(),
            .first = kFirst,
            .home_size = kAgents,
            .fenced_home = common.fenced[kSharedMemory].home()};
  }
  /// `from` signals and this warp waits.
  void wait_for(Actor& from) {
    warp_.order.common.merge(from.warp_.order.common);
    warp_.order.common.known.raise(from.warp_.order.agent, from.warp_.order.clock++);
  }

 private:
  Warp warp_;
};

bool passes(RaceShadow& shadow, std::uint64_t offset, std::uint64_t bytes, const Accessor& by) {
  Conflict conflict;
  return shadow.access(offset, bytes, by, conflict);
}

constexpr std::uint32_t kGpuWide = kStrong | 2u << kScopeShift;

class Shadow : public testing::Test {
 protected:
  RaceShadow shadow{256};
  Actor writer{0};
  Actor reader{1};
  Actor third{2};
};

TEST_F(Shadow, NamesTheEarlierAccess) {
  ASSERT_TRUE(passes(shadow, 16, 16, writer.by(kWrites, 1u << 5, 77)));
  Conflict conflict;
  ASSERT_FALSE(shadow.access(20, 4, reader.by(0), conflict));
  EXPECT_EQ(conflict.earlier.agent, kFirst);
  EXPECT_EQ(conflict.earlier.lanes, 1u << 5);
  EXPECT_EQ(conflict.earlier.operation(), 77u);
  EXPECT_TRUE(conflict.earlier.writes());
  EXPECT_FALSE(conflict.only_the_fence_is_missing);
  reader.wait_for(writer);
  EXPECT_TRUE(passes(shadow, 20, 4, reader.by(0)));
}

TEST_F(Shadow, SplitsAGranuleIntoWordsAndBytes) {
  ASSERT_TRUE(passes(shadow, 0, 16, writer.by(kWrites)));
  reader.wait_for(writer);
  ASSERT_TRUE(passes(shadow, 5, 1, reader.by(kWrites)));
  // The neighbours are still the first writer's, byte by byte and word by word.
  for (const std::uint64_t offset : {0u, 4u, 6u, 7u, 8u, 15u}) EXPECT_TRUE(passes(shadow, offset, 1, writer.by(0)));
  EXPECT_FALSE(passes(shadow, 5, 1, writer.by(0)));
  EXPECT_FALSE(passes(shadow, 4, 4, writer.by(0)));
  EXPECT_FALSE(passes(shadow, 0, 16, writer.by(0)));
  EXPECT_TRUE(passes(shadow, 8, 8, writer.by(0)));
}

TEST_F(Shadow, BytesAcrossGranulesAreAllLookedAt) {
  ASSERT_TRUE(passes(shadow, 30, 1, writer.by(kWrites)));
  ASSERT_TRUE(passes(shadow, 33, 1, writer.by(kWrites)));
  EXPECT_TRUE(passes(shadow, 31, 2, reader.by(0)));
  EXPECT_FALSE(passes(shadow, 31, 3, reader.by(0)));
  EXPECT_FALSE(passes(shadow, 14, 17, reader.by(0)));
}

TEST_F(Shadow, KeepsTheReadersOfAGranuleThatIsSplitLater) {
  ASSERT_TRUE(passes(shadow, 0, 16, reader.by(0)));
  ASSERT_TRUE(passes(shadow, 0, 16, third.by(0)));
  writer.wait_for(third);
  ASSERT_FALSE(passes(shadow, 9, 1, writer.by(kWrites))) << "the first reader is not ordered before";
  writer.wait_for(reader);
  EXPECT_TRUE(passes(shadow, 9, 1, writer.by(kWrites)));
  EXPECT_FALSE(passes(shadow, 9, 1, reader.by(0)));
}

TEST_F(Shadow, AWholeWriteJoinsTheParts) {
  for (std::uint64_t offset = 0; offset < 16; ++offset) {
    ASSERT_TRUE(passes(shadow, offset, 1, writer.by(kWrites, 1u << offset)));
  }
  ASSERT_FALSE(passes(shadow, 0, 16, reader.by(kWrites)));
  reader.wait_for(writer);
  ASSERT_TRUE(passes(shadow, 0, 16, reader.by(kWrites)));
  third.wait_for(writer);
  for (std::uint64_t offset = 0; offset < 16; ++offset) EXPECT_FALSE(passes(shadow, offset, 1, third.by(0)));
  third.wait_for(reader);
  EXPECT_TRUE(passes(shadow, 3, 1, third.by(kWrites)));
}

TEST_F(Shadow, ReadersStandBesideEachOther) {
  EXPECT_TRUE(passes(shadow, 0, 4, reader.by(0)));
  EXPECT_TRUE(passes(shadow, 0, 4, third.by(0)));
}

TEST_F(Shadow, WithoutABoundKeepsEveryReader) {
  for (std::uint32_t i = 1; i < kAgents; ++i) ASSERT_TRUE(passes(shadow, 0, 4, Actor(i).by(0)));
  Conflict conflict;
  for (std::uint32_t i = 1; i < kAgents; ++i) {
    ASSERT_FALSE(shadow.check(0, 4, writer.by(kWrites), conflict)) << "after waiting for " << i - 1;
    Actor each(i);
    writer.wait_for(each);
  }
  EXPECT_TRUE(shadow.check(0, 4, writer.by(kWrites), conflict));
}

TEST_F(Shadow, WithABoundKeepsThatManyReaders) {
  RaceShadow bounded(16, 4);
  for (std::uint32_t i = 1; i < kAgents; ++i) ASSERT_TRUE(passes(bounded, 0, 4, Actor(i).by(0)));
  // Those who are kept are found one after the other; when these four are waited for, nobody else is.
  Conflict conflict;
  std::uint32_t kept = 0;
  for (; !bounded.check(0, 4, writer.by(kWrites), conflict) && kept < kAgents; ++kept) {
    Actor reader_found(conflict.earlier.agent - kFirst);
    writer.wait_for(reader_found);
  }
  EXPECT_EQ(kept, 4u);
  EXPECT_FALSE(bounded.check(0, 4, third.by(kWrites), conflict));
  EXPECT_TRUE(passes(bounded, 0, 4, writer.by(kWrites)));
}

TEST_F(Shadow, WithABoundTheNewestReadersAreKept) {
  RaceShadow bounded(16, 4);
  std::vector<Actor> readers;
  for (std::uint32_t i = 1; i < kAgents; ++i) readers.emplace_back(i);
  for (const Actor& each : readers) ASSERT_TRUE(passes(bounded, 0, 4, each.by(0)));
  // A writer that waited for all but one of the three newest is still told of that one.
  for (std::size_t missing = readers.size() - 3; missing < readers.size(); ++missing) {
    Actor late(0);
    for (std::size_t i = 0; i < readers.size(); ++i) {
      if (i != missing) late.wait_for(readers[i]);
    }
    Conflict conflict;
    EXPECT_FALSE(bounded.check(0, 4, late.by(kWrites), conflict)) << missing;
  }
}

TEST_F(Shadow, AtomicsStandBesideEachOtherButNotBesidePlainAccesses) {
  ASSERT_TRUE(passes(shadow, 0, 4, writer.by(kWrites | kGpuWide)));
  ASSERT_TRUE(passes(shadow, 0, 4, reader.by(kWrites | kGpuWide)));
  EXPECT_FALSE(passes(shadow, 0, 4, third.by(0)));
  third.wait_for(reader);
  EXPECT_FALSE(passes(shadow, 0, 4, third.by(0))) << "the other atomic is not ordered before";
  third.wait_for(writer);
  EXPECT_TRUE(passes(shadow, 0, 4, third.by(kWrites)));
  EXPECT_FALSE(passes(shadow, 0, 4, writer.by(kWrites | kGpuWide))) << "a plain write is not strong";
}

TEST_F(Shadow, LanesOfOneInstructionWriteTogether) {
  ASSERT_TRUE(passes(shadow, 0, 4, writer.by(kWrites, 1, 5)));
  ASSERT_TRUE(passes(shadow, 0, 4, writer.by(kWrites, 2, 5)));
  EXPECT_FALSE(passes(shadow, 0, 4, writer.by(kWrites, 2, 6))) << "another instruction is later, and races with lane 0";
  // Both lanes wrote: who knows of one of them only is not ordered after.
  Conflict conflict;
  ASSERT_FALSE(shadow.access(0, 4, reader.by(0), conflict));
  EXPECT_EQ(conflict.earlier.lanes, 3u);
}

TEST_F(Shadow, ALaneIsAfterItself) {
  ASSERT_TRUE(passes(shadow, 0, 4, writer.by(kWrites, 1, 5)));
  EXPECT_TRUE(passes(shadow, 0, 4, writer.by(0, 1, 6)));
  EXPECT_TRUE(passes(shadow, 0, 4, writer.by(kWrites, 1, 7)));
  EXPECT_FALSE(passes(shadow, 0, 4, writer.by(0, 2, 8)));
}

TEST_F(Shadow, ALaterReadOfTheSameLanesTakesThePlaceOfTheEarlierOne) {
  ASSERT_TRUE(passes(shadow, 0, 4, reader.by(0, 1, 5)));
  writer.wait_for(reader);
  ASSERT_TRUE(passes(shadow, 0, 4, reader.by(0, 1, 6)));
  Conflict conflict;
  ASSERT_FALSE(shadow.access(0, 4, writer.by(kWrites), conflict));
  EXPECT_EQ(conflict.earlier.operation(), 6u);
}

TEST_F(Shadow, AsynchronousReadsNeedTheFenceOnlyAfterOrdinaryWrites) {
  ASSERT_TRUE(passes(shadow, 0, 4, writer.by(kWrites)));
  reader.wait_for(writer);
  Conflict conflict;
  ASSERT_FALSE(shadow.check(0, 4, reader.by(kAsynchronous), conflict));
  EXPECT_TRUE(conflict.only_the_fence_is_missing);
  EXPECT_TRUE(shadow.check(0, 4, reader.by(0), conflict));
  ASSERT_TRUE(passes(shadow, 16, 4, writer.by(kWrites | kAsynchronous)));
  reader.wait_for(writer);
  EXPECT_TRUE(shadow.check(16, 4, reader.by(kAsynchronous), conflict));
}

TEST_F(Shadow, ChecksWithoutRememberingAndRemembersWithoutChecking) {
  Conflict conflict;
  ASSERT_TRUE(shadow.check(0, 4, writer.by(kWrites), conflict));
  EXPECT_TRUE(shadow.check(0, 4, reader.by(kWrites), conflict));
  shadow.keep(0, 4, writer.by(0));
  shadow.keep(0, 4, reader.by(0));
  EXPECT_FALSE(shadow.check(0, 4, third.by(kWrites), conflict));
  shadow.set_written(0, 4, third.by(kWrites).record);
  writer.wait_for(third);
  EXPECT_TRUE(shadow.check(0, 4, writer.by(kWrites), conflict)) << "the readers were before the write";
  shadow.clear();
  EXPECT_TRUE(shadow.check(0, 16, reader.by(kWrites), conflict));
}

}  // namespace
}  // namespace flashmask::emulator::test
