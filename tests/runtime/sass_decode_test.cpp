#include "runtime/inspect/sass_decode.h"

#include <gtest/gtest.h>

#include <cstring>

namespace flashmask::sass {
namespace {

struct Encoded {
  const char* text;  ///< as nvdisasm 13 writes it
  std::uint64_t low, high;
};

Instruction decoded(const Encoded& encoded, std::uint64_t address = 0) {
  std::byte bytes[kInstructionBytes];
  std::memcpy(bytes, &encoded.low, sizeof encoded.low);
  std::memcpy(bytes + sizeof encoded.low, &encoded.high, sizeof encoded.high);
  return decode(bytes, address);
}

TEST(SassDecode, EveryKindIsToldByItsOpcodeAndVariant) {
  const std::pair<Encoded, SassKind> instructions[] = {
      {{"HGMMA.64x8x16.F32.BF16 R24, gdesc[UR8], R24, gsb0", 0x00000000081879f0, 0x000fe20008001818},
       SassKind::kProductShared},
      {{"HGMMA.64x8x16.F32.BF16 R24, R32, gdesc[UR8], R24", 0x0000000820187df0, 0x000fe60008701818},
       SassKind::kProductRegisters},
      {{"HMMA.16816.F32.BF16 R28, R12, R10, R24", 0x0000000a0c1c723c, 0x000fe40000041818}, SassKind::kProductWarp},
      {{"WARPGROUP.ARRIVE", 0x00000000000079c5, 0x000fcc0000000000}, SassKind::kArrive},
      {{"WARPGROUP.DEPBAR.LE gsb0, 0x0", 0x00008000000079c5, 0x000fe40000010000}, SassKind::kWait},
      {{"SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR6], R0", 0x00000000ff0075a7, 0x000e240008000146},
       SassKind::kMbarrierTry},
      {{"SYNCS.PHASECHK.TRANS64 P0, [UR6], R0", 0x00000000ff0075a7, 0x000e640008000046}, SassKind::kMbarrierTest},
      {{"SYNCS.ARRIVE.TRANS64.A1T0 RZ, [UR6], RZ", 0x000000ffffff79a7, 0x000fe20008100006}, SassKind::kMbarrierArrive},
      {{"SYNCS.ARRIVE.TRANS64.RED.A1T0 RZ, [UR4], RZ", 0x000000ffffff79a7, 0x000fe40008100404},
       SassKind::kMbarrierArrive},
      {{"ARRIVES.LDGSTSBAR.64.ARVCNT [UR6]", 0x00000000ff0079b0, 0x000fe20008000a46}, SassKind::kMbarrierArrive},
      {{"BAR.SYNC.DEFER_BLOCKING 0x1, 0x80", 0x0042000000007b1d, 0x000fec0000010000}, SassKind::kBarrierSync},
      {{"BAR.SYNC.DEFER_BLOCKING R0, 0x100", 0x000400000000751d, 0x0001e20000010000}, SassKind::kBarrierSync},
      {{"BAR.ARV 0x3, 0x80", 0x00c2000000007b1d, 0x000ff00000002000}, SassKind::kBarrierArrive},
      {{"BAR.ARV R190, 0x100", 0x000400be0000751d, 0x0001ec0000002000}, SassKind::kBarrierArrive},
      {{"BAR.RED.POPC.DEFER_BLOCKING 0x0, P0", 0x0000000000007b1d, 0x000fec0000014000}, SassKind::kBarrierReduce},
      {{"MUFU.EX2 R4, R28", 0x0000001c00047308, 0x001ff00000000800}, SassKind::kExponential},
      {{"MUFU.LG2 R26, R7", 0x00000007001a7308, 0x004e220000000c00}, SassKind::kSpecialFunction},
      {{"FMNMX.FTZ R11, R7, R0, !PT", 0x00000000070b7209, 0x000fe20007810000}, SassKind::kMaximum},
      {{"FMNMX.FTZ R6, R6, -INF , !PT", 0xff80000006067809, 0x000fe40007810000}, SassKind::kMaximum},
      {{"FADD.FTZ R7, R24, R7", 0x0000000718077221, 0x004fe40000010000}, SassKind::kAdd},
      {{"FMUL.FTZ R15, R7, R0", 0x00000000070f7220, 0x000fe20000410000}, SassKind::kMultiply},
      {{"FMUL.FTZ R91, R91, UR4", 0x000000045b5b7c20, 0x000fe20008410000}, SassKind::kMultiply},
      {{"FFMA.FTZ R46, R24, R46, R25", 0x0000002e182e7223, 0x004fe20000010019}, SassKind::kMultiplyAdd},
      {{"FFMA.FTZ R153, R26, UR4, -R91", 0x000000041a997c23, 0x000fe2000801085b}, SassKind::kMultiplyAdd},
      {{"F2FP.BF16.F32.PACK_AB R19, R7, R0", 0x000000000713723e, 0x000fca00000010ff}, SassKind::kConvert},
      {{"HADD2 R21, R7, R0", 0x0000000007157230, 0x000fe20000000000}, SassKind::kHalfAdd},
      {{"HSETP2.LT.AND P0, P1, R7, R0, PT", 0x0000000007007234, 0x008fe20003901000}, SassKind::kHalfCompare},
      {{"R2P PR, R2, 0x7e", 0x0000007e02007804, 0x004fc40000000000}, SassKind::kPredicates},
      {{"FSEL R24, R7, R0, P0", 0x0000000007187208, 0x000fe20000000000}, SassKind::kSelect},
      {{"FSEL R23, R8, -1e+30, P1", 0xf149f2ca08177808, 0x008fe40000800000}, SassKind::kSelect},
      {{"LDL R7, [R0]", 0x0000000000077983, 0x000ea20000100800}, SassKind::kLocalLoad},
      {{"STL.128 [R1], RZ", 0x000000ff01007387, 0x0001e20000100c00}, SassKind::kLocalStore},
      {{"LDS.128 R32, [R8]", 0x0000000008207984, 0x0000620000000c00}, SassKind::kSharedLoad},
      {{"STS.128 [R0], R4", 0x0000000400007388, 0x0011e20000000c00}, SassKind::kSharedStore},
      {{"@P0 STS [UR6], R2", 0x00000002ff000988, 0x0001e20008000806}, SassKind::kSharedStore},
      {{"LDSM.16.M88.4 R12, [UR6]", 0x00000006ff0c783b, 0x000f220008000200}, SassKind::kMatrixLoad},
      {{"STSM.16.M88.2 [R6], R12", 0x0000000c06007844, 0x010fe20000000100}, SassKind::kMatrixStore},
      {{"UTMALDG.2D [UR8], [UR4]", 0x00000008040075b4, 0x0001f20008008000}, SassKind::kTensorLoad},
      {{"UTMASTG.2D [UR8], [UR4]", 0x00000008040073b5, 0x0001e40008008000}, SassKind::kTensorStore},
      {{"UTMAREDG.2D.ADD [UR8], [UR4]", 0x00000008040073b6, 0x0001f20008008000}, SassKind::kTensorReduce},
      {{"UBLKCP.S.G [UR8], [UR4], UR7", 0x00000008040073ba, 0x0001f20008000207}, SassKind::kBulkCopy},
      {{"UBLKRED.G.S.ADD.F32.RN [UR4], [UR6], UR7", 0x00000004060073bb, 0x0001d800080a0407}, SassKind::kBulkReduce},
      {{"USETMAXREG.DEALLOC.CTAPOOL 0x28", 0x00000028000079c8, 0x000e0000080e0500}, SassKind::kRegisterLimit},
      {{"EXIT", 0x000000000000794d, 0x000fea0003800000}, SassKind::kExit}};
  for (const auto& [encoded, kind] : instructions) EXPECT_EQ(decoded(encoded).kind, kind) << encoded.text;
}

TEST(SassDecode, OtherInstructionsAreOfNoKindAndGoOnAtTheNext) {
  for (const Encoded& encoded :
       {Encoded{"IMAD.MOV.U32 R25, RZ, RZ, RZ", 0x000000ffff197224, 0x000fc600078e00ff},
        Encoded{"LDG.E R4, desc[UR16][R4.64]", 0x0000001004047981, 0x000ea2000c1e1900},
        Encoded{"SYNCS.EXCH.64 URZ, [UR7], UR4", 0x00000004073f85b2, 0x0000640008000100}, Encoded{"zeros", 0, 0}}) {
    EXPECT_EQ(decoded(encoded).kind, std::nullopt) << encoded.text;
    EXPECT_EQ(decoded(encoded).flow, Flow::kNext) << encoded.text;
  }
}

TEST(SassDecode, WaitsAndRegisterLimitsCarryTheirNumber) {
  EXPECT_EQ(decoded({"WARPGROUP.DEPBAR.LE gsb0, 0x0", 0x00008000000079c5, 0x000fe40000010000}).value, 0);
  EXPECT_EQ(decoded({"WARPGROUP.DEPBAR.LE gsb0, 0x1", 0x00008000000079c5, 0x000fc40000010100}).value, 1);
  EXPECT_EQ(decoded({"WARPGROUP.DEPBAR.LE gsb0, 0x7", 0x00008000000079c5, 0x000fc40000010700}).value, 7);
  EXPECT_EQ(decoded({"USETMAXREG.DEALLOC.CTAPOOL 0x28", 0x00000028000079c8, 0x000e0000080e0500}).value, 40);
  EXPECT_EQ(decoded({"USETMAXREG.TRY_ALLOC.CTAPOOL UP0, 0xe8", 0x000000e8000079c8, 0x001e240008000600}).value, 232);
  EXPECT_EQ(decoded({"USETMAXREG.DEALLOC.CTAPOOL UR4", 0x00000004000073c8, 0x000e0000080e0500}).value, -1);
}

TEST(SassDecode, BranchesGoForwardAndBackAndMayGoOn) {
  const Instruction forward = decoded({"@!P0 BRA 0x5a90", 0x0000005800748947, 0x000fea0003800000}, 0xb0);
  EXPECT_EQ(forward.kind, SassKind::kBranch);
  EXPECT_EQ(forward.flow, Flow::kBranch);
  EXPECT_EQ(forward.value, 0x5a90);
  EXPECT_TRUE(forward.conditional);
  EXPECT_EQ(decoded({"@!P0 BRA 0xd0", 0xfffffffc00f08947, 0x000fea000383ffff}, 0x100).value, 0xd0);
  const Instruction back = decoded({"BRA 0x23f0", 0xffffffc4001c7947, 0x000fea000383ffff}, 0x5f70);
  EXPECT_EQ(back.value, 0x23f0);
  EXPECT_FALSE(back.conditional);
  // Also without a guard.
  EXPECT_TRUE(decoded({"BRA P0, 0x10", 0x0000000000007947, 0x000fea0000000000}).conditional);
  EXPECT_TRUE(decoded({"BRA.U 0x10", 0x0000000100007947, 0x000fea0003800000}).conditional);
  EXPECT_TRUE(decoded({"BRA.DIV UR0, 0x10", 0x0000000200007947, 0x000fea000b800000}).conditional);
}

TEST(SassDecode, AnExitMayBeForSomeThreadsOnly) {
  EXPECT_EQ(decoded({"EXIT", 0x000000000000794d, 0x000fea0003800000}).flow, Flow::kAway);
  EXPECT_FALSE(decoded({"EXIT", 0x000000000000794d, 0x000fea0003800000}).conditional);
  EXPECT_TRUE(decoded({"@P0 EXIT", 0x000000000000094d, 0x000fea0003800000}).conditional);
  EXPECT_EQ(decoded({"RET.REL.NODEC R2 0x0", 0x0000000002007950, 0x000fea0003c00000}).flow, Flow::kAway);
}

}  // namespace
}  // namespace flashmask::sass
