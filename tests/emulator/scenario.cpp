#include "tests/emulator/scenario.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

constexpr std::uint64_t kSeeds = 3;

constexpr std::string_view kGlobals = R"(
.shared .align 128 .b8 data[4096];
.shared .align 8 .b64 full;
.shared .align 8 .b64 empty;
.shared .align 8 .b64 third;
.global .align 16 .u32 flag[4];
)";

constexpr std::string_view kPrologue = R"(
.reg .b32 %thread, %lane, %warp, %cta, %rank, %r<16>;
.reg .b64 %out, %in, %mine, %x<8>;
.reg .b16 %h<4>;
.reg .pred %t0, %l0, %w0, %w1, %c0, %c1, %p<8>;
mov.u32 %thread, %tid.x; mov.u32 %lane, %laneid; shr.u32 %warp, %thread, 5; mov.u32 %cta, %ctaid.x;
mov.u32 %rank, %cluster_ctarank;
setp.eq.u32 %t0, %thread, 0; setp.eq.u32 %l0, %lane, 0; setp.eq.u32 %w0, %warp, 0; setp.eq.u32 %w1, %warp, 1;
setp.eq.u32 %c0, %cta, 0; setp.eq.u32 %c1, %cta, 1;
ld.param.u64 %out, [out]; ld.param.u64 %in, [in]; mad.wide.u32 %mine, %thread, 4, %out;
)";

void each_run(const std::function<void(const MachineOptions&)>& run) {
  for (const Schedule schedule : all_schedules()) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      MachineOptions options;
      options.schedule = schedule;
      options.seed = seed;
      SCOPED_TRACE(std::string(name_of(schedule)) + ", seed " + std::to_string(seed));
      run(options);
      if (testing::Test::HasFailure()) return;  // the others would say the same
    }
  }
}

}  // namespace

std::string Scenario::ptx() const {
  return module_of(".param .u64 out, .param .u64 in", std::string(kPrologue) + body, kGlobals, "sm_90a");
}

LaunchShape Scenario::launch_shape() const {
  LaunchShape result = shape(ctas, threads);
  result.cluster[0] = cluster;
  return result;
}

Stage::Stage(const MachineOptions& options) : machine(options) {
  out = upload(machine, std::vector<std::uint32_t>(Scenario::kBufferBytes / 4, 0));
  std::vector<std::uint32_t> numbers(Scenario::kBufferBytes / 4);
  std::iota(numbers.begin(), numbers.end(), 0);
  in = upload(machine, numbers);
}

Statistics Stage::run(const Scenario& scenario) {
  return machine.launch(*Program::parse(scenario.ptx()), "k", scenario.launch_shape(), parameters({out, in}));
}

Exploration Stage::explore(const Scenario& scenario, const ExplorationLimits& limits,
                           const std::function<void(Machine&)>& check) {
  return machine.explore(*Program::parse(scenario.ptx()), "k", scenario.launch_shape(), parameters({out, in}), limits,
                         check);
}

std::vector<std::uint32_t> Stage::words(std::size_t count) const {
  return download<std::uint32_t>(machine, out, count);
}

void expect_legal(const Scenario& scenario) {
  each_run([&](const MachineOptions& options) {
    Stage stage(options);
    try {
      stage.run(scenario);
    } catch (const Fault& fault) {
      ADD_FAILURE() << fault.what();
    }
  });
}

void expect_fault(const Scenario& scenario, Fault::Kind kind, const std::vector<std::string>& pieces) {
  each_run([&](const MachineOptions& options) {
    Stage stage(options);
    try {
      stage.run(scenario);
    } catch (const Fault& fault) {
      EXPECT_EQ(fault.kind(), kind) << fault.what();
      for (const std::string& piece : pieces) {
        EXPECT_NE(std::string(fault.what()).find(piece), std::string::npos) << piece << "\nis not in\n" << fault.what();
      }
      return;
    }
    ADD_FAILURE() << "no fault";
  });
}

void expect_race(const Scenario& scenario, const std::vector<std::string>& pieces) {
  expect_fault(scenario, Fault::Kind::kRace, pieces);
}

}  // namespace flashmask::emulator::test
