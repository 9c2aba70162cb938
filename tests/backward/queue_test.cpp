// Pieces of work and the CTAs that do them: a CTA each, or CTAs that stay and take one piece after the other.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tests/backward/launch.h"
#include "tests/forward/resized_device.h"
#include "tests/forward/tested_device.h"

namespace flashmask::backward_tests {
namespace {

using forward_tests::Family;
using forward_tests::ResizedDevice;
using forward_tests::tested_families;
using forward_tests::tested_policy;
using forward_tests::tested_runtime;

struct Queue {
  Family family;
  TileConfig config;
  bool deterministic;
};
std::string name_of(const Queue& queue) {
  return fmt::format("{}_{}x{}_{}", queue.family.name, queue.config.tile_q, queue.config.tile_k,
                     queue.deterministic ? "deterministic" : "in_any_order");
}
void PrintTo(const Queue& queue, std::ostream* stream) {
  *stream << name_of(queue);
}

std::vector<Queue> queues() {
  std::vector<Queue> all;
  for (const Family& family : tested_families()) {
    const std::vector<TileConfig> configs =
        family.name == "wgmma" ? std::vector{TileConfig{64, 64, 8, 2, false, 2}, TileConfig{128, 128, 8, 2}}
                               : std::vector{TileConfig{.tile_q = 32, .tile_k = 32, .warps = 2, .stages = 2}};
    for (const TileConfig& config : configs)
      for (const bool deterministic : {false, true}) all.push_back({family, config, deterministic});
  }
  return all;
}

class BackwardQueue : public testing::TestWithParam<Queue> {
 protected:
  static const TileConfig& config() { return GetParam().config; }
  static KernelDescriptor descriptor_of(MaskForm form) {
    KernelDescriptor descriptor;
    descriptor.pass = Pass::kBackward;
    descriptor.head_dim_qk = descriptor.head_dim_v = 32;
    descriptor.mask_form = form;
    descriptor.target = GetParam().family.target;
    descriptor.deterministic = GetParam().deterministic;
    return descriptor;
  }
};

TEST_P(BackwardQueue, OfMoreOrLessWorkThanCtasLeavesTheSameBits) {
  constexpr std::uint32_t kWork = 3 * 2 * 2;  // key tiles, heads, batch entries
  for (const MaskForm form : {MaskForm::kCausal, MaskForm::kF4}) {
    // With holes the last rows, and runs of keys, see nothing.
    const BackwardTestProblem problem(TestProblem(
        descriptor_of(form),
        {.batch = 2, .seqlen_q = config().tile_q + 5, .seqlen_k = 3 * config().tile_k - 7, .heads_q = 2, .heads_kv = 2},
        {.intervals = Intervals::kHoles}));
    LaunchResult first;
    for (const int multiprocessors : {1, 2, 5, 11, 12, 13, 40}) {
      const auto device = std::make_shared<ResizedDevice>(
          tested_runtime(GetParam().family, static_cast<std::uint64_t>(multiprocessors) % 5).device(), multiprocessors);
      Runtime runtime(device, tested_policy());
      const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = config()});
      const LaunchResult result = run_backward(runtime, *kernel, problem);
      EXPECT_TRUE(is_correct(result, *kernel, problem)) << multiprocessors << " multiprocessors";
      const bool stays = GetParam().family.name == "wgmma";
      EXPECT_EQ(device->grids().end()[-2],
                stays ? std::min(kWork, static_cast<std::uint32_t>(multiprocessors)) : kWork);
      if (multiprocessors == 1) first = result;
      EXPECT_EQ(result.key_gradient, first.key_gradient) << multiprocessors << " multiprocessors";
      EXPECT_EQ(result.value_gradient, first.value_gradient) << multiprocessors << " multiprocessors";
      if (GetParam().deterministic) {
        EXPECT_EQ(result.query_gradient, first.query_gradient) << multiprocessors << " multiprocessors";
      }
    }
  }
}

TEST_P(BackwardQueue, OfKeysThatNoRowSeesHasNoTilesToCopy) {
  // Key tiles with and without rows in turn, and one CTA for all of them: it announces those without, too.
  const auto device = std::make_shared<ResizedDevice>(tested_runtime(GetParam().family, 4).device(), 1);
  Runtime runtime(device, tested_policy());
  const int seqlen_q = config().tile_q + 3;
  for (const int first_seen : {0, 1}) {
    TestProblem forward(descriptor_of(MaskForm::kF4),
                        {.seqlen_q = seqlen_q, .seqlen_k = 6 * config().tile_k - 9, .heads_q = 2, .heads_kv = 2},
                        {.intervals = Intervals::kNoneMasked});
    for (int key = 0; key < forward.extents().seqlen_k; ++key) {
      const bool is_seen = key / config().tile_k % 2 == first_seen;
      forward.intervals()[4 * key] = is_seen ? key % seqlen_q : 0;
      forward.intervals()[4 * key + 1] = seqlen_q;
    }
    const BackwardTestProblem problem(std::move(forward));
    const auto kernel = runtime.request(problem.forward().descriptor(), {.hint = {}, .config = config()});
    EXPECT_TRUE(is_correct(runtime, *kernel, problem));
    EXPECT_TRUE(is_correct(runtime, *kernel, problem, {.with_plan = false}));
  }
  // And, without a plan, key tiles that no row reaches.
  KernelDescriptor descriptor = descriptor_of(MaskForm::kCausal);
  descriptor.causal_alignment = CausalAlignment::kTopLeft;
  const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config()});
  const BackwardTestProblem problem(
      TestProblem(descriptor, {.seqlen_q = 7, .seqlen_k = 4 * config().tile_k - 9, .heads_q = 2, .heads_kv = 2}));
  EXPECT_TRUE(is_correct(runtime, *kernel, problem));
}

INSTANTIATE_TEST_SUITE_P(Kernel, BackwardQueue, testing::ValuesIn(queues()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace flashmask::backward_tests
