#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "emulator/machine/handlers/families.h"
#include "emulator/machine/handlers/lanes.h"

namespace flashmask::emulator {
namespace {

using ptx::Type;

/// The member mask of a .sync instruction, which must hold every lane that names it. Lanes that name another mask are a
/// group of their own: the instruction runs for them too, apart. False when members are still to come.
bool gather_members(Warp& warp, Ref reference, std::uint32_t& members) {
  const std::uint32_t* masks = warp.lanes<std::uint32_t>(reference);
  const std::uint32_t here = warp.mask;
  const auto first = static_cast<std::uint32_t>(std::countr_zero(here));
  members = masks[first];
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((here >> lane & 1) == 0) continue;
    if ((masks[lane] >> lane & 1) == 0) {
      warp.fault(Fault::Kind::kBarrier, lane,
                 fmt::format("the lane is not in its own member mask {:#010x}", masks[lane]));
    }
    if (masks[lane] != members && (members >> lane & 1) != 0) {
      warp.fault(Fault::Kind::kBarrier, lane,
                 fmt::format("the member mask is {:#010x} here, but {:#010x} in lane {}", masks[lane], members, first));
    }
  }
  if ((here & ~members) != 0) {
    warp.mask = here & ~members;
    ++warp.launch->class_counts[warp.operation->statistics_class];
    warp.operation->run(warp, *warp.operation);
    warp.mask = here & members;
  }
  return converge(warp, members);
}

enum class Shuffle : std::uint8_t { kUp, kDown, kButterfly, kIndex };

/// r = d, a, b, c, member mask, p
void shfl(Warp& warp, const Operation& operation) {
  std::uint32_t members = 0;
  if (!gather_members(warp, operation.r[4], members)) return;
  std::uint32_t source[kLanes];
  std::memcpy(source, warp.lanes<std::uint32_t>(operation.r[1]), sizeof(source));
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint32_t* b = warp.lanes<std::uint32_t>(operation.r[2]);
  const std::uint32_t* c = warp.lanes<std::uint32_t>(operation.r[3]);
  std::uint32_t result[kLanes];
  std::uint32_t inside = 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    const std::uint32_t by = b[lane] & 31;
    const std::uint32_t clamp = c[lane] & 31;
    const std::uint32_t segment = c[lane] >> 8 & 31;
    const std::uint32_t most = (lane & segment) | (clamp & ~segment);
    const std::uint32_t least = lane & segment;
    std::uint32_t from = 0;
    bool valid = false;
    switch (static_cast<Shuffle>(operation.mode)) {
      case Shuffle::kUp:
        from = lane - by;
        valid = static_cast<std::int32_t>(from) >= static_cast<std::int32_t>(most);
        break;
      case Shuffle::kDown:
        from = lane + by;
        valid = from <= most;
        break;
      case Shuffle::kButterfly:
        from = lane ^ by;
        valid = from <= most;
        break;
      case Shuffle::kIndex:
        from = least | (by & ~segment);
        valid = from <= most;
        break;
    }
    if (!valid) from = lane;
    if ((members >> from & 1) == 0) {
      warp.fault(Fault::Kind::kBarrier, lane,
                 fmt::format("it reads lane {}, which is not in the member mask {:#010x}", from, members));
    }
    result[lane] = source[from];
    inside |= (valid ? 1u : 0u) << lane;
  }
  baseline::each_lane(warp.mask, [&](std::uint32_t lane) { d[lane] = result[lane]; });
  if (operation.r[5] != kNoRef) warp.set_predicate(operation.r[5], inside);
}

void lower_shfl(Builder& builder) {
  if (!builder.take("sync")) builder.unsupported("shfl.sync is known");
  const auto kind = builder.take_one_of({"up", "down", "bfly", "idx"});
  if (!kind) builder.malformed(".up, .down, .bfly or .idx is missing");
  if (ptx::size_of(builder.type()) != 4) builder.malformed(".b32 was expected");
  builder.expect_operands(5);
  builder.operation.mode = static_cast<std::uint8_t>(*kind);
  const ptx::Operand& target = builder.operand(0);
  if (target.kind == ptx::Operand::Kind::kPair) {
    builder.operation.r[0] = builder.destination(target.elements[0], 4);
    builder.operation.r[5] = builder.predicate_destination(target.elements[1]);
  } else {
    builder.operation.r[0] = builder.destination(target, 4);
  }
  for (std::size_t i = 1; i <= 4; ++i) builder.operation.r[i] = builder.source(i, Type::kB32);
  builder.operation.run = shfl;
  builder.statistics_class("shfl");
}

enum class Vote : std::uint8_t { kAll, kAny, kUniform, kBallot };

/// r = d, predicate, member mask
void vote(Warp& warp, const Operation& operation) {
  std::uint32_t members = 0;
  if (!gather_members(warp, operation.r[2], members)) return;
  const std::uint32_t ballot = warp.predicate(operation.r[1]) & members;
  bool result = false;
  switch (static_cast<Vote>(operation.mode)) {
    case Vote::kAll:
      result = ballot == members;
      break;
    case Vote::kAny:
      result = ballot != 0;
      break;
    case Vote::kUniform:
      result = ballot == members || ballot == 0;
      break;
    case Vote::kBallot: {
      std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
      baseline::each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = ballot; });
      return;
    }
  }
  warp.set_predicate(operation.r[0], result ? kAllLanes : 0);
}

void lower_vote(Builder& builder) {
  if (!builder.take("sync")) builder.unsupported("vote.sync is known");
  const auto kind = builder.take_one_of({"all", "any", "uni", "ballot"});
  if (!kind) builder.malformed(".all, .any, .uni or .ballot is missing");
  const bool ballot = builder.type() == Type::kB32;
  if (ballot != (*kind == 3)) builder.malformed("a ballot is .b32, the other votes are .pred");
  builder.expect_operands(3);
  builder.operation.mode = static_cast<std::uint8_t>(*kind);
  builder.operation.r[0] = ballot ? builder.destination(0, 4) : builder.predicate_destination(builder.operand(0));
  builder.operation.r[1] = builder.predicate_source(builder.operand(1));
  builder.operation.r[2] = builder.source(2, Type::kB32);
  builder.operation.run = vote;
  builder.statistics_class("vote");
}

/// r = d, a, member mask, p. mode 1: .all
template <class T>
void match(Warp& warp, const Operation& operation) {
  std::uint32_t members = 0;
  if (!gather_members(warp, operation.r[2], members)) return;
  const T* a = warp.lanes<T>(operation.r[1]);
  std::uint32_t result[kLanes] = {};
  bool all_equal = true;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) == 0) continue;
    for (std::uint32_t other = 0; other < kLanes; ++other) {
      if ((members >> other & 1) != 0 && a[other] == a[lane]) result[lane] |= 1u << other;
    }
    all_equal = all_equal && result[lane] == members;
  }
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const bool all = operation.mode != 0;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    if ((warp.mask >> lane & 1) != 0) d[lane] = all ? (all_equal ? members : 0) : result[lane];
  }
  if (operation.r[3] != kNoRef) warp.set_predicate(operation.r[3], all_equal ? kAllLanes : 0);
}

void lower_match(Builder& builder) {
  const auto kind = builder.take_one_of({"any", "all"});
  if (!kind || !builder.take("sync")) builder.malformed(".any.sync or .all.sync was expected");
  const Type type = builder.type();
  builder.expect_operands(3);
  builder.operation.mode = static_cast<std::uint8_t>(*kind);
  const ptx::Operand& target = builder.operand(0);
  if (target.kind == ptx::Operand::Kind::kPair) {
    builder.operation.r[0] = builder.destination(target.elements[0], 4);
    builder.operation.r[3] = builder.predicate_destination(target.elements[1]);
  } else {
    builder.operation.r[0] = builder.destination(target, 4);
  }
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, Type::kB32);
  if (ptx::size_of(type) != 4 && ptx::size_of(type) != 8) builder.malformed(".b32 or .b64 was expected");
  builder.operation.run = ptx::size_of(type) == 8 ? match<std::uint64_t> : match<std::uint32_t>;
  builder.statistics_class("vote");
}

enum class Reduction : std::uint8_t { kAdd, kMin, kMax, kAnd, kOr, kXor };

/// r = d, a, member mask
template <class T>
void redux(Warp& warp, const Operation& operation) {
  std::uint32_t members = 0;
  if (!gather_members(warp, operation.r[2], members)) return;
  const T* a = warp.lanes<T>(operation.r[1]);
  T sum = a[std::countr_zero(members)];
  for (auto lane = static_cast<std::uint32_t>(std::countr_zero(members)) + 1; lane < kLanes; ++lane) {
    if ((members >> lane & 1) == 0) continue;
    const T next = a[lane];
    switch (static_cast<Reduction>(operation.mode)) {
      case Reduction::kAdd:
        sum = static_cast<T>(static_cast<std::uint32_t>(sum) + static_cast<std::uint32_t>(next));
        break;
      case Reduction::kMin:
        sum = next < sum ? next : sum;
        break;
      case Reduction::kMax:
        sum = next > sum ? next : sum;
        break;
      case Reduction::kAnd:
        sum &= next;
        break;
      case Reduction::kOr:
        sum |= next;
        break;
      case Reduction::kXor:
        sum ^= next;
        break;
    }
  }
  T* d = warp.lanes<T>(operation.r[0]);
  baseline::each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = sum; });
}

void lower_redux(Builder& builder) {
  if (!builder.take("sync")) builder.malformed(".sync is missing");
  const auto kind = builder.take_one_of({"add", "min", "max", "and", "or", "xor"});
  if (!kind) builder.malformed("the operation is missing");
  const Type type = builder.type();
  builder.expect_operands(3);
  builder.operation.mode = static_cast<std::uint8_t>(*kind);
  if (ptx::size_of(type) != 4 || ptx::is_float(type)) builder.unsupported("32-bit integers are known");
  builder.operation.r[0] = builder.destination(0, 4);
  builder.operation.r[1] = builder.source(1, type);
  builder.operation.r[2] = builder.source(2, Type::kB32);
  builder.operation.run = type == Type::kS32 ? redux<std::int32_t> : redux<std::uint32_t>;
  builder.statistics_class("redux");
}

void activemask(Warp& warp, const Operation& operation) {
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  const std::uint32_t mask = warp.mask;
  baseline::each_lane(mask, [=](std::uint32_t lane) { d[lane] = mask; });
}

void lower_activemask(Builder& builder) {
  if (builder.type() != Type::kB32) builder.malformed(".b32 was expected");
  builder.expect_operands(1);
  builder.operation.r[0] = builder.destination(0, 4);
  builder.operation.run = activemask;
}

/// r = d, p, member mask. The leader is the lowest member.
void elect(Warp& warp, const Operation& operation) {
  std::uint32_t members = 0;
  if (!gather_members(warp, operation.r[2], members)) return;
  const auto leader = static_cast<std::uint32_t>(std::countr_zero(members));
  std::uint32_t* d = warp.lanes<std::uint32_t>(operation.r[0]);
  baseline::each_lane(warp.mask, [=](std::uint32_t lane) { d[lane] = leader; });
  warp.set_predicate(operation.r[1], 1u << leader);
}

void lower_elect(Builder& builder) {
  if (!builder.take("sync")) builder.malformed(".sync is missing");
  builder.expect_operands(2);
  const ptx::Operand& target = builder.operand(0);
  if (target.kind != ptx::Operand::Kind::kPair) builder.malformed("a pair d|p was expected");
  builder.operation.r[0] = builder.destination(target.elements[0], 4);
  builder.operation.r[1] = builder.predicate_destination(target.elements[1]);
  builder.operation.r[2] = builder.source(1, Type::kB32);
  builder.operation.run = elect;
  builder.statistics_class("vote");
}

/// r = member mask
void warp_barrier(Warp& warp, const Operation& operation) {
  std::uint32_t members = 0;
  if (!gather_members(warp, operation.r[0], members)) return;
  if (warp.launch->races) synchronise_lanes(warp, members);
}

}  // namespace

void lower_warp_barrier(Builder& builder) {
  builder.expect_operands(1);
  builder.operation.r[0] = builder.source(0, Type::kB32);
  builder.operation.run = warp_barrier;
  builder.statistics_class("bar.warp");
}

void add_warp_exchange(LowerTable& table) {
  table["shfl"] = lower_shfl;
  table["vote"] = lower_vote;
  table["match"] = lower_match;
  table["redux"] = lower_redux;
  table["activemask"] = lower_activemask;
  table["elect"] = lower_elect;
}

}  // namespace flashmask::emulator
