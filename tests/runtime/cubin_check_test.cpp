#include "runtime/store/cubin_check.h"

#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>
#include <map>

#include "runtime/compile/compiler.h"

namespace flashmask {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

constexpr const char* kText = R"(extern "C" __global__ void kernel(int* out) { out[threadIdx.x] = 1; })";

const std::vector<std::byte>& cubin_for(Target target) {
  static std::map<std::string, std::vector<std::byte>> made;
  std::vector<std::byte>& cubin = made[to_string(target)];
  if (cubin.empty()) cubin = compile::Compiler(Policy::from_environment()).compile(kText, "kernel", target).cubin;
  return cubin;
}

Elf64_Ehdr header_of(const std::vector<std::byte>& cubin) {
  Elf64_Ehdr header;
  std::memcpy(&header, cubin.data(), sizeof header);
  return header;
}

/// The cubin with one field of its header changed.
template <typename Change>
std::vector<std::byte> changed(std::vector<std::byte> cubin, Change&& change) {
  Elf64_Ehdr header = header_of(cubin);
  change(header);
  std::memcpy(cubin.data(), &header, sizeof header);
  return cubin;
}

TEST(CubinCheck, WhatNvrtcMakesIsFineForEveryTarget) {
  const compile::NvrtcVersion nvrtc = compile::Nvrtc::open(Policy::from_environment()).version();
  for (const char* name : {"sm_80", "sm_86", "sm_89", "sm_90", "sm_90a", "sm_100", "sm_120"}) {
    const auto target = parse_target(name);
    if (!target) continue;  // not one of this library's targets
    // NVRTC knows Blackwell since 12.8.
    if (target->compute_capability >= 100 && nvrtc < compile::NvrtcVersion{12, 8}) continue;
    EXPECT_EQ(refuse_cubin(cubin_for(*target), *target, "kernel"), std::nullopt) << name;
  }
}

TEST(CubinCheck, AnotherArchitectureIsRefused) {
  EXPECT_THAT(refuse_cubin(cubin_for({80, false}), {86, false}, "kernel"), Optional(HasSubstr("sm_80")));
}

TEST(CubinCheck, TheArchitectureSpecificVariantIsToldApartByTheNote) {
  EXPECT_EQ(refuse_cubin(cubin_for({90, true}), {90, true}, "kernel"), std::nullopt);
  EXPECT_EQ(refuse_cubin(cubin_for({90, false}), {90, false}, "kernel"), std::nullopt);
  // ptxas writes the note since CUDA 13, with ABI 8; before, the two images cannot be told apart.
  const bool noted = header_of(cubin_for({90, true})).e_ident[EI_ABIVERSION] >= 8;
  EXPECT_EQ(refuse_cubin(cubin_for({90, true}), {90, false}, "kernel").has_value(), noted);
  EXPECT_EQ(refuse_cubin(cubin_for({90, false}), {90, true}, "kernel").has_value(), noted);
}

TEST(CubinCheck, BothAbiVersionsAreReadAndOthersRefused) {
  // CUDA 12 writes ABI 7 with the SM number in the low byte of the flags, CUDA 13 ABI 8 with it in the second byte.
  const auto abi7 = changed(cubin_for({80, false}), [](Elf64_Ehdr& header) {
    header.e_ident[EI_ABIVERSION] = 7;
    header.e_flags = 0x00500d50;
  });
  EXPECT_EQ(refuse_cubin(abi7, {80, false}, "kernel"), std::nullopt);
  const auto abi8 = changed(cubin_for({80, false}), [](Elf64_Ehdr& header) {
    header.e_ident[EI_ABIVERSION] = 8;
    header.e_flags = 0x06005004;
  });
  EXPECT_EQ(refuse_cubin(abi8, {80, false}, "kernel"), std::nullopt);
  const auto abi9 = changed(cubin_for({80, false}), [](Elf64_Ehdr& header) { header.e_ident[EI_ABIVERSION] = 9; });
  EXPECT_THAT(refuse_cubin(abi9, {80, false}, "kernel"), Optional(HasSubstr("ABI version 9")));
}

TEST(CubinCheck, AnotherKernelIsRefused) {
  EXPECT_THAT(refuse_cubin(cubin_for({80, false}), {80, false}, "other"), Optional(HasSubstr("no code of other")));
}

TEST(CubinCheck, EveryTruncationIsRefusedWithoutACrash) {
  const std::vector<std::byte>& whole = cubin_for({80, false});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // In a buffer of its own, so that a sanitizer sees a read beyond it.
    const std::vector<std::byte> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_NE(refuse_cubin(cut, {80, false}, "kernel"), std::nullopt) << size;
  }
}

TEST(CubinCheck, AnyFlippedBitOfTheHeadersIsJudgedWithoutACrash) {
  const std::vector<std::byte>& whole = cubin_for({80, false});
  const Elf64_Ehdr header = header_of(whole);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < sizeof header; ++i) places.push_back(i);
  for (std::size_t i = 0; i < header.e_shnum * sizeof(Elf64_Shdr); ++i) places.push_back(header.e_shoff + i);
  for (std::size_t i = 0; i < header.e_phnum * sizeof(Elf64_Phdr); ++i) places.push_back(header.e_phoff + i);
  int refused = 0;
  for (std::size_t place : places)
    for (int bit = 0; bit < 8; ++bit) {
      std::vector<std::byte> flipped = whole;
      flipped[place] ^= std::byte{1} << bit;
      refused += refuse_cubin(flipped, {80, false}, "kernel").has_value();
    }
  EXPECT_GT(refused, 100);
}

TEST(CubinCheck, OffsetsThatOverflowAreRefused) {
  const auto overflowing =
      changed(cubin_for({80, false}), [](Elf64_Ehdr& header) { header.e_shoff = ~std::uint64_t{0} - 8; });
  EXPECT_NE(refuse_cubin(overflowing, {80, false}, "kernel"), std::nullopt);
  const auto host = changed(cubin_for({80, false}), [](Elf64_Ehdr& header) { header.e_machine = EM_X86_64; });
  EXPECT_THAT(refuse_cubin(host, {80, false}, "kernel"), Optional(HasSubstr("machine 62")));
}

}  // namespace
}  // namespace flashmask
