#include "runtime/compile/nvrtc.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "runtime/compile/compiler.h"
#include "temporary_directory.h"

namespace flashmask::compile {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kText = R"(
struct Arguments { float* values; int count; };
extern "C" __global__ void scale(const __grid_constant__ Arguments arguments) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < arguments.count) arguments.values[i] *= 2;
})";

template <typename Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

TEST(Nvrtc, OneCompilationGivesCubinPtxAndResources) {
  Compiler compiler(Policy::from_environment());
  const Compilation compiled = compiler.compile(kText, "scale", Target{});
  EXPECT_FALSE(compiled.cubin.empty());
  EXPECT_THAT(compiled.ptx, AllOf(HasSubstr(".visible .entry scale("), HasSubstr(".target sm_80")));
  EXPECT_GT(compiled.resources.registers, 0);
  EXPECT_EQ(compiled.resources.spill_store_bytes, 0);
  EXPECT_THAT(compiled.toolchain, StartsWith("nvrtc "));
  EXPECT_TRUE(compiled.warnings.empty());
  EXPECT_GT(compiled.seconds, 0);
}

TEST(Nvrtc, TheSameTextGivesTheSameBytes) {
  Compiler compiler(Policy::from_environment());
  Compiler another(Policy::from_environment());
  const Compilation first = compiler.compile(kText, "scale", Target{});
  const Compilation second = another.compile(kText, "scale", Target{});
  EXPECT_EQ(first.cubin, second.cubin);
  EXPECT_EQ(first.ptx, second.ptx);
  EXPECT_EQ(first.log, second.log);
}

TEST(Nvrtc, ABrokenTextIsAnErrorThatCarriesTheLog) {
  Compiler compiler(Policy::from_environment());
  const Error error = error_of([&] { compiler.compile("__global__ void f() { nonsense; }", "f", Target{}); });
  EXPECT_EQ(error.code(), ErrorCode::kCompile);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("nonsense"), HasSubstr("flashmask.cu(1)"), HasSubstr("sm_80")));
}

TEST(Nvrtc, AnArchitectureThatItDoesNotKnowIsNamed) {
  Compiler compiler(Policy::from_environment());
  const Error error = error_of([&] { compiler.compile(kText, "scale", Target{990, false}); });
  EXPECT_EQ(error.code(), ErrorCode::kCompile);
  EXPECT_THAT(error.what(), HasSubstr("sm_990"));
}

TEST(Nvrtc, WithoutItTheErrorNamesEveryPlaceAndTheMend) {
  Policy policy;
  policy.nvrtc_path = "/nonexistent/libnvrtc.so.13";
  const Error error = error_of([&] { Nvrtc::open(policy); });
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("/nonexistent/libnvrtc.so.13"), HasSubstr("no such file")));
  EXPECT_THAT(error.hint(), AllOf(HasSubstr("tools/setup.sh"), HasSubstr("FLASHMASK_NVRTC")));
}

TEST(Nvrtc, ALibraryThatIsSomethingElseIsRefusedByItsMissingSymbol) {
  Policy policy;
  policy.nvrtc_path = "libc.so.6";
  EXPECT_THAT(error_of([&] { Nvrtc::open(policy); }).what(), HasSubstr("nvrtcVersion"));
  const testing::TemporaryDirectory directory;
  policy.nvrtc_path = directory.file("libnvrtc.so.13");
  std::ofstream(policy.nvrtc_path) << "not a library";
  EXPECT_THAT(error_of([&] { Nvrtc::open(policy); }).what(), HasSubstr(policy.nvrtc_path));
}

TEST(Nvrtc, OpenedByPathItFindsItsBuiltins) {
  // Through a folder of links, which is in nobody's search path.
  const std::string real = Nvrtc::open(Policy::from_environment()).path();
  const testing::TemporaryDirectory directory;
  Policy policy;
  policy.nvrtc_path = directory.file("libnvrtc.so.13");
  std::filesystem::create_symlink(std::filesystem::canonical(real), policy.nvrtc_path);
  Compiler compiler(policy);
  EXPECT_FALSE(compiler.compile(kText, "scale", Target{}).cubin.empty());
}

TEST(Nvrtc, TheToolchainIsReadFromThePtx) {
  EXPECT_EQ(toolchain_name("//\n// Cuda compilation tools, release 13.0, V13.0.88\n", {13, 0}), "nvrtc 13.0.88");
  EXPECT_EQ(toolchain_name("", {12, 9}), "nvrtc 12.9");
}

}  // namespace
}  // namespace flashmask::compile
