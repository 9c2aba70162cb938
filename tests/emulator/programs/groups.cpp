#include <algorithm>
#include <numeric>

#include "tests/emulator/programs/themes.h"

namespace flashmask::emulator::programs {
namespace {

using enum Fault::Kind;

/// f(i, values) for every thread.
template <class Function>
Data per_thread(std::size_t threads, Function function) {
  const Words values = words(threads, scrambled);
  return {.inputs = {values}, .expected = words(threads, [&](std::size_t i) { return function(i, values); })};
}

Data tile_sums() {
  return per_thread(64, [](std::size_t i, const Words& values) {
    std::uint32_t sum = 0;
    for (std::uint32_t k = 0; k < 8; ++k) sum += values[i / 8 * 8 + 7 - k] * (k + 1);
    return sum;
  });
}

Data tile_of_two_warps() {
  return per_thread(128, [](std::size_t i, const Words& values) {
    const std::uint32_t first = std::accumulate(values.begin(), values.begin() + 64, 0u);
    const std::uint32_t second = std::accumulate(values.begin() + 64, values.end(), 0u);
    return i < 64 ? first + 3 * second : second + 3 * first;
  });
}

Data reversed_in_two_warps() {
  return per_thread(128, [](std::size_t i, const Words& values) { return values[i / 64 * 64 + 63 - i % 64]; });
}

Data shown_to_four_warps() {
  return per_thread(128, [](std::size_t i, const Words& values) { return values[i] + 3 * (values[5] + values[70]); });
}

Data met_in_a_branch() {
  return per_thread(64, [](std::size_t i, const Words& values) {
    if (values[i] % 3 != 0) return 0u;
    std::uint32_t sum = 0, rank = 0;
    for (std::size_t k = i / 32 * 32; k < i / 32 * 32 + 32; ++k) {
      if (values[k] % 3 != 0) continue;
      sum += values[k];
      if (k < i) ++rank;
    }
    return sum + rank;
  });
}

Data labelled() {
  return per_thread(32, [](std::size_t i, const Words& values) {
    std::uint32_t greatest = 0, count = 0;
    for (const std::uint32_t each : values) {
      if (each % 4 != values[i] % 4) continue;
      greatest = std::max(greatest, each);
      ++count;
    }
    return greatest ^ count;
  });
}

Data two_parts() {
  return per_thread(32, [](std::size_t i, const Words& values) {
    for (std::size_t step = 1;; ++step) {
      const std::uint32_t next = values[(i + step) % 32];
      if (next % 2 == values[i] % 2) return next;
    }
  });
}

Data scanned() {
  return per_thread(32, [](std::size_t i, const Words& values) {
    return std::accumulate(values.begin() + static_cast<std::ptrdiff_t>(i / 16 * 16),
                           values.begin() + static_cast<std::ptrdiff_t>(i), 0u);
  });
}

Data block_copy() {
  return per_thread(256, [](std::size_t i, const Words& values) { return values[255 - i]; });
}

Data staged_copies() {
  return per_thread(256, [](std::size_t i, const Words& values) { return values[i / 64 * 64 + 63 - i % 64]; });
}

Data split_barrier() {
  return per_thread(64, [](std::size_t i, const Words& values) { return values[63 - i] + 3 * values[i]; });
}

Data invoked_once() {
  return per_thread(32, [](std::size_t i, const Words& values) { return values[0] + static_cast<std::uint32_t>(i); });
}

}  // namespace

std::span<const TestProgram> group_programs() {
  static const std::vector<TestProgram> programs = {
      {"tile_sums", "tile_sums", "", shape_of(1, 64), tile_sums, {{"no sync of the tile", {kRace, kUninitialised}}}},
      {"tile_of_two_warps",
       "tile_of_two_warps",
       "",
       shape_of(1, 128),
       tile_of_two_warps,
       {{"a sync of the tile for one of the block", {kRace, kUninitialised}}, {"no sync", {kRace, kUninitialised}}}},
      {"reversed_in_two_warps",
       "reversed_in_two_warps",
       "",
       shape_of(1, 128),
       reversed_in_two_warps,
       {{"a sync of the warp for one of the tile", {kRace, kUninitialised}}}},
      {"shown_to_four_warps",
       "shown_to_four_warps",
       "",
       shape_of(1, 128),
       shown_to_four_warps,
       {{"the thread of that rank in its warp", {}, true}}},
      {"met_in_a_branch",
       "met_in_a_branch",
       "",
       shape_of(1, 64),
       met_in_a_branch,
       {{"the rank of the warp", {}, true}}},
      {"labelled", "labelled", "", shape_of(1, 32), labelled, {{"half of the labels", {}, true}}},
      {"two_parts", "two_parts", "", shape_of(1, 32), two_parts, {{"the next of the warp", {}, true}}},
      {"scanned", "scanned", "", shape_of(1, 32), scanned, {{"sums with the own value", {}, true}}},
      {"block_copy",
       "block_copy",
       "",
       shape_of(1, 64),
       block_copy,
       {{"a barrier and no wait for the copies", {kPending}},
        {"a wait and no barrier", {kPending, kRace, kUninitialised}}}},
      {"staged_copies",
       "staged_copies",
       "",
       shape_of(1, 64),
       staged_copies,
       {{"no wait for the older copy", {kPending}},
        {"no barrier before the stage is filled again", {kRace, kPending}}}},
      {"split_barrier",
       "split_barrier",
       "",
       shape_of(1, 64),
       split_barrier,
       {{"the word of another before the wait", {kRace, kUninitialised}}}},
      {"invoked_once",
       "invoked_once",
       "",
       shape_of(1, 32),
       invoked_once,
       {{"every lane does it", {kRace}, true}, {"no sync after it", {kRace, kUninitialised}}}},
  };
  return programs;
}

}  // namespace flashmask::emulator::programs
