#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <ostream>

#include "tests/emulator/programs/compile.h"
#include "tests/emulator/programs/program.h"
#include "tests/emulator/programs/run.h"

namespace flashmask::emulator::programs {
namespace {

// Of each schedule. A right program must be right under all, a fault must be noticed under one.
constexpr std::uint64_t kSeeds = 3;

/// A theme, compiled and parsed once per process.
struct Parsed {
  Module module;
  std::shared_ptr<const Program> program;
};

const Parsed& parsed(const Theme& theme) {
  static std::map<std::string_view, Parsed> themes;
  Parsed& entry = themes[theme.name];
  if (!entry.program) {
    entry.module = module_of(compile_once(theme, FLASHMASK_PROGRAMS_CACHE_DIR));
    entry.program = Program::parse(entry.module.ptx);
  }
  return entry;
}

struct Case {
  const Theme* theme;
  const TestProgram* program;
};

void PrintTo(const Case& each, std::ostream* stream) {
  *stream << each.program->name;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const Theme& theme : all_themes()) {
    for (const TestProgram& program : theme.programs) cases.push_back({&theme, &program});
  }
  return cases;
}

std::vector<MachineOptions> all_orders() {
  std::vector<MachineOptions> orders;
  for (const Schedule schedule : all_schedules()) {
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      MachineOptions options;
      options.seed = seed;
      options.schedule = schedule;
      orders.push_back(options);
    }
  }
  return orders;
}

std::string text_of(const MachineOptions& options) {
  return fmt::format("{} schedule, seed {}", name_of(options.schedule), options.seed);
}

class EmulatedProgram : public testing::TestWithParam<Case> {
 protected:
  Words run(std::size_t fault, const Data& data, const MachineOptions& order) const {
    const Parsed& theme = parsed(*GetParam().theme);
    return run_emulated(*theme.program, theme.module.entries.at(program().instance(fault)), program(), data, order);
  }
  const TestProgram& program() const { return *GetParam().program; }
};

TEST_P(EmulatedProgram, IsRightAndFreeOfRacesUnderEverySchedule) {
  const Data data = program().data();
  for (const MachineOptions& order : all_orders()) {
    SCOPED_TRACE(text_of(order));
    try {
      const std::string wrong = difference(program(), data.expected, run(0, data, order));
      EXPECT_EQ(wrong, "") << program().name;
    } catch (const Fault& fault) {
      FAIL() << program().name << " has a fault: " << fault.what();
    }
  }
}

/// Whether the fault shows in this order. One of a kind that is not among the planted one's fails the test.
bool is_noticed(const std::function<Words()>& run, const TestProgram& program, const Data& data,
                const PlantedFault& planted) {
  try {
    if (difference(program, data.expected, run()).empty()) return false;
    EXPECT_TRUE(planted.wrong_result) << "the result is wrong, and nobody says why";
    return true;
  } catch (const Fault& fault) {
    const bool expected = std::find(planted.kinds.begin(), planted.kinds.end(), fault.kind()) != planted.kinds.end();
    EXPECT_TRUE(expected) << "another kind of fault than expected: " << fault.what();
    return true;
  }
}

TEST_P(EmulatedProgram, HasTwinsWhoseFaultsAreNoticed) {
  const Data data = program().data();
  for (std::size_t i = 0; i < program().faults.size(); ++i) {
    const PlantedFault& planted = program().faults[i];
    SCOPED_TRACE(fmt::format("{}, fault {}: {}", program().name, i + 1, planted.what));
    const std::vector<MachineOptions> orders = all_orders();
    EXPECT_TRUE(std::any_of(orders.begin(), orders.end(), [&](const MachineOptions& order) {
      return is_noticed([&] { return run(i + 1, data, order); }, program(), data, planted);
    })) << "not noticed";
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, EmulatedProgram, testing::ValuesIn(all_cases()),
                         [](const auto& each) { return each.param.program->name; });

TEST(Programs, EveryProgramHasATwin) {
  for (const Case& each : all_cases()) EXPECT_FALSE(each.program->faults.empty()) << each.program->name;
  EXPECT_GE(all_cases().size(), 40u);
}

}  // namespace
}  // namespace flashmask::emulator::programs
