#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "generator/kernel_text.h"

namespace flashmask::generator {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

/// The asm statements of a text.
std::vector<std::string> statements_of(const std::string& text) {
  std::vector<std::string> statements;
  for (std::size_t at = text.find("asm volatile("); at != std::string::npos; at = text.find("asm volatile(", at + 1))
    statements.push_back(text.substr(at, text.find(");\n  }", at) - at));
  return statements;
}

TEST(WarpgroupProductText, HasTheInstructionOfTheElementTypeForEveryWidth) {
  const std::string bf16 = warpgroup_product_text(DataType::kBfloat16, {64, 256});
  EXPECT_THAT(bf16, AllOf(HasSubstr("struct WarpgroupProduct<64> {"), HasSubstr("struct WarpgroupProduct<256> {"),
                          HasSubstr("wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "),
                          HasSubstr("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "), Not(HasSubstr(".f16"))));
  EXPECT_EQ(occurrences(bf16, "template <>"), 2u);
  EXPECT_THAT(warpgroup_product_text(DataType::kFloat16, {96}),
              AllOf(HasSubstr("m64n96k16.f32.f16.f16 "), Not(HasSubstr("bf16"))));
}

TEST(WarpgroupProductText, NamesEveryOperandOnceAndNoOther) {
  for (int columns = 16; columns <= 256; columns += 16) {
    const std::vector<std::string> statements = statements_of(warpgroup_product_text(DataType::kBfloat16, {columns}));
    ASSERT_EQ(statements.size(), 2u) << columns;  // from shared memory, from registers
    for (const std::string& statement : statements) {
      EXPECT_EQ(occurrences(statement, "\"+f\"("), static_cast<std::size_t>(columns / 2)) << columns;
      std::size_t operands = 0;
      for (const char* constraint : {"\"+f\"(", "\"l\"(", "\"r\"(", "\"n\"("})
        operands += occurrences(statement, constraint);
      std::vector<int> used(operands, 0);
      const std::regex number("%([0-9]+)");
      for (std::sregex_iterator at(statement.begin(), statement.end(), number), end; at != end; ++at) {
        const auto operand = static_cast<std::size_t>(std::stoi((*at)[1]));
        ASSERT_LT(operand, operands) << columns;
        ++used[operand];
      }
      EXPECT_THAT(used, testing::Each(1)) << columns;
      for (int block = 0; block < columns / 8; ++block)
        for (int i = 0; i < 4; ++i)
          EXPECT_EQ(occurrences(statement, "c.block[0][" + std::to_string(block) + "].at[" + std::to_string(i) + "]"),
                    1u)
              << columns;
    }
  }
}

}  // namespace
}  // namespace flashmask::generator
