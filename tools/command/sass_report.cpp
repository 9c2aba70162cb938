#include "tools/command/sass_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace flashmask::command {
namespace {

constexpr std::size_t kIndent = 15, kWidth = 85;  // of a line's text behind its title

std::string products_text(int shared, int registers, int warp) {
  std::string text = fmt::format("{} wgmma with A in shared memory (G), {} in registers (R)", shared, registers);
  return warp == 0 ? text : text + fmt::format(", {} mma.sync (M)", warp);
}

/// The order, broken between two of its parts where a line gets long.
std::string wrapped(std::string_view order) {
  std::string text;
  while (order.size() > kWidth) {
    std::size_t at = order.rfind(" | ", kWidth);
    if (at == std::string_view::npos || at == 0) at = order.find(" | ", 1);
    if (at == std::string_view::npos) break;
    text += fmt::format("{}\n{:{}}", order.substr(0, at), "", kIndent);
    order.remove_prefix(at + 1);
  }
  return text + std::string(order);
}

std::string loop_text(const SassLoop& loop) {
  std::string text = fmt::format("loop           {:#x} to {:#x}\n", loop.begin, loop.end);
  text += fmt::format("  products     {}\n",
                      products_text(loop.products_shared, loop.products_registers, loop.products_warp));
  for (const SassWait& wait : loop.waits) {
    text += fmt::format("  wait         at {:#x}, WAIT<={}; exponentials behind it: {}\n", wait.address, wait.pending,
                        wait.exponentials);
  }
  text += fmt::format("  local memory {}touched between the first product and the last\n",
                      loop.local_memory_between_products ? "" : "not ");
  return text + fmt::format("  order        {}\n", wrapped(order_text(loop.operations)));
}

nlohmann::ordered_json loop_json(const SassLoop& loop) {
  nlohmann::ordered_json waits = nlohmann::ordered_json::array(), runs = nlohmann::ordered_json::array();
  for (const SassWait& wait : loop.waits) {
    waits.push_back({{"address", wait.address}, {"pending", wait.pending}, {"exponentials", wait.exponentials}});
  }
  for (const SassRun& run : runs_of(loop.operations)) {
    nlohmann::ordered_json& made = runs.emplace_back();
    made = {{"kind", to_string(run.kind)}, {"address", run.address}, {"count", run.count}};
    if (run.kind == SassKind::kWait || run.kind == SassKind::kRegisterLimit) made["value"] = run.value;
  }
  return {{"begin", loop.begin},
          {"end", loop.end},
          {"products",
           {{"shared", loop.products_shared}, {"registers", loop.products_registers}, {"warp", loop.products_warp}}},
          {"waits", std::move(waits)},
          {"local_memory_between_products", loop.local_memory_between_products},
          {"order", order_text(loop.operations)},
          {"runs", std::move(runs)}};
}

}  // namespace

std::string sass_text(const SassOrder& order) {
  std::string text = fmt::format("entry          {}\n", order.entry);
  if (order.loops.empty()) text += "loop           none that multiplies\n";
  for (const SassLoop& loop : order.loops) text += loop_text(loop);
  return text;
}

nlohmann::ordered_json sass_json(const SassOrder& order) {
  nlohmann::ordered_json loops = nlohmann::ordered_json::array();
  for (const SassLoop& loop : order.loops) loops.push_back(loop_json(loop));
  return {{"loops", std::move(loops)}};
}

}  // namespace flashmask::command
