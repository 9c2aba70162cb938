#include "tests/forward/bounded_waits.h"

#include <fmt/format.h>

#include <stdexcept>
#include <string_view>

namespace flashmask::forward_tests {
namespace {

/// A wait of the templates, as its text has it, and what to print of it.
struct Wait {
  std::string_view condition;
  std::string_view format;
  std::string_view values;
};
constexpr Wait kWaits[] = {
    {"!phase_is_over(address, parity)", "an mbarrier at shared+%#x, parity %u", "address, parity"},
    {"load_acquire(turns) != turn", "turn %u at %p, which is at %u", "turn, turns, load_acquire(turns)"},
};

}  // namespace

std::string with_bounded_waits(const std::string& text, long long clocks) {
  std::string result = text;
  bool any = false;
  for (const Wait& wait : kWaits) {
    const std::string loop = fmt::format("while ({}) {{", wait.condition);
    for (std::size_t at = result.find(loop); at != std::string::npos; at = result.find(loop, at)) {
      const std::size_t end = result.find_first_not_of(" \n", at + loop.size());
      if (end == std::string::npos || result[end] != '}')
        throw std::invalid_argument(fmt::format("the loop \"{}\" does more than wait", loop));
      const std::string bounded = fmt::format(
          "for (const long long begin = clock64(); {};) {{\n"
          "  if (clock64() - begin > {}ll) {{\n"
          "    printf(\"waits for {}: warp %u of CTA %u\\n\", {}, threadIdx.x / 32, blockIdx.x);\n"
          "    asm volatile(\"exit;\");\n"
          "  }}\n"
          "}}",
          wait.condition, clocks, wait.format, wait.values);
      result.replace(at, end + 1 - at, bounded);
      at += bounded.size();
      any = true;
    }
  }
  if (!any) throw std::invalid_argument("the kernel has no waits that could be bounded");
  return result;
}

}  // namespace flashmask::forward_tests
