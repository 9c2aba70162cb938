#include "emulator/machine/core/turns.h"

#include <algorithm>
#include <array>

#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {
namespace {

/// Instructions without progress after which a warp that is preferred counts as spinning, and others get turns too.
constexpr std::uint64_t kSpinning = 1u << 14;
constexpr std::uint32_t kLongSlice = 1u << 12;
/// Turns of one warp without progress after which it counts as spinning in an exploration.
constexpr std::uint32_t kMostPolls = 8;

struct NamedSchedule {
  Schedule schedule;
  std::string_view name;
};
constexpr std::array<NamedSchedule, 5> kNames = {{{Schedule::kRandom, "random"},
                                                  {Schedule::kInOrder, "in-order"},
                                                  {Schedule::kReversed, "reversed"},
                                                  {Schedule::kStarved, "starved"},
                                                  {Schedule::kLateLandings, "late-landings"}}};

/// One warp of each CTA, another one for another seed.
bool is_starved(const Warp& warp, std::uint64_t choice) {
  return warp.index == choice % warp.cta->warps.size();
}

}  // namespace

std::string_view name_of(Schedule schedule) {
  return kNames[static_cast<std::size_t>(schedule)].name;
}

std::optional<Schedule> schedule_named(std::string_view name) {
  for (const NamedSchedule& each : kNames) {
    if (each.name == name) return each.schedule;
  }
  return std::nullopt;
}

std::span<const Schedule> all_schedules() {
  static constexpr std::array<Schedule, 5> kAll = {Schedule::kRandom, Schedule::kInOrder, Schedule::kReversed,
                                                   Schedule::kStarved, Schedule::kLateLandings};
  return kAll;
}

/// Mostly long enough to be quick, sometimes so short that neighbours meet between two instructions.
std::uint32_t Turns::random_slice() {
  const std::uint64_t bits = random_.next();
  if ((bits & 7) == 0) return 1 + static_cast<std::uint32_t>(bits >> 32) % 8;
  return 1 + static_cast<std::uint32_t>(bits >> 32) % 512;
}

std::size_t Turns::pick_warp(const std::vector<Warp*>& ready, bool spins) {
  const auto any = [&] { return random_.below(static_cast<std::uint32_t>(ready.size())); };
  if (spins) return any();
  switch (schedule_) {
    case Schedule::kInOrder:
      return 0;
    case Schedule::kReversed:
      return ready.size() - 1;
    case Schedule::kStarved: {
      std::vector<std::size_t> fed;
      for (std::size_t i = 0; i < ready.size(); ++i) {
        if (!is_starved(*ready[i], starved_)) fed.push_back(i);
      }
      return fed.empty() ? any() : fed[random_.below(static_cast<std::uint32_t>(fed.size()))];
    }
    default:
      return any();
  }
}

Turns::Turn Turns::next(const std::vector<Warp*>& ready, std::size_t copies, std::uint64_t idle) {
  if (explores_) return explore(ready, copies, idle);
  const bool spins = idle > kSpinning;
  const bool late = schedule_ == Schedule::kLateLandings;
  if (copies != 0 && (late ? spins : (random_.next() & 3) == 0)) return {.lands = true, .index = landing(copies)};
  const bool preferred = !spins && (schedule_ == Schedule::kInOrder || schedule_ == Schedule::kReversed);
  const std::size_t index = pick_warp(ready, spins);
  return {.index = index, .budget = preferred ? kLongSlice : random_slice()};
}

std::size_t Turns::landing(std::size_t copies) {
  if (explores_) return choose(copies);
  if (schedule_ == Schedule::kInOrder) return 0;
  if (schedule_ == Schedule::kReversed) return copies - 1;
  return random_.below(static_cast<std::uint32_t>(copies));
}

void Turns::visible(Warp& warp) const {
  if (!explores_) return;
  warp.interrupted = true;
  warp.turn_ends = true;
}

std::size_t Turns::choose(std::size_t candidates) {
  const std::size_t at = widths_.size();
  widths_.push_back(static_cast<std::uint8_t>(std::min<std::size_t>(candidates, 255)));
  const std::size_t passed = at < script_.size() ? script_[at] : 0;
  return std::min(passed, candidates - 1);
}

/// In line: the warp that ran last, the ones after it in a circle, then the landings.
Turns::Turn Turns::explore(const std::vector<Warp*>& ready, std::size_t copies, std::uint64_t idle) {
  const auto last = std::find(ready.begin(), ready.end(), last_);
  // Who spins hands on the turn, or an endless loop would be a schedule.
  polls_ = idle == 0 ? 0 : polls_ + 1;
  const bool spins = polls_ > kMostPolls;
  std::size_t start = last == ready.end() ? 0 : static_cast<std::size_t>(last - ready.begin());
  if (spins) {
    polls_ = 0;
    if (copies != 0) return {.lands = true, .index = 0};
    start = (start + 1) % ready.size();
  }
  const std::size_t passed = spins ? 0 : choose(ready.size() + copies);
  if (passed >= ready.size()) return {.lands = true, .index = passed - ready.size()};
  const std::size_t index = (start + passed) % ready.size();
  if (last_ != ready[index]) polls_ = 0;
  last_ = ready[index];
  return {.index = index, .budget = kLongSlice};
}

}  // namespace flashmask::emulator
