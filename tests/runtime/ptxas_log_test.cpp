#include "runtime/compile/ptxas_log.h"

#include <gmock/gmock.h>

namespace flashmask::compile {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// As NVRTC 13.0.88 wrote it for a kernel that keeps 200 floats in 32 registers.
constexpr const char* kSpillingLog =
    "ptxas info    : 0 bytes gmem\n"
    "ptxas info    : Compiling entry function 'spilly' for 'sm_90'\n"
    "ptxas info    : Function properties for spilly\n"
    "ptxas         .     1672 bytes stack frame, 2688 bytes spill stores, 2864 bytes spill loads\n"
    "ptxas info    : Used 32 registers, used 1 barriers, 1672 bytes cumulative stack size, 1024 bytes smem\n"
    "ptxas info    : Compile time = 395.343 ms\n";

// As nvcc 12.4 prints it, with a device function in between.
constexpr const char* kOlderLog =
    "ptxas info    : 0 bytes gmem\n"
    "ptxas info    : Compiling entry function 'other' for 'sm_80'\n"
    "ptxas info    : Function properties for other\n"
    "    8 bytes stack frame, 16 bytes spill stores, 24 bytes spill loads\n"
    "ptxas info    : Used 255 registers, 400 bytes cmem[0]\n"
    "ptxas info    : Compiling entry function 'mine' for 'sm_80'\n"
    "ptxas info    : Function properties for helper\n"
    "    32 bytes stack frame, 40 bytes spill stores, 48 bytes spill loads\n"
    "ptxas info    : Function properties for mine\n"
    "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    "ptxas info    : Used 10 registers, 368 bytes cmem[0]\n";

// As NVRTC 13.0.88 wrote it for wgmma whose accumulators an ordinary instruction touches.
constexpr const char* kRemarksLog =
    "flashmask.cu(2): warning #177-D: variable \"unused\" was declared but never referenced\n"
    "   int unused;\n"
    "ptxas info    : (C7519) warpgroup.arrive is injected in around line 36 by compiler to allow use of registers in "
    "GMMA in function 'f'\n"
    "ptxas info    : (C7511) Potential Performance Loss: wgmma.mma_async instructions are serialized due to "
    "insufficient register resources for the wgmma pipeline in the function 'f'\n"
    "ptxas info    : Compiling entry function 'f' for 'sm_90a'\n"
    "ptxas info    : Used 168 registers, used 3 barriers\n";

TEST(PtxasLog, SpillsStackAndSharedMemoryAreRead) {
  const PtxasReport report = parse_ptxas_log(kSpillingLog, "spilly");
  EXPECT_TRUE(report.found);
  EXPECT_EQ(report.resources.registers, 32);
  EXPECT_EQ(report.resources.stack_bytes, 1672);
  EXPECT_EQ(report.resources.spill_store_bytes, 2688);
  EXPECT_EQ(report.resources.spill_load_bytes, 2864);
  EXPECT_EQ(report.resources.static_shared_bytes, 1024);
  EXPECT_THAT(report.warnings, IsEmpty());
}

TEST(PtxasLog, OnlyTheEntryItselfCounts) {
  const PtxasReport mine = parse_ptxas_log(kOlderLog, "mine");
  EXPECT_EQ(mine.resources.registers, 10);
  EXPECT_EQ(mine.resources.spill_store_bytes, 0);
  EXPECT_EQ(mine.resources.stack_bytes, 0);
  const PtxasReport other = parse_ptxas_log(kOlderLog, "other");
  EXPECT_EQ(other.resources.registers, 255);
  EXPECT_EQ(other.resources.spill_load_bytes, 24);
  EXPECT_FALSE(parse_ptxas_log(kOlderLog, "absent").found);
}

TEST(PtxasLog, WarningsAndNumberedRemarksAreKept) {
  const PtxasReport report = parse_ptxas_log(kRemarksLog, "f");
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("#177-D"), HasSubstr("(C7519)"), HasSubstr("(C7511)")));
  EXPECT_EQ(report.resources.registers, 168);
}

TEST(PtxasLog, TheTimeThatDiffersFromRunToRunIsLeftOut) {
  EXPECT_THAT(parse_ptxas_log(kSpillingLog, "spilly").text, Not(HasSubstr("Compile time")));
  EXPECT_THAT(parse_ptxas_log(kSpillingLog, "spilly").text, HasSubstr("Used 32 registers"));
}

TEST(PtxasLog, AnyTextIsTaken) {
  const std::string log = kSpillingLog;
  for (std::size_t cut = 0; cut <= log.size(); ++cut) parse_ptxas_log(log.substr(0, cut), "spilly");
  EXPECT_FALSE(parse_ptxas_log("Function properties for \n registers bytes stack frame '''\n\n\xff", "").found);
  const PtxasReport overflow =
      parse_ptxas_log("Compiling entry function 'f' for 'sm_80'\nUsed 99999999999999999999 registers\n", "f");
  EXPECT_EQ(overflow.resources.registers, 0);
}

}  // namespace
}  // namespace flashmask::compile
