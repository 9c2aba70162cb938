#pragma once

#include <cstdint>
#include <vector>

#include "emulator/machine/core/knowledge.h"
#include "emulator/machine/core/race_shadow.h"

namespace flashmask::emulator {

struct Cta;
struct Launch;
struct Warp;

/// An mbarrier object. Its 64 bits in shared memory are opaque to kernels; the truth is here, with a phase number that
/// does not wrap.
struct Mbarrier {
  static constexpr std::uint32_t kMostArrivals = (1u << 20) - 1;
  static constexpr std::int64_t kMostTransactionBytes = (1 << 20) - 1;
  static constexpr std::uint32_t kBytes = 8;

  std::uint32_t offset = 0;    ///< in shared memory
  Agent agent = 0;             ///< its time is the number of completed phases
  std::uint32_t expected = 0;  ///< arrivals of the next phase
  std::uint32_t pending = 0;   ///< arrivals that this phase still waits for
  std::int64_t bytes = 0;      ///< that this phase still waits for; below 0 when they came before they were expected
  std::uint32_t phase = 0;     ///< completed ones
  Order arriving;              ///< what those who arrived know; also of phases before
  Order completed;             ///< what an observer of the last completed phase learns
  AccessRecord initialised;    ///< by mbarrier.init
  bool initialisation_fenced = false;
  bool is_remote = false;  ///< other CTAs of the cluster arrive, or copy
  // How many of the bulk copies that signal it
  std::uint64_t issued = 0;       ///< have been issued,
  std::uint64_t landed = 0;       ///< have landed,
  std::uint64_t over = 0;         ///< had landed when the last completed phase did so,
  std::uint64_t over_before = 0;  ///< and when the one before it did.
};

/// The mbarriers of a CTA.
class Mbarriers {
 public:
  Mbarrier* find(std::uint32_t offset);
  Mbarrier& add(const Mbarrier& mbarrier);
  void remove(std::uint32_t offset);
  void clear() { all_.clear(); }
  std::vector<Mbarrier>& all() { return all_; }
  const std::vector<Mbarrier>& all() const { return all_; }

 private:
  std::vector<Mbarrier> all_;  ///< a dozen: looked through
};

/// Whether a copy to the shared memory of the warp's CTA is under way as far as the warp knows: issued, and no wait has
/// told it that the copy has landed, be it its own or one of others that it synchronised with. (Without the check of
/// races nobody keeps what warps know, and the end of a phase counts.)
bool has_copy_in_flight(const Warp& warp);

/// Completes the phase when nothing is pending, and wakes who waits for it.
void complete_if_done(Launch& launch, Mbarrier& mbarrier);

/// The mbarrier at `offset` of `cta` for an operation of `lane`; with `asynchronous`, one that the asynchronous proxy
/// will carry out. Throws Fault when there is none, or its initialisation is not ordered before.
Mbarrier& mbarrier_at(Warp& warp, std::uint32_t lane, Cta& cta, std::uint32_t offset, bool asynchronous);

/// `count` arrivals by `lanes`. `ordered`: they publish what the lanes know. Throws Fault{kMbarrier} for more than are
/// expected.
void arrive(Warp& warp, std::uint32_t lanes, Mbarrier& mbarrier, std::uint32_t count, bool ordered);
/// The phase waits for `bytes` more.
void expect_bytes(Warp& warp, std::uint32_t lane, Mbarrier& mbarrier, std::int64_t bytes);

/// True when the phase that a wait for `parity` means has completed. Throws Fault{kMbarrier} when the waiting lane is
/// two phases behind, so that parities no longer tell phases apart.
bool parity_completed(const Warp& warp, std::uint32_t lane, const Mbarrier& mbarrier, std::uint32_t parity);

/// The opaque state that an arrival returns.
std::uint64_t state_of(const Mbarrier& mbarrier);
std::uint32_t phase_of_state(std::uint64_t state);
std::uint32_t pending_of_state(std::uint64_t state);

/// Lets lanes that are parked in a wait look again.
void wake_waiting(Launch& launch);

}  // namespace flashmask::emulator
