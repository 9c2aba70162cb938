#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "emulator/machine/core/warp.h"

namespace flashmask::emulator {

std::string CompiledProgram::quote(std::uint32_t line) const {
  if (line == 0 || line > lines.size()) return "the end of the entry";
  std::string_view text = lines[line - 1];
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  std::string clean(text);
  for (char& c : clean) {
    if (c == '\t') c = ' ';
  }
  return fmt::format("line {}: {}", line, clean);
}

std::string place_of(const Warp& warp, std::uint32_t lane) {
  const std::uint32_t* id = warp.cta->id;
  const std::uint32_t* block = warp.launch->shape.block;
  const std::uint32_t linear = warp.index * kLanes + lane;
  return fmt::format("CTA ({},{},{}), warp {}, lane {} (thread {},{},{})", id[0], id[1], id[2], warp.index, lane,
                     linear % block[0], linear / block[0] % block[1], linear / block[0] / block[1]);
}

bool Launch::is_warp(Agent agent) const {
  const auto next = std::upper_bound(homes.begin(), homes.end(), agent,
                                     [](Agent wanted, const Home& home) { return wanted < home.first; });
  return next != homes.begin() && agent - std::prev(next)->first < std::prev(next)->warps;
}

std::string Launch::name_of(Agent agent, std::uint32_t lanes) const {
  if (const auto mbarrier = mbarrier_homes.find(agent); mbarrier != mbarrier_homes.end()) {
    const auto& [offset, cta] = mbarrier->second;
    return fmt::format("an asynchronous copy that completes on the mbarrier at shared+{:#x} of CTA ({},{},{})", offset,
                       cta[0], cta[1], cta[2]);
  }
  const auto next = std::upper_bound(homes.begin(), homes.end(), agent,
                                     [](Agent wanted, const Home& home) { return wanted < home.first; });
  if (next == homes.begin()) return "an unknown thread";
  const Home& home = *std::prev(next);
  const std::string cta = fmt::format("CTA ({},{},{})", home.id[0], home.id[1], home.id[2]);
  const std::uint32_t warp = agent - home.first;
  if (std::popcount(lanes) != 1) return fmt::format("{}, warp {}, lanes {:#010x}", cta, warp, lanes);
  const auto lane = static_cast<std::uint32_t>(std::countr_zero(lanes));
  const std::uint32_t linear = warp * kLanes + lane;
  return fmt::format("{}, warp {}, lane {} (thread {},{},{})", cta, warp, lane, linear % shape.block[0],
                     linear / shape.block[0] % shape.block[1], linear / shape.block[0] / shape.block[1]);
}

void Launch::note(const std::string& text) const {
  if (notes == nullptr || std::find(notes->begin(), notes->end(), text) != notes->end()) return;
  notes->push_back(text);
}

void Warp::fault(Fault::Kind kind, std::uint32_t lane, const std::string& what) const {
  const std::uint32_t line = operation != nullptr ? operation->line : 0;
  throw Fault(kind, fmt::format("{}\n  {}\n  in {} of {}", what, launch->program->quote(line), place_of(*this, lane),
                                launch->kernel->name));
}

}  // namespace flashmask::emulator
