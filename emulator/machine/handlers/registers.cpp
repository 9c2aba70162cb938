#include <fmt/format.h>

#include "emulator/machine/core/warp.h"
#include "emulator/machine/handlers/families.h"

namespace flashmask::emulator {
namespace {

constexpr std::uint32_t kLeast = 24;
constexpr std::uint32_t kMost = 256;
constexpr std::uint32_t kStep = 8;

/// immediate = registers per thread; mode 1: more than now.
void run_setmaxnreg(Warp& warp, const Operation& operation) {
  if (!converge(warp, warp.exists)) return;
  const auto wanted = static_cast<std::uint32_t>(operation.immediate);
  std::uint32_t& free = warp.cta->free_registers;
  const bool grows = operation.mode != 0;
  if (grows ? wanted < warp.registers : wanted > warp.registers) {
    warp.fault(Fault::Kind::kRegister, 0,
               fmt::format("setmaxnreg.{} to {} registers a thread, but the warp has {} now", grows ? "inc" : "dec",
                           wanted, warp.registers));
  }
  if (grows) {
    const std::uint32_t more = (wanted - warp.registers) * kLanes;
    if (more > free) return wait_here(warp);
    free -= more;
  } else {
    free += (warp.registers - wanted) * kLanes;
    ++warp.launch->progress;
    wake_waiting(*warp.launch);
  }
  warp.registers = wanted;
}

void lower_setmaxnreg(Builder& builder) {
  const auto kind = builder.take_one_of({"dec", "inc"});
  if (!kind) builder.malformed(".inc or .dec is missing");
  if (!builder.take("sync") || !builder.take("aligned")) builder.malformed(".sync.aligned is missing");
  builder.type();
  builder.expect_operands(1);
  const std::uint64_t count = builder.integer(0);
  if (count < kLeast || count > kMost || count % kStep != 0) {
    builder.malformed(
        fmt::format("{} registers; multiples of {} from {} to {} are allowed", count, kStep, kLeast, kMost));
  }
  builder.operation.immediate = count;
  builder.operation.mode = static_cast<std::uint8_t>(*kind);
  builder.operation.run = run_setmaxnreg;
  builder.statistics_class("control");
}

}  // namespace

void add_registers(LowerTable& table) {
  table["setmaxnreg"] = lower_setmaxnreg;
}

}  // namespace flashmask::emulator
