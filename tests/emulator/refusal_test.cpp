#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "tests/emulator/harness.h"

namespace flashmask::emulator::test {
namespace {

constexpr auto kSyntax = Fault::Kind::kSyntax;
constexpr auto kUnsupported = Fault::Kind::kUnsupported;

const std::string kHead = ".version 9.0\n.target sm_90a\n.address_size 64\n";

/// The report of parsing `text`, which has to be refused as `kind`.
std::string report_of(const std::string& text, Fault::Kind kind) {
  const auto fault = fault_of([&] { Program::parse(text); });
  if (!fault) return text.substr(0, 400);
  EXPECT_EQ(fault->kind(), kind) << fault->what();
  EXPECT_NE(std::string(fault->what()).find(", column "), std::string::npos) << fault->what();
  return fault->what();
}

/// `text` in an entry, as line 8 and after.
std::string body(const std::string& text) {
  return module_of("", ".reg .b32 %r<4>; .reg .b64 %x<4>; .reg .pred %p<4>; .reg .b16 %h<2>;\n" + text);
}

void expect_report(const std::string& text, Fault::Kind kind, const std::vector<std::string>& parts) {
  const std::string report = report_of(text, kind);
  for (const std::string& part : parts) EXPECT_NE(report.find(part), std::string::npos) << part << "\nin\n" << report;
}

void expect_syntax(const std::string& text, const std::vector<std::string>& parts = {}) {
  expect_report(text, kSyntax, parts);
}

void expect_unsupported(const std::string& text, const std::vector<std::string>& parts = {}) {
  expect_report(text, kUnsupported, parts);
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

// --- where -----------------------------------------------------------------------------------------------------------

TEST(Refusal, QuotesTheLineWithAMarkUnderTheColumn) {
  expect_syntax(body("  add.s32 %r0, %x1, 3;"), {"the register %x1 has 64 bits, 32 are read\n"
                                                 "  line 8, column 16: add.s32 %r0, %x1, 3;\n"
                                                 "                                  ^\n"
                                                 "  in k"});
  expect_syntax(body("add.s32 %r0 %r1, %r2;"), {"  line 8, column 13: add.s32 %r0 %r1, %r2;\n"
                                                "                                 ^"});
}

TEST(Refusal, CountsColumnsInTextWithTabsAndCarriageReturns) {
  expect_syntax(body("\tadd.s32 \t%r0, %r1, %x1;\r\n\tret;\r"), {"  line 8, column 21: add.s32  %r0, %r1, %x1;\n"
                                                                 "                                        ^"});
  std::string text = body("mov.u32 %r0, nowhere;");
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.replace(at, 1, "\r\n");
  expect_syntax(text, {"line 8, column 14: mov.u32 %r0, nowhere;\n"});
}

TEST(Refusal, PointsAtAnOperandOnALineOfItsOwn) {
  expect_syntax(body("add.s32\n\t%r0,\n\t%r1,\n\t/* a\n */ nowhere;"), {"line 12, column 5: */ nowhere;"});
  expect_syntax(body("mov.b64 %x0, {%r0,\n  %h1};"), {"line 9, column 3: %h1};"});
}

TEST(Refusal, ShowsOnlyWhatIsNearInALongLine) {
  const std::string report = report_of(body(repeated("mov.u32 %r0, 1; ", 1000) + "mov.u32 %r0, nowhere;"), kSyntax);
  EXPECT_NE(report.find("line 8, column 16014: "), std::string::npos) << report;
  EXPECT_NE(report.find("mov.u32 %r0, nowhere;"), std::string::npos) << report;
  EXPECT_LT(report.size(), 600u) << report;
}

TEST(Refusal, ShowsNoControlCharacters) {
  const std::string report = report_of(body("mov.u32 %r0, \x1b[31m\xc3\xa9;"), kSyntax);
  EXPECT_EQ(report.find_first_of("\x1b\xc3\xa9"), std::string::npos) << report;
  EXPECT_NE(report.find("line 8, column 14: mov.u32 %r0, ?[31m??;"), std::string::npos) << report;
}

TEST(Refusal, OfACutTextPointsAtItsEnd) {
  expect_syntax(kHead + ".entry k() {\n  ret;\n", {"line 6, column 1: (the end of the text)"});
  expect_syntax(kHead + ".entry k() {\n  ret", {"line 5, column 6: ret\n", "found the end of the text"});
}

TEST(Refusal, OfAVariableOrALimitPointsAtTheName) {
  expect_syntax(kHead + ".global .b8 fine, .entry;", {"line 4, column 19"});
  expect_unsupported(kHead + ".entry k() {\n.local .b8 big[600000];\nret; }", {"line 5, column 12: .local .b8 big"});
}

// --- names -----------------------------------------------------------------------------------------------------------

TEST(Refusal, NamesTheInstructionAndTheModifier) {
  expect_unsupported(body("frobnicate.b32 %r0, %r1;"), {"frobnicate.b32", "line 8, column 1: frobnicate.b32 %r0"});
  expect_unsupported(body("@%p1 add.rz.f32 %r0, %r1, %r2;"), {".rz", "line 8, column 6: @%p1 add.rz.f32"});
  expect_unsupported(body("mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%r0}, {%r0}, {%r0}, {%r0};"));
}

TEST(Refusal, NamesTheRegisterThatIsNotDeclared) {
  expect_syntax(body("mov.u32 %r4, 1;"), {"the register %r4 is not declared: its family has 4 members", "column 9"});
  expect_syntax(body("mov.u32 %nosuch, 1;"), {"the register %nosuch is not declared", "column 9"});
  expect_unsupported(body("mov.u32 %r0, %nosuch;"), {"'%nosuch' is neither a declared register nor", "column 14"});
  expect_syntax(body("@!%q ret;"), {"the register %q is not declared", "column 3"});
  expect_syntax(body("ld.shared.u32 %r0, [%base+4];"), {"the register %base is not declared", "column 21"});
  expect_syntax(body("mov.u32 %r01, 1;"), {"the register %r01 is not declared"});
  expect_syntax(body("mov.u32 %r99999999999999999999, 1;"), {"%r99999999999999999999 is not declared"});
  expect_syntax(body("{ .reg .b32 inner; } mov.u32 inner, 1;"), {"'inner' is not declared", "column 30"});
}

TEST(Refusal, NamesTheLabelOrVariableThatIsNotDeclared) {
  expect_syntax(body("bra NOWHERE;"), {"the name 'NOWHERE' is not declared", "column 5"});
  expect_syntax(body("{ INNER: ret; } bra INNER;"), {"the name 'INNER' is not declared", "column 21"});
  expect_syntax(body("L: .branchtargets L, M;"), {"the name 'M' is not declared", "column 22"});
  expect_syntax(body("mov.u64 %x0, nosuch;"), {"the name 'nosuch' is not declared", "column 14"});
  expect_syntax(body("ld.shared.u32 %r0, [nosuch];"), {"the name 'nosuch' is not declared", "column 21"});
  expect_syntax(body("ld.shared.v2.u32 {%r0, nosuch}, [%r1];"), {"the name 'nosuch' is not declared", "column 24"});
  expect_syntax(body("{ .shared .b32 s; } mov.u32 %r0, s;"), {"the name 's' is not declared", "column 34"});
  expect_syntax(kHead + ".global .u64 a = nosuch;", {"names 'nosuch'", "line 4, column 18"});
  expect_syntax(kHead + ".shared .u32 s; .global .u64 a = generic(s);", {"names 's'", "line 4, column 42"});
}

TEST(Refusal, OfWhatIsDeclaredTwice) {
  const std::string entry = ".entry k() { ret; }\n";
  expect_syntax(kHead + entry + entry, {"'k' is declared twice", "line 5, column 8"});
  expect_syntax(kHead + ".global .b32 k;\n" + entry, {"'k' is declared twice", "line 5, column 8"});
  expect_syntax(kHead + ".global .b32 g, g;", {"'g' is declared twice", "line 4, column 17"});
  expect_syntax(module_of(".param .u32 a, .param .u32 a", ""), {"'a' is declared twice", "line 5, column 46"});
  expect_syntax(module_of(".param .u32 a", ".reg .u32 a;"), {"'a' is declared twice"});
  expect_syntax(body(".shared .b32 s; .local .b32 s;"), {"'s' is declared twice", "column 29"});
  expect_unsupported(body("{ .shared .b32 s; } { .shared .b32 s; }"), {"a second variable called 's'", "column 36"});
  expect_syntax(body("A: A: ret;"), {"'A' is declared twice", "column 4"});
  expect_syntax(body("A: A: .branchtargets A;"), {"'A' is declared twice", "column 4"});
  expect_syntax(body("%r1: ret;"), {"'%r1' is declared twice"});
  expect_syntax(body(".reg .b32 %r2;"), {"'%r2' is declared twice", "column 11"});
  expect_syntax(body(".reg .b32 %q2, %q<4>;"), {"'%q2' is declared twice", "column 16"});
  expect_syntax(body(".reg .b32 %q2; .reg .b32 a, b, c, d, e; .reg .b32 %q<4>;"), {"'%q2' is declared twice"});
  expect_syntax(body(".reg .b32 %r<5>;"), {"'%r<5>' is declared twice"});
  expect_syntax(kHead + ".version 9.0\n", {".version stands twice", "line 4, column 1"});
}

TEST(Refusal, OfABranchToAListAndOfAListOfLists) {
  expect_syntax(body("L: .branchtargets E;\nbra L;\nE:"), {"a label was expected"});
  expect_syntax(body("brx.idx %r0, E;\nE:"), {"a list of branch targets was expected"});
  expect_syntax(body("L: .branchtargets M; M: .branchtargets E; E:"), {"'M' is a list of branch targets"});
}

// --- operands --------------------------------------------------------------------------------------------------------

TEST(Refusal, OfOperandsOfTheWrongKindCountOrWidth) {
  for (const char* text : {
           "add.s32 %r0, %r1;",
           "add.s32 %r0, %r1, %r2, %r3;",
           "add.s32 5, %r1, %r2;",
           "add.s32 %r0, %r1, %x1;",
           "add.s32 %r0, %r1, %p1;",
           "add.s32 %r0, [%r1], %r2;",
           "add.s32 %r0, {%r1, %r2}, 1;",
           "add.s32 %r0, %r1|%r2, 1;",
           "add.s32 %r0, !%r1, 1;",
           "add.s32 !%r0, %r1, 1;",
           "add.s32 %r0, !_, 1;",
           "add.s32 %r0, _, 1;",
           "add.s32 , %r1, 1;",
           "add.s32 %r0, %r1, 1,;",
           "@%r0 ret;",
           "@5 ret;",
           "setp.eq.s32 %r0, %r1, %r2;",
           "setp.eq.s32 !%p0, %r1, %r2;",
           "setp.eq.s32 %p0|!%p1, %r1, %r2;",
           "bra !L; L:",
           "bra {L}; L:",
           "bra %r0;",
           "ret 5;",
           "ld.shared.u32 %r0, %r1;",
           "ld.shared.u32 %r0, [%r1+];",
           "ld.shared.u32 %r0, [%h1];",
           "ld.shared.u32 %r0, [0f3F800000];",
           "ld.shared.u32 %r0, [%r1, 5];",
           "ld.shared.u32 %r0, [%r1, {%r2, %r3}];",
           "ld.shared.u32 %r0, [{%r1}];",
           "ld.shared.u32 %r0, [%r1;",
           "ld.shared.v2.u32 {%r0}, [%r1];",
           "ld.shared.v2.u32 {%r0, %r1, [%r1];",
           "ld.shared.v2.u32 {}, [%r1];",
           "ld.shared.v2.u32 {{%r0}, %r1}, [%r2];",
           "ld.shared.v2.u32 {{{%r0}}, %r1}, [%r2];",
           "ld.shared.pred %p0, [%r1];",
           "ld.shared.u32 %h0, [%r1];",
           "ld.shared %r0, [%r1];",
           "mov.f32 %r0, 0f123;",
           "mov.f32 %r0, 0f123456789;",
           "mov.u32 %r0, 99999999999999999999999;",
           "mov.u32 %r0, 0x;",
           "mov.u32 %r0, 0b12;",
           "mov.u32 %r0, 09;",
           "mov.u32 %r0, 12abc;",
           "mov.f64 %x0, 1e999;",
           "mov.f64 %x0, 1e;",
           "mov.u32 %r0, --1;",
           "mov.u32 %r0, \"text\";",
           "mov.u32 %r0, 1",
       }) {
    SCOPED_TRACE(text);
    expect_syntax(body(text), {"line "});
  }
  expect_unsupported(body("add.s32 %r0, (1+2)*3, 4;"), {"parentheses", "column 14"});
  expect_unsupported(body(".reg .v4 .f32 %v;"), {"vector type", "column 6"});
}

TEST(Refusal, OfClusterSharedMemoryWhereItIsNotKnown) {
  expect_syntax(body("ldmatrix.sync.aligned.m8n8.x1.shared::cluster.b16 {%r0}, [%r1];"), {"column 1"});
  expect_unsupported(body("cp.async.cg.shared::cluster.global [%r0], [%x0], 16;"), {"from .global to .shared"});
  expect_unsupported(body("ld.param::func.u32 %r0, [%r1];"), {".param::func"});
}

// --- declarations ----------------------------------------------------------------------------------------------------

TEST(Refusal, OfDeclarationsThatNoMemoryHolds) {
  expect_unsupported(body(".reg .b32 %q<4000000000>;"), {"more than 1048576 with '%q'", "column 11"});
  expect_unsupported(body(".reg .b32 %q<18446744073709551615>;"), {"more than 1048576"});
  expect_unsupported(body(".reg .b32 %q<1048000>;"), {"the registers of a warp take more than 67108864 bytes"});
  expect_unsupported(
      kHead + ".entry a() { .reg .pred %p<900000>; ret; }\n" + ".entry b() { .reg .pred %p<900000>; ret; }",
      {"more than 1048576", "line 5, column 25"});
  expect_syntax(body(".shared .b8 x[18446744073709551615][3];"), {"'x' is too large: 4294967296 bytes", "column 13"});
  expect_syntax(body(".shared .b64 x[0x2000000000000000];"), {"'x' is too large"});
  expect_syntax(kHead + ".extern .shared .b8 x[][18446744073709551615][3];", {"'x' is too large"});
  expect_syntax(body(".shared .b8 x[4294967296][4294967296][0x100000000];"), {"'x' is too large"});
  expect_unsupported(body(".shared .b8 x[4294967296];"), {".shared space larger than 232448 bytes"});
  expect_unsupported(module_of(".param .b8 x[40000]", ""), {".param space larger than 32764 bytes"});
}

TEST(Refusal, OfArraysWithoutABoundOrWithNone) {
  expect_syntax(body(".shared .b8 x[];"), {"needs a bound or .extern", "column 13"});
  expect_syntax(body(".shared .b8 x[0];"), {"an array bound of at least 1"});
  expect_syntax(body(".shared .b8 x[4][];"), {"an array bound of at least 1"});
  expect_syntax(body(".shared .b8 x[-1];"), {"an array bound of at least 1"});
  expect_syntax(body(".shared .b8 x[4;"), {"']' was expected"});
  expect_syntax(kHead + ".global .b8 x[] = {};", {"needs a bound"});
  expect_unsupported(body(".shared .b8 x" + repeated("[1]", 9) + ";"), {"more than 8 dimensions"});
}

TEST(Refusal, OfAlignmentsThatAreNoPowersOfTwo) {
  for (const std::string alignment : {"0", "3", "131072", "18446744073709551615", "-4", "x"}) {
    SCOPED_TRACE(alignment);
    expect_syntax(body(".shared .align " + alignment + " .b8 x[4];"), {"a power of two up to 65536", "column 16"});
    expect_syntax(module_of(".param .u64 .ptr .global .align " + alignment + " p", ""), {"a power of two"});
  }
}

TEST(Refusal, OfInitialValuesThatDoNotFit) {
  expect_syntax(kHead + ".global .b32 x[2] = {1, 2, 3};", {"'x' has no room", "column 28"});
  expect_syntax(kHead + ".global .b32 x[2][2] = {{1, 2, 3}, {4}};", {"'x' has no room", "column 32"});
  expect_syntax(kHead + ".global .b32 x[1][2] = {{1}, {2}};", {"'x' has no room", "column 30"});
  expect_syntax(kHead + ".global .b32 x[2] = {{1}, 2};", {"nested more deeply than the array", "column 22"});
  expect_syntax(kHead + ".global .b32 x[2] = {1 2};", {"',' was expected"});
  expect_syntax(kHead + ".global .b32 x[2] = 1;", {"'{' was expected"});
  expect_syntax(kHead + ".global .b32 x = };", {"an initial value was expected"});
  expect_syntax(kHead + ".global .b32 x = {};", {"an initial value was expected"});
  expect_syntax(kHead + ".global .f32 x = 1;", {"a floating-point constant was expected"});
  expect_syntax(kHead + ".global .b16 x = 1.5;", {"32 or 64 bits"});
  expect_syntax(kHead + ".global .b32 y; .global .b32 x = y;", {"only a 64-bit element", "column 34"});
  expect_syntax(kHead + ".shared .b32 x = 1;", {"'x' cannot have initial values"});
  expect_syntax(body(".local .b32 x = 1;"), {"'x' cannot have initial values"});
  expect_unsupported(kHead + ".global .b8 x[2] = {0xff(x), 0};", {"single bytes of an address"});
  expect_unsupported(kHead + ".global .b8 x[16777217] = {1};", {"more than 16777216 bytes with 'x'"});
  expect_unsupported(kHead + ".global .b8 x[][16777215] = {{1}, {2}};", {"more than 16777216 bytes with 'x'"});
}

TEST(Refusal, OfDeviceFunctionsAndCalls) {
  expect_unsupported(kHead + ".func f() { call f; }\n", {"(.func)", "line 4, column 1"});
  expect_unsupported(kHead + ".func f() { call g; }\n.func g() { call f; }\n", {"(.func)", "inlined"});
  expect_unsupported(kHead + ".visible .func (.param .b32 r) f(.param .b32 a)\n{ ret; }", {"line 4, column 10"});
  expect_unsupported(body("call foo;\nfoo:"), {"'call' is not known", "column 1"});
  expect_unsupported(body("{ .param .b32 param0;\ncall.uni (retval0), f, (param0); }"), {"'call'", "column 3"});
  expect_unsupported(body("call.uni (retval0), f, (param0);"), {"'call' is not known"});
  expect_unsupported(body("L: .callprototype _ ();"), {".callprototype"});
  expect_unsupported(body("L: .calltargets f;"), {".calltargets"});
}

TEST(Refusal, OfDirectivesThatAreNotKnown) {
  expect_unsupported(kHead + ".nosuch 5;", {"the directive .nosuch is not known", "line 4, column 1"});
  expect_unsupported(body(".nosuch 5;"), {"the directive .nosuch is not known in a body", "column 1"});
  expect_unsupported(kHead + ".entry k() .nosuch { ret; }", {"the directive .nosuch", "column 12"});
  expect_unsupported(kHead + ".alias a, b;", {".alias"});
  expect_unsupported(kHead + ".extern .global .b32 x;", {".extern .global"});
  expect_unsupported(kHead + ".global .attribute(.managed) .b32 x;", {".attribute"});
  expect_unsupported(".version 9.0\n.target sm_90a, nosuch\n", {"'nosuch' of .target", "line 2, column 17"});
  expect_unsupported(".version 9.0\n.target sm_90\n.address_size 32\n", {"only 64-bit"});
  expect_syntax(".version 9.0\n.target compute_90\n", {"sm_90a", "line 2, column 9"});
  expect_syntax(kHead + ".visible ret;", {".entry, .func or a state space"});
  expect_syntax(kHead + ".entry k() .maxntid 0 { ret; }", {"from 1 to 65535", "column 21"});
  expect_syntax(kHead + ".entry k() .reqnctapercluster 4294967298 { ret; }", {"from 1 to 65535"});
  expect_syntax(kHead + ".entry k() .maxclusterrank x { ret; }", {"from 1 to 65535"});
}

TEST(Refusal, OfTextThatIsNotPtx) {
  for (const std::string& text : {std::string(""),
                                  std::string("hello"),
                                  std::string("\x7f"
                                              "ELF\x02\x01"),
                                  std::string("\0\0", 2),
                                  kHead + std::string("\0x", 2),
                                  std::string(".version"),
                                  std::string(".version 9.0\n"),
                                  std::string(".version .target"),
                                  kHead + ".entry k( {",
                                  kHead + ".entry {",
                                  kHead + ".section",
                                  kHead + ".section .debug { {",
                                  kHead + ".pragma \"no end",
                                  kHead + ".pragma 5;",
                                  kHead + ".loc 1 2",
                                  kHead + ".loc 1 2 3, elsewhere 4",
                                  kHead + ".file 1 2",
                                  body("/* no end"),
                                  body("{"),
                                  body("}"),
                                  kHead + "#define X"}) {
    SCOPED_TRACE(text);
    expect_syntax(text);
  }
}

// --- without end -----------------------------------------------------------------------------------------------------

/// Refusing `text` takes a fraction of a second; the limit leaves room for sanitizers and a busy machine.
void expect_quick(const std::string& text, Fault::Kind kind, const std::vector<std::string>& parts) {
  const auto start = std::chrono::steady_clock::now();
  expect_report(text, kind, parts);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Refusal, OfNestingWithoutEnd) {
  expect_quick(body(repeated("{", 100000)), kUnsupported, {"nested more deeply than 64", "column 64"});
  expect_quick(body("mov.b64 %x0, " + repeated("{", 100000)), kSyntax, {"nested too deeply"});
  expect_quick(body("mov.b64 %x0, " + repeated("[", 100000)), kSyntax, {"an operand was expected"});
  expect_quick(body("mov.b64 %x0, " + repeated("!", 100000)), kSyntax, {"an operand was expected"});
  expect_quick(body("mov.b64 %x0, " + repeated("%x0|", 100000)), kSyntax, {"at the end of 'mov.b64'"});
  expect_quick(kHead + ".global .b8 x[2] = " + repeated("{", 100000), kSyntax, {"nested more deeply than the array"});
  expect_quick(kHead + ".section .x " + repeated("{", 100000), kSyntax, {"a block is not closed"});
  expect_quick(kHead + repeated(".visible ", 100000), kSyntax, {"a state space was expected"});
}

TEST(Refusal, OfListsWithoutEnd) {
  expect_quick(body("mov.b64 %x0, {" + repeated("1,", 1000) + "1};"), kSyntax, {"more than 512 elements"});
  expect_quick(body("fence" + repeated(".sc", 100000) + ";"), kSyntax, {"more than 32 modifiers"});
  expect_quick(body("add.s32 " + repeated("%r0,", 100000) + "1;"), kSyntax, {"100001 operands are given"});
  expect_quick(body("mov.u32 %r0, " + std::string(100000, 'x') + ";"), kSyntax, {"4096 are allowed"});
  expect_quick(body("mov.u32 %r0, " + std::string(100000, '9') + ";"), kSyntax, {"too large for 64 bits"});
}

TEST(Refusal, OfMoreThanAModuleMayHold) {
  std::string entries = kHead;
  for (int i = 0; i <= 1024; ++i) entries += ".entry k" + std::to_string(i) + "() { ret; }\n";
  expect_quick(entries, kUnsupported, {"more than 1024 entries"});
  std::string variables = kHead;
  for (int i = 0; i <= 4096; ++i) variables += ".global .b8 g" + std::to_string(i) + ";\n";
  expect_quick(variables, kUnsupported, {"more than 4096 variables"});
  expect_quick(std::string((16u << 20) + 1, ' '), kUnsupported, {"16777217 bytes, 16777216 are allowed"});
  std::string reads;
  for (int i = 0; i < 300000; ++i) reads += "mov.u64 %x0,%tid.x;";
  expect_quick(body(reads), kUnsupported, {"the registers of a warp take more than"});
}

}  // namespace
}  // namespace flashmask::emulator::test
