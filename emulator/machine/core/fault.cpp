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

void Warp::fault(Fault::Kind kind, std::uint32_t lane, const std::string& what) const {
  const std::uint32_t line = operation != nullptr ? operation->line : 0;
  throw Fault(kind, fmt::format("{}\n  {}\n  in {} of {}", what, launch->program->quote(line), place_of(*this, lane),
                                launch->kernel->name));
}

}  // namespace flashmask::emulator
