#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "emulator/machine/core/random.h"
#include "emulator/machine/machine.h"

namespace flashmask::emulator {

struct Warp;

/// Decides who runs next and when asynchronous operations land: by a schedule and a seed, or by a script that an
/// exploration varies.
class Turns {
 public:
  Turns(Schedule schedule, Random random) : schedule_(schedule), random_(random), starved_(random_.next()) {}
  /// Follows `script`: at its i-th choice, how many candidates in line are passed over. Choices beyond it pass nobody.
  explicit Turns(std::vector<std::uint8_t> script) : explores_(true), random_(0), script_(std::move(script)) {}

  struct Turn {
    bool lands = false;  ///< the copy `index` lands; else the warp `index` of the ready ones runs
    std::size_t index = 0;
    std::uint32_t budget = 0;  ///< instructions
  };
  /// `ready` is not empty; `idle`: instructions since anything happened that somebody may wait for.
  Turn next(const std::vector<Warp*>& ready, std::size_t copies, std::uint64_t idle);
  /// Which of `copies` lands when nobody can run.
  std::size_t landing(std::size_t copies);
  /// A copy lands as soon as it is issued.
  bool lands_at_issue() { return !explores_ && schedule_ == Schedule::kInOrder; }
  /// A try_wait that would succeed, or wait, fails.
  bool fails_spuriously() { return !explores_ && schedule_ != Schedule::kInOrder && (random_.next() & 15) == 0; }
  /// The warp has run an operation that other threads can see: an exploration may give the turn to another one.
  void visible(Warp& warp) const;

  /// How many candidates every choice had.
  const std::vector<std::uint8_t>& widths() const { return widths_; }

 private:
  std::size_t choose(std::size_t candidates);
  Turn explore(const std::vector<Warp*>& ready, std::size_t copies, std::uint64_t idle);
  std::uint32_t random_slice();
  std::size_t pick_warp(const std::vector<Warp*>& ready, bool spins);

  Schedule schedule_ = Schedule::kRandom;
  bool explores_ = false;
  Random random_;
  std::uint64_t starved_ = 0;  ///< chooses the warps that kStarved starves
  std::vector<std::uint8_t> script_;
  std::vector<std::uint8_t> widths_;
  const Warp* last_ = nullptr;
  std::uint32_t polls_ = 0;  ///< turns of that warp since anything happened
};

}  // namespace flashmask::emulator
