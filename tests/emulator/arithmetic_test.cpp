#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

TEST(Integer, SumsDifferencesAndProductsWrap) {
  EXPECT_EQ(evaluate("add.s32 %d, %a, %b;", 0xffffffffu, 2), 1u);
  EXPECT_EQ(evaluate("sub.u32 %d, %a, %b;", 1, 2), 0xffffffffu);
  EXPECT_EQ(evaluate("mul.lo.s32 %d, %a, %b;", 0x10001, 0x10001), 0x20001u);
  EXPECT_EQ(evaluate("mul.hi.u32 %d, %a, %b;", 0xffffffffu, 0xffffffffu), 0xfffffffeu);
  EXPECT_EQ(evaluate("mul.hi.s32 %d, %a, %b;", 0xffffffffu, 5), 0xffffffffu);
  EXPECT_EQ(evaluate_wide("mul.wide.s32 %wd, %a, %b;", 0xffffffffu, 7), ~std::uint64_t{6});
  EXPECT_EQ(evaluate_wide("mul.wide.u32 %wd, %a, 4;", 0xffffffffu), 0x3fffffffcull);
  EXPECT_EQ(evaluate_wide("mad.wide.s32 %wd, %a, %b, %wc;", 0xffffffffu, 7, 10), 3u);
  EXPECT_EQ(evaluate_wide("mul.hi.u64 %wd, %wa, %wb;", ~0ull, ~0ull), ~1ull);
  EXPECT_EQ(evaluate("mad.lo.s32 %d, %a, %b, %c;", 3, 4, 5), 17u);
  EXPECT_EQ(evaluate("add.sat.s32 %d, %a, %b;", 0x7fffffff, 1), 0x7fffffffu);
  EXPECT_EQ(evaluate("sad.u32 %d, %a, %b, %c;", 3, 10, 100), 107u);
}

TEST(Integer, SixteenBitValuesStaySixteenBits) {
  EXPECT_EQ(
      evaluate("cvt.u16.u32 %h, %a; cvt.u16.u32 %i, %b; mul.lo.u16 %h, %h, %i; cvt.u32.u16 %d, %h;", 0xffff, 0xffff),
      1u);
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; add.s16 %h, %h, -1; cvt.s32.s16 %d, %h;", 0), 0xffffffffu);
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; mul.wide.u16 %d, %h, %h;", 0xffff), 0xfffe0001u);
}

TEST(Integer, DivisionHasNoTrap) {
  EXPECT_EQ(evaluate("div.s32 %d, %a, %b;", static_cast<std::uint32_t>(-7), 2), static_cast<std::uint32_t>(-3));
  EXPECT_EQ(evaluate("rem.s32 %d, %a, %b;", static_cast<std::uint32_t>(-7), 2), static_cast<std::uint32_t>(-1));
  EXPECT_EQ(evaluate("div.u32 %d, %a, %b;", 7, 0), 0xffffffffu);
  EXPECT_EQ(evaluate("rem.u32 %d, %a, %b;", 7, 0), 7u);
  EXPECT_EQ(evaluate("div.s32 %d, %a, %b;", 0x80000000u, 0xffffffffu), 0x80000000u);
}

TEST(Integer, CarriesRunThroughLongSums) {
  EXPECT_EQ(evaluate_wide(R"(add.cc.u32 %d, %a, %b; addc.u32 %e, 0, 0; mov.b64 %wd, {%d, %e};)", 0xffffffffu, 1),
            0x100000000ull);
  EXPECT_EQ(evaluate_wide(R"(sub.cc.u32 %d, %a, %b; subc.u32 %e, 5, 0; mov.b64 %wd, {%d, %e};)", 0, 1), 0x4ffffffffull);
  EXPECT_EQ(evaluate("mad.lo.cc.u32 %r, %a, %b, %c; madc.hi.u32 %d, %a, %b, 0;", 0x10000, 0x10000, 1), 1u);
}

TEST(Integer, MinimumMaximumAndSigns) {
  EXPECT_EQ(evaluate("min.s32 %d, %a, %b;", 0xffffffffu, 1), 0xffffffffu);
  EXPECT_EQ(evaluate("min.u32 %d, %a, %b;", 0xffffffffu, 1), 1u);
  EXPECT_EQ(evaluate("max.s32 %d, %a, %b;", 0xffffffffu, 1), 1u);
  EXPECT_EQ(evaluate("abs.s32 %d, %a;", 0xfffffffbu), 5u);
  EXPECT_EQ(evaluate("neg.s32 %d, %a;", 5), 0xfffffffbu);
  EXPECT_EQ(evaluate("dp4a.s32.s32 %d, %a, %b, %c;", 0xff020304u, 0x01010101u, 10), 18u);
}

TEST(Bits, LogicAndShifts) {
  EXPECT_EQ(evaluate("and.b32 %d, %a, %b;", 0xff00ff00u, 0x0ff00ff0u), 0x0f000f00u);
  EXPECT_EQ(evaluate("not.b32 %d, %a;", 0), 0xffffffffu);
  EXPECT_EQ(evaluate("cnot.b32 %d, %a;", 0), 1u);
  EXPECT_EQ(evaluate("shl.b32 %d, %a, 32;", 1), 0u);
  EXPECT_EQ(evaluate("shr.u32 %d, %a, 31;", 0x80000000u), 1u);
  EXPECT_EQ(evaluate("shr.s32 %d, %a, 40;", 0x80000000u), 0xffffffffu);
  EXPECT_EQ(evaluate("lop3.b32 %d, %a, %b, %c, 0x96;", 0x5, 0x3, 0x8), 0xeu);
  EXPECT_EQ(evaluate("lop3.b32 %d, %a, %b, %c, 0xea;", 0xc, 0xa, 0x1), 0x9u);
  EXPECT_EQ(evaluate("shf.l.wrap.b32 %d, %a, %b, %c;", 0x80000000u, 0x1, 33), 3u);
  EXPECT_EQ(evaluate("shf.r.clamp.b32 %d, %a, %b, %c;", 0x1, 0xabcd, 40), 0xabcdu);
  EXPECT_EQ(evaluate("setp.eq.s32 %p, %a, 3; setp.eq.s32 %q, %a, 4; xor.pred %p, %p, %q; selp.u32 %d, 1, 0, %p;", 4),
            1u);
}

TEST(Bits, FieldsAndCounts) {
  EXPECT_EQ(evaluate("bfe.u32 %d, %a, 4, 8;", 0xabcdefu), 0xdeu);
  EXPECT_EQ(evaluate("bfe.s32 %d, %a, 4, 4;", 0xf0u), 0xffffffffu);
  EXPECT_EQ(evaluate("bfe.u32 %d, %a, 28, 16;", 0xf0000000u), 0xfu);
  EXPECT_EQ(evaluate("bfi.b32 %d, %a, %b, 8, 8;", 0xab, 0xffffffffu), 0xffffabffu);
  EXPECT_EQ(evaluate("brev.b32 %d, %a;", 1), 0x80000000u);
  EXPECT_EQ(evaluate("popc.b32 %d, %a;", 0xf0f0), 8u);
  EXPECT_EQ(evaluate("clz.b32 %d, %a;", 0), 32u);
  EXPECT_EQ(evaluate("popc.b64 %d, %wa;", ~0ull), 64u);
  EXPECT_EQ(evaluate("bfind.u32 %d, %a;", 0x100), 8u);
  EXPECT_EQ(evaluate("bfind.shiftamt.u32 %d, %a;", 0x100), 23u);
  EXPECT_EQ(evaluate("bfind.s32 %d, %a;", 0xffffffffu), 0xffffffffu);
  EXPECT_EQ(evaluate("fns.b32 %d, %a, 0, 3;", 0b101101), 3u);
  EXPECT_EQ(evaluate("fns.b32 %d, %a, 4, -2;", 0b101101), 2u);
  EXPECT_EQ(evaluate("fns.b32 %d, %a, 2, 0;", 0b101101), 2u);
  EXPECT_EQ(evaluate("fns.b32 %d, %a, 1, 0;", 0b101101), 0xffffffffu);
  EXPECT_EQ(evaluate("fns.b32 %d, %a, 0, 5;", 0b101101), 0xffffffffu);
}

TEST(Bits, BytesArePermuted) {
  const auto prmt = [](const char* mode, std::uint32_t selector) {
    return evaluate(std::string("prmt.b32") + mode + " %d, %a, %b, %c;", 0x83828180u, 0x07060504u, selector);
  };
  EXPECT_EQ(prmt("", 0x7610), 0x07068180u);
  EXPECT_EQ(prmt("", 0x3bc4), 0x83ff0004u);  // bit 3 of a nibble spreads the sign
  EXPECT_EQ(prmt(".f4e", 1), 0x04838281u);
  EXPECT_EQ(prmt(".b4e", 0), 0x05060780u);
  EXPECT_EQ(prmt(".rc8", 2), 0x82828282u);
  EXPECT_EQ(prmt(".ecl", 1), 0x83828181u);
  EXPECT_EQ(prmt(".ecr", 2), 0x82828180u);
  EXPECT_EQ(prmt(".rc16", 1), 0x83828382u);
}

TEST(Floating, MultiplyAddIsFused) {
  const float a = 1.0f + 0x1p-12f;
  EXPECT_EQ(evaluate_float("fma.rn.f32 %d, %a, %b, %c;", a, a, -1.0f), std::fma(a, a, -1.0f));
  EXPECT_EQ(evaluate_float("mul.f32 %d, %a, %b; add.f32 %d, %d, %c;", a, a, -1.0f), 0x1p-11f);
}

TEST(Floating, FlushingActsOnOperandsAndResults) {
  EXPECT_EQ(evaluate_float("mul.f32 %d, %a, %b;", 0x1p-126f, 0.5f), 0x1p-127f);
  EXPECT_EQ(evaluate_float("mul.ftz.f32 %d, %a, %b;", 0x1p-126f, 0.5f), 0.0f);
  EXPECT_EQ(evaluate_float("add.ftz.f32 %d, %a, %b;", 0x1p-127f, 0.0f), 0.0f);
  EXPECT_EQ(evaluate("add.ftz.f32 %d, %a, %b;", bits(-0x1p-127f), bits(-0.0f)), 0x80000000u);
  EXPECT_EQ(evaluate_float("add.sat.f32 %d, %a, %b;", 5.0f, 1.0f), 1.0f);
}

TEST(Floating, ExtremesPreferNumbersUnlessToldOtherwise) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(evaluate_float("max.f32 %d, %a, %b;", nan, 2.0f), 2.0f);
  EXPECT_EQ(evaluate_float("min.f32 %d, %a, %b;", 2.0f, nan), 2.0f);
  EXPECT_TRUE(std::isnan(evaluate_float("max.NaN.f32 %d, %a, %b;", nan, 2.0f)));
  EXPECT_EQ(evaluate("max.f32 %d, %a, %b;", bits(-0.0f), bits(0.0f)), bits(0.0f));
  EXPECT_EQ(evaluate("min.f32 %d, %a, %b;", bits(0.0f), bits(-0.0f)), bits(-0.0f));
}

TEST(Floating, QuotientsRootsAndDoubles) {
  EXPECT_EQ(evaluate_float("div.rn.f32 %d, %a, %b;", 1.0f, 3.0f), 1.0f / 3.0f);
  EXPECT_EQ(evaluate_float("rcp.approx.ftz.f32 %d, %a;", 0.0f), std::numeric_limits<float>::infinity());
  EXPECT_EQ(evaluate_float("sqrt.rn.f32 %d, %a;", 2.0f), std::sqrt(2.0f));
  EXPECT_EQ(evaluate_float("rsqrt.approx.f32 %d, %a;", 4.0f), 0.5f);
  EXPECT_EQ(evaluate_float("lg2.approx.f32 %d, %a;", 8.0f), 3.0f);
  EXPECT_EQ(evaluate_float("neg.f32 %d, %a;", 8.0f), -8.0f);
  EXPECT_EQ(evaluate_float("abs.f32 %d, %a;", -8.0f), 8.0f);
  EXPECT_EQ(evaluate_float("copysign.f32 %d, %a, %b;", -1.0f, 8.0f), -8.0f);
  EXPECT_EQ(std::bit_cast<double>(evaluate_wide("fma.rn.f64 %wd, %wa, %wb, 0d3FF0000000000000;",
                                                std::bit_cast<std::uint64_t>(3.0), std::bit_cast<std::uint64_t>(0.1))),
            std::fma(3.0, 0.1, 1.0));
}

TEST(Floating, ExponentialsAreWithinTwoUnitsOfTheLastPlace) {
  for (std::uint32_t start = 0; start < 64; ++start) {
    LaneInput input;
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      input.a.push_back(bits(-126.0f + static_cast<float>(start * 32 + lane) * 0.123457f));
    }
    const LaneOutput output = run_lanes("ex2.approx.ftz.f32 %d, %a;", input);
    for (std::uint32_t lane = 0; lane < 32; ++lane) {
      const float x = std::bit_cast<float>(static_cast<std::uint32_t>(input.a[lane]));
      const auto exact = static_cast<float>(std::exp2(static_cast<double>(x)));
      if (std::isinf(exact)) {
        EXPECT_EQ(output.d[lane], bits(exact));
      } else {
        EXPECT_NEAR(static_cast<double>(output.d[lane]), static_cast<double>(bits(exact)), 2.0) << x;
      }
    }
  }
}

TEST(Floating, ExponentialsOfTheEdges) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(evaluate("ex2.approx.ftz.f32 %d, %a;", bits(-infinity)), 0u);
  EXPECT_EQ(evaluate("ex2.approx.f32 %d, %a;", bits(-200.0f)), 0u);
  EXPECT_EQ(evaluate_float("ex2.approx.f32 %d, %a;", infinity), infinity);
  EXPECT_EQ(evaluate_float("ex2.approx.f32 %d, %a;", 0.0f), 1.0f);
  EXPECT_EQ(evaluate_float("ex2.approx.f32 %d, %a;", -130.0f), 0x1p-130f);
  EXPECT_EQ(evaluate_float("ex2.approx.ftz.f32 %d, %a;", -130.0f), 0.0f);
  EXPECT_TRUE(std::isnan(evaluate_float("ex2.approx.f32 %d, %a;", std::nanf(""))));
}

TEST(Half, PairsAreTwoValues) {
  EXPECT_EQ(evaluate("add.f16x2 %d, %a, %b;", 0x3c004000u, 0x3c003c00u), 0x40004200u);
  EXPECT_EQ(evaluate("mul.f16x2 %d, %a, %b;", 0x3c004000u, 0x40003800u), 0x40003c00u);
  EXPECT_EQ(evaluate("fma.rn.f16x2 %d, %a, %b, %c;", 0x3c004000u, 0x40004000u, 0x3c003c00u), 0x42004500u);
  EXPECT_EQ(evaluate("fma.rn.bf16x2 %d, %a, %b, %c;", 0x3f804000u, 0x40004000u, 0x3f803f80u), 0x404040a0u);
  EXPECT_EQ(evaluate("max.f16x2 %d, %a, %b;", 0xbc007e00u, 0x3c003c00u), 0x3c003c00u);
  EXPECT_EQ(evaluate("neg.bf16x2 %d, %a;", 0x3f80bf80u), 0xbf803f80u);
  EXPECT_EQ(evaluate("fma.rn.relu.f16x2 %d, %a, %b, %c;", 0xbc003c00u, 0x3c003c00u, 0), 0x00003c00u);
}

TEST(Half, SumsRoundOnceToNearestEven) {
  // 2048 + 1 lies between 2048 and 2050: the even one wins. 2048 + 3 goes up.
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; cvt.u16.u32 %i, %b; add.f16 %h, %h, %i; cvt.u32.u16 %d, %h;", 0x6800, 0x3c00),
            0x6800u);
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; cvt.u16.u32 %i, %b; add.f16 %h, %h, %i; cvt.u32.u16 %d, %h;", 0x6800, 0x4200),
            0x6802u);
}

TEST(Conversion, BetweenFloatsAndHalves) {
  EXPECT_EQ(evaluate("cvt.rn.f16x2.f32 %d, %a, %b;", bits(1.0f), bits(2.0f)), 0x3c004000u);
  EXPECT_EQ(evaluate("cvt.rn.bf16x2.f32 %d, %a, %b;", bits(1.0f), bits(2.0f)), 0x3f804000u);
  EXPECT_EQ(evaluate("cvt.rn.f16.f32 %h, %a; cvt.u32.u16 %d, %h;", bits(65520.0f)), 0x7c00u);
  EXPECT_EQ(evaluate("cvt.rn.f16.f32 %h, %a; cvt.u32.u16 %d, %h;", bits(65519.0f)), 0x7bffu);
  EXPECT_EQ(evaluate("cvt.rn.f16.f32 %h, %a; cvt.u32.u16 %d, %h;", bits(0x1p-24f)), 1u);
  EXPECT_EQ(evaluate("cvt.rz.f16.f32 %h, %a; cvt.u32.u16 %d, %h;", bits(1.0f + 0x1.8p-11f)), 0x3c00u);
  EXPECT_EQ(evaluate("cvt.rz.bf16x2.f32 %d, %a, %b;", bits(-1.999f), bits(1.999f)), 0xbfff3fffu);
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; cvt.f32.f16 %d, %h;", 0x0001), bits(0x1p-24f));
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; cvt.f32.f16 %d, %h;", 0xfc00), bits(-std::numeric_limits<float>::infinity()));
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; cvt.f32.bf16 %d, %h;", 0xc000), bits(-2.0f));
  EXPECT_EQ(evaluate("cvt.rna.tf32.f32 %d, %a;", 0x3f801000u), 0x3f802000u);
}

TEST(Conversion, FromFloatsToIntegersClampsAndRounds) {
  const auto to_int = [](const char* mode, float value) {
    return static_cast<std::int32_t>(evaluate(std::string("cvt.") + mode + ".s32.f32 %d, %a;", bits(value)));
  };
  EXPECT_EQ(to_int("rni", 2.5f), 2);
  EXPECT_EQ(to_int("rzi", -2.7f), -2);
  EXPECT_EQ(to_int("rmi", -2.1f), -3);
  EXPECT_EQ(to_int("rpi", 2.1f), 3);
  EXPECT_EQ(to_int("rzi", 1e20f), 2147483647);
  EXPECT_EQ(to_int("rzi", std::nanf("")), 0);
  EXPECT_EQ(evaluate("cvt.rzi.u32.f32 %d, %a;", bits(-5.0f)), 0u);
  EXPECT_EQ(evaluate_wide("cvt.rzi.u64.f32 %wd, %a;", bits(0x1p63f)), 0x8000000000000000ull);
  EXPECT_EQ(evaluate_float("cvt.rmi.f32.f32 %d, %a;", -1.5f), -2.0f);
}

TEST(Conversion, FromIntegers) {
  EXPECT_EQ(evaluate("cvt.rn.f32.s32 %d, %a;", static_cast<std::uint32_t>(-3)), bits(-3.0f));
  EXPECT_EQ(evaluate("cvt.rn.f32.u32 %d, %a;", 0xffffffffu), bits(0x1p32f));
  EXPECT_EQ(evaluate("cvt.rz.f32.u32 %d, %a;", 0xffffffffu), bits(4294967040.0f));
  EXPECT_EQ(evaluate("cvt.rp.f32.s64 %d, %wa;", 0x100000001ull), bits(4294967808.0f));
  EXPECT_EQ(evaluate_wide("cvt.s64.s32 %wd, %a;", 0x80000000u), 0xffffffff80000000ull);
  EXPECT_EQ(evaluate_wide("cvt.u64.u32 %wd, %a;", 0x80000000u), 0x80000000ull);
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; cvt.s32.s8 %d, %h;", 0x1ff), 0xffffffffu);
  EXPECT_EQ(evaluate("cvt.u8.u32 %d, %a;", 0x1ff), 0xffu);
  EXPECT_EQ(evaluate("cvt.sat.s8.s32 %d, %a;", 500), 127u);
}

TEST(Comparison, CombinesWritesBothAndKnowsNaN) {
  EXPECT_EQ(evaluate("setp.lt.s32 %p, %a, %b; selp.u32 %d, 7, 8, %p;", 0xffffffffu, 0), 7u);
  EXPECT_EQ(evaluate("setp.lo.u32 %p, %a, %b; selp.u32 %d, 7, 8, %p;", 0xffffffffu, 0), 8u);
  EXPECT_EQ(evaluate("setp.eq.s32 %q, %c, 1; setp.ge.and.s32 %p|%q, %a, %b, %q; selp.u32 %d, 1, 0, %p; "
                     "selp.u32 %e, 1, 0, %q; shl.b32 %e, %e, 1; or.b32 %d, %d, %e;",
                     5, 3, 1),
            1u);
  EXPECT_EQ(evaluate("setp.eq.s32 %q, %c, 1; setp.ge.or.s32 %p, %a, %b, !%q; selp.u32 %d, 1, 0, %p;", 2, 3, 0), 1u);
  const std::uint32_t nan = bits(std::nanf(""));
  for (const char* ordered : {"eq", "ne", "lt", "le", "gt", "ge", "num"}) {
    EXPECT_EQ(evaluate(std::string("setp.") + ordered + ".f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", nan, 0), 0u)
        << ordered;
  }
  for (const char* unordered : {"equ", "neu", "ltu", "leu", "gtu", "geu", "nan"}) {
    EXPECT_EQ(evaluate(std::string("setp.") + unordered + ".f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", nan, 0), 1u)
        << unordered;
  }
  const auto greater_unordered = [](float a, float b) {
    return evaluate("setp.gtu.f32 %p, %a, %b; selp.u32 %d, 1, 0, %p;", bits(a), bits(b));
  };
  EXPECT_EQ(greater_unordered(2, 1), 1u);
  EXPECT_EQ(greater_unordered(1, 1), 0u);
  EXPECT_EQ(greater_unordered(1, 2), 0u);
}

TEST(Comparison, OfPairsAndOfValues) {
  EXPECT_EQ(evaluate("setp.gt.f16x2 %p|%q, %a, %b; selp.u32 %d, 1, 0, %p; selp.u32 %e, 2, 0, %q; or.b32 %d, %d, %e;",
                     0x3c004000u, 0x40003c00u),
            1u);
  EXPECT_EQ(evaluate("set.lt.u32.f32 %d, %a, %b;", bits(1.0f), bits(2.0f)), 0xffffffffu);
  EXPECT_EQ(evaluate("set.gt.f16x2.f16x2 %d, %a, %b;", 0x3c004000u, 0x40003c00u), 0x00003c00u);
  EXPECT_EQ(evaluate("slct.u32.s32 %d, 1, 2, %a;", 0xffffffffu), 2u);
  EXPECT_EQ(evaluate("testp.subnormal.f32 %p, %a; selp.u32 %d, 1, 0, %p;", 1), 1u);
}

TEST(Movement, PacksAndUnpacks) {
  EXPECT_EQ(evaluate("mov.b32 {%h, %i}, %a; mov.b32 %d, {%i, %h};", 0x12345678), 0x56781234u);
  EXPECT_EQ(evaluate("cvt.u16.u32 %h, %a; mov.b32 %d, {0, %h};", 0x3f80), 0x3f800000u);
  EXPECT_EQ(evaluate("mov.b64 {%d, %e}, %wa;", 0x1122334455667788ull), 0x55667788u);
  EXPECT_EQ(evaluate("mov.b64 {_, %d}, %wa;", 0x1122334455667788ull), 0x11223344u);
  EXPECT_EQ(run_lanes("mov.u32 %d, %lanemask_lt;").d[5], 31u);
  EXPECT_EQ(run_lanes("mov.u32 %d, %tid.x;").d[9], 9u);
  EXPECT_EQ(evaluate("add.u32 %d, %ntid.x, WARP_SZ;"), 64u);
}

}  // namespace
}  // namespace flashmask::emulator::test
