// What flashmask inspect --sections says of a listing, whatever a second reader says to it.
#include "tools/command/cubin_report.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

CubinReport report() {
  CubinReport made;
  made.bytes = 1000;
  made.listing.sm = 90;
  made.listing.abi_version = 8;
  made.listing.sections = {{},
                           {.name = ".text.k", .type = SHT_PROGBITS, .flags = 6, .offset = 64, .size = 128},
                           {.name = ".nv.info", .type = 0x70000000}};
  made.listing.symbols = {{.name = "k", .info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .section = 1, .size = 128},
                          {.name = "\x1b[2J", .info = 0xdd, .section = SHN_ABS}};
  made.listing.notes = {
      {.section = ".note", .owner = "NVIDIA Corp", .type = 7, .content = {std::byte{'o'}, std::byte{0}}}};
  return made;
}

TEST(CubinReport, TellsSectionsSymbolsAndNotes) {
  const std::string text = cubin_text(report());
  EXPECT_THAT(text, AllOf(HasSubstr("cubin     sm_90, ABI 8, flags 0x0, 1000 bytes\n"), HasSubstr("PROGBITS"),
                          HasSubstr(".text.k\n"), HasSubstr("0x70000000"), HasSubstr("FUNC   GLOBAL"),
                          HasSubstr(".note, type 7, of NVIDIA Corp, 2 bytes: o.\n")));
  const nlohmann::ordered_json json = cubin_json(report());
  EXPECT_EQ(json.at("sections").at(1).at("bytes"), 128);
  EXPECT_EQ(json.at("symbols").at(0).at("section"), 1);
  EXPECT_EQ(json.at("notes").at(0).at("text"), "o.");
}

TEST(CubinReport, NamesCannotReachTheTerminal) {
  EXPECT_THAT(cubin_text(report()), AllOf(Not(HasSubstr("\x1b")), HasSubstr(".[2J"), HasSubstr("ABS")));
}

TEST(CubinReport, OneReaderIsToldAndIsNoError) {
  EXPECT_THAT(cubin_text(report()), HasSubstr("readers   one: the command was built without LLVM\n"));
  EXPECT_TRUE(cubin_json(report()).at("llvm").is_null());
  EXPECT_NO_THROW(require_agreement(report()));
}

TEST(CubinReport, TwoReadersThatAgreeAreTold) {
  CubinReport agreed = report();
  agreed.llvm_version = "19.1.7";
  EXPECT_THAT(cubin_text(agreed), HasSubstr("readers   two: LLVM 19.1.7 reads the same\n"));
  EXPECT_EQ(cubin_json(agreed).at("llvm").at("agrees"), true);
  EXPECT_NO_THROW(require_agreement(agreed));
}

TEST(CubinReport, ADisagreementIsToldAndIsAnError) {
  CubinReport disputed = report();
  disputed.llvm_version = "19.1.7";
  disputed.disagreements = {"section 1, size: 128 and 120"};
  EXPECT_THAT(cubin_text(disputed), HasSubstr("section 1, size: 128 and 120\n"));
  EXPECT_EQ(cubin_json(disputed).at("llvm").at("agrees"), false);
  try {
    require_agreement(disputed);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_THAT(error.what(), HasSubstr("reads the cubin otherwise: section 1, size: 128 and 120"));
  }
}

TEST(CubinReport, BytesThatNoReaderTakesAreRefusedAsMalformed) {
  const std::string text = "no cubin";
  try {
    report_cubin(std::as_bytes(std::span(text)));
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("not an ELF file"));
  }
}

}  // namespace
}  // namespace flashmask::command
