// Every wait, barrier, fence, commit and arrival of every kernel is needed, and the emulator notices when one is
// missing. A mutant that survives is an instruction to take out of its template, or a scenario to add to its family.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/forward/tested_device.h"
#include "tests/mutants/families.h"
#include "tests/mutants/mutating_device.h"
#include "tests/mutants/mutation.h"

namespace flashmask::mutants {
namespace {

/// The orders of warps under which a mutant must be noticed at the latest.
std::vector<EmulatorOptions> orders(const Family& family) {
  std::vector<EmulatorOptions> options;
  for (const char* schedule : {"random", "in-order", "reversed", "starved", "late-landings"})
    for (const std::uint64_t seed : {1, 2})
      options.push_back({.target = Target{}, .seed = seed, .schedule = schedule, .ordered_sums = family.ordered_sums});
  return options;
}

/// A kernel: its text, because another one may have an entry of the same name.
struct Subject {
  std::string entry;
  std::string ptx;
  friend auto operator<=>(const Subject&, const Subject&) = default;
};

/// The work that runs a kernel, and what it writes when nothing is changed.
struct Run {
  const Scenario* scenario;
  Bytes expected;
};
using Subjects = std::map<Subject, std::vector<Run>>;

Subjects subjects_of(const Family& family) {
  Subjects subjects;
  for (const Scenario& scenario : family.scenarios) {
    const auto device = std::make_shared<MutatingDevice>(EmulatorOptions{.ordered_sums = family.ordered_sums}, nullptr);
    Runtime runtime(device, forward_tests::tested_policy());
    const Bytes expected = scenario(runtime);
    for (const auto& [entry, ptx] : device->loaded())
      if (entry.starts_with(family.entries)) subjects[{entry, ptx}].push_back({&scenario, expected});
  }
  return subjects;
}

bool is_noticed(const Mutation& mutation, const std::vector<Run>& runs, const std::vector<EmulatorOptions>& orders) {
  for (const EmulatorOptions& order : orders) {
    for (const Run& run : runs) {
      Runtime runtime(std::make_shared<MutatingDevice>(order, &mutation), forward_tests::tested_policy());
      try {
        if ((*run.scenario)(runtime) != run.expected) return true;
      } catch (const Error&) {
        return true;
      }
    }
  }
  return false;
}

bool is_spare(const Mutation& mutation, const Family& family) {
  return std::ranges::any_of(family.spares, [&](const Spare& spare) {
    return spare.change == mutation.change && spare.number == mutation.number &&
           std::ranges::any_of(spare.kernels, [&](const std::string& end) { return mutation.entry.ends_with(end); });
  });
}

class Mutants : public testing::TestWithParam<Family> {};

TEST_P(Mutants, OfEveryKernelAreNoticed) {
  const Family& family = GetParam();
  const Subjects subjects = subjects_of(family);
  int kernels = 0, mutants = 0, spares = 0;
  for (const auto& [subject, runs] : subjects) {
    const std::vector<Mutation> mutations = mutations_of(subject.ptx, subject.entry);
    if (!mutations.empty()) ++kernels;
    for (const Mutation& mutation : mutations) {
      ++mutants;
      if (is_spare(mutation, family)) {
        ++spares;
      } else {
        EXPECT_TRUE(is_noticed(mutation, runs, orders(family))) << describe(mutation);
      }
    }
  }
  EXPECT_GT(mutants, 0);
  std::size_t listed = 0;
  for (const Spare& spare : family.spares) listed += spare.kernels.size();
  EXPECT_EQ(spares, static_cast<int>(listed)) << "spares that no kernel has";
  RecordProperty("kernels", kernels);
  RecordProperty("mutants", mutants);
  fmt::print("{}: {} mutants of {} kernels, {} of them of spare instructions\n", family.name, mutants, kernels, spares);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Mutants, testing::ValuesIn(families()),
                         [](const auto& test) { return test.param.name; });

TEST(Mutation, RemovesAndWeakensOneStatementOfOneEntry) {
  const std::string ptx =
      ".visible .entry other(\n)\n{\n\tbar.sync \t0;\n}\n"
      ".visible .entry kernel(\n)\n{\n\tbar.sync \t0;\n\t@%p1 cp.async.wait_group "
      "1;\n\tatom.acq_rel.gpu.global.add.u32 "
      "%r1, [%rd1], 1;\n\tmbarrier.try_wait.parity.shared::cta.b64 %p2, [%r1], %r2;\n\tsetmaxnreg.dec.sync.aligned.u32 "
      "24;\n"
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r1], %r2;\n\tadd.s32 %r1, %r1, 1;\n}\n";
  std::vector<std::string> statements;
  for (const Mutation& mutation : mutations_of(ptx, "kernel")) statements.push_back(mutation.statement);
  EXPECT_EQ(statements, (std::vector<std::string>{
                            "", "", "@%p1 cp.async.wait_group 2;", "atom.relaxed.gpu.global.add.u32 %r1, [%rd1], 1;",
                            "atom.acq_rel.cta.global.add.u32 %r1, [%rd1], 1;", "setp.eq.u32 %p2, 0, 0;", "", "",
                            "mbarrier.arrive.shared::cta.b64 _, [%r1];"}));
  const std::string changed = mutated(ptx, mutations_of(ptx, "kernel")[0]);
  EXPECT_NE(changed.find("other(\n)\n{\n\tbar.sync"), std::string::npos);
  EXPECT_EQ(changed.find("kernel(\n)\n{\n\tbar.sync"), std::string::npos);
}

}  // namespace
}  // namespace flashmask::mutants
