#include <random>
#include <string>
#include <vector>

#include "flashmask/runtime.h"
#include "flashmask/tile_space.h"
#include "runtime/tune/result_check.h"

namespace flashmask::tune {
namespace {

/// Descriptors of each family and pass, of several widths and forms.
std::vector<KernelDescriptor> sampled_descriptors() {
  const auto make = [](Pass pass, DataType dtype, int head_dim, MaskForm form, Target target) {
    return KernelDescriptor{pass, dtype, head_dim, head_dim, form, CausalAlignment::kBottomRight, target};
  };
  constexpr Target kAmpere{80, false}, kHopper{90, true};
  return {make(Pass::kForward, DataType::kBfloat16, 64, MaskForm::kC1, kAmpere),
          make(Pass::kForward, DataType::kFloat16, 128, MaskForm::kF4, kAmpere),
          make(Pass::kBackward, DataType::kBfloat16, 64, MaskForm::kF2, kAmpere),
          make(Pass::kForward, DataType::kBfloat16, 64, MaskForm::kCausal, kHopper),
          make(Pass::kForward, DataType::kFloat16, 96, MaskForm::kC2, kHopper),
          make(Pass::kForward, DataType::kBfloat16, 128, MaskForm::kWindow, kHopper),
          make(Pass::kBackward, DataType::kBfloat16, 64, MaskForm::kC1, kHopper)};
}

class SpaceMembers : public testing::TestWithParam<KernelDescriptor> {};

TEST_P(SpaceMembers, TakenAtRandomComputeTheRightResult) {
  const KernelDescriptor& descriptor = GetParam();
  const TileSpace space = tile_space(descriptor);
  Policy policy;
  policy.cache_directory = FLASHMASK_TUNE_TEST_CACHE;
  Runtime runtime(open_emulated_device({.target = descriptor.target, .seed = 3}), policy);
  // Fixed, so that a cache serves the next run; the first members are defaults, which other tests try.
  std::mt19937 random(7);
  constexpr int kSamples = 3;
  for (int n = 0; n < kSamples; ++n) {
    const std::size_t member = 1 + random() % (space.members.size() - 1);
    const TileConfig& config = space.members[member].config;
    const auto kernel = runtime.request(descriptor, {.hint = {}, .config = config});
    EXPECT_EQ(check_against_reference(runtime, *kernel), "") << to_string(descriptor) << " " << to_string(config);
  }
}

std::string name_of(const testing::TestParamInfo<KernelDescriptor>& info) {
  std::string name = to_string(info.param);
  for (char& letter : name)
    if (!std::isalnum(static_cast<unsigned char>(letter))) letter = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(OfEachFamily, SpaceMembers, testing::ValuesIn(sampled_descriptors()), name_of);

TEST(ResultCheck, SeesAKernelThatComputesSomethingElse) {
  // A kernel of another scale would do; the nearest at hand is one that leaves everything as it was.
  struct Idle final : Kernel {
    explicit Idle(std::shared_ptr<const Kernel> real) : kernel(std::move(real)) {}
    const KernelDescriptor& descriptor() const override { return kernel->descriptor(); }
    const TileConfig& config() const override { return kernel->config(); }
    const KernelResources& resources() const override { return kernel->resources(); }
    KernelOrigin origin() const override { return kernel->origin(); }
    const std::string& digest() const override { return kernel->digest(); }
    std::size_t workspace_size(const ForwardLaunch&) const override { return 0; }
    std::unique_ptr<const PreparedLaunch> prepare(const ForwardLaunch&, Workspace) const override {
      struct Nothing final : PreparedLaunch {
        void launch(Stream) const override {}
      };
      return std::make_unique<Nothing>();
    }
    std::shared_ptr<const Kernel> kernel;
  };
  const KernelDescriptor descriptor = sampled_descriptors().front();
  Policy policy;
  policy.cache_directory = FLASHMASK_TUNE_TEST_CACHE;
  Runtime runtime(open_emulated_device({.target = descriptor.target}), policy);
  EXPECT_NE(check_against_reference(runtime, Idle(runtime.request(descriptor))), "");
}

}  // namespace
}  // namespace flashmask::tune
