// Cubins, whole and damaged, by two readers: both list the same, or both refuse.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "flashmask/cubin_listing.h"
#include "runtime/compile/compiler.h"
#include "tools/llvm_cubin/llvm_cubin.h"

namespace flashmask {
namespace {

using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr const char* kText = R"(
__constant__ float table[16];
extern "C" __global__ void first(float* out, int n) {
  __shared__ float row[64];
  row[threadIdx.x] = table[n & 15];
  __syncthreads();
  out[threadIdx.x] = row[63 - threadIdx.x];
}
extern "C" __global__ void second(double* out) { out[threadIdx.x] = 1 / out[threadIdx.x]; })";

const std::vector<std::byte>& cubin_for(Target target) {
  static std::map<int, std::vector<std::byte>> made;
  std::vector<std::byte>& cubin = made[target.compute_capability];
  if (cubin.empty()) cubin = compile::Compiler(Policy::from_environment()).compile(kText, "first", target).cubin;
  return cubin;
}

constexpr Target kTargets[] = {{80, false}, {90, true}, {120, false}};

/// What the library's reader says: a listing, or why there is none.
struct Ours {
  std::optional<CubinListing> listing;
  std::string refusal;
};

Ours read_ours(std::span<const std::byte> cubin) {
  try {
    return {list_cubin(cubin), ""};
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

/// Reads by both. Returns whether they refused.
bool expect_agreement(std::span<const std::byte> bytes, const std::string& what) {
  // In a buffer of its own, so that a sanitizer sees a read beyond it.
  const std::vector<std::byte> cubin(bytes.begin(), bytes.end());
  const Ours ours = read_ours(cubin);
  const auto theirs = llvm_cubin::read(cubin);
  EXPECT_TRUE(theirs.has_value());
  EXPECT_EQ(ours.listing.has_value(), theirs->listing.has_value())
      << what << ": ours: " << ours.refusal << "; LLVM: " << theirs->refusal;
  if (ours.listing && theirs->listing) {
    EXPECT_THAT(differences(*ours.listing, *theirs->listing), IsEmpty()) << what;
    EXPECT_EQ(*ours.listing, *theirs->listing) << what;
  }
  return !ours.listing;
}

TEST(LlvmCubin, BothReadersListTheCubinsOfEveryTarget) {
  for (const Target target : kTargets) {
    EXPECT_FALSE(expect_agreement(cubin_for(target), to_string(target)));
    const auto reading = llvm_cubin::read(cubin_for(target));
    ASSERT_TRUE(reading && reading->listing) << to_string(target);
    EXPECT_THAT(reading->version, StartsWith("19."));
    EXPECT_EQ(reading->listing->sm, target.compute_capability);
    EXPECT_GT(reading->listing->symbols.size(), 5u);
    EXPECT_GE(reading->listing->notes.size(), 1u);
  }
}

TEST(LlvmCubin, BothRefuseEveryTruncation) {
  for (const Target target : kTargets) {
    const std::span<const std::byte> whole = cubin_for(target);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_TRUE(expect_agreement(whole.first(size), std::to_string(size))) << to_string(target) << ", " << size;
      if (HasFailure()) return;
    }
  }
}

TEST(LlvmCubin, BothJudgeAnyFlippedBitAlike) {
  for (const Target target : kTargets) {
    std::vector<std::byte> cubin = cubin_for(target);
    int refused = 0;
    for (std::size_t place = 0; place < cubin.size(); ++place) {
      for (int bit = 0; bit < 8; ++bit) {
        cubin[place] ^= std::byte{1} << bit;
        refused += expect_agreement(cubin, to_string(target) + ", byte " + std::to_string(place));
        cubin[place] ^= std::byte{1} << bit;
        if (HasFailure()) return;
      }
    }
    EXPECT_GT(refused, 500) << to_string(target);
  }
}

/// Numbers that sizes, offsets and counts break on, written over fields of the headers and tables, several at a time.
TEST(LlvmCubin, BothJudgeFieldsOfHostileNumbersAlike) {
  std::mt19937_64 random(17);
  for (const Target target : kTargets) {
    const std::vector<std::byte>& whole = cubin_for(target);
    Elf64_Ehdr header;
    std::memcpy(&header, whole.data(), sizeof header);
    int refused = 0, read = 0;
    for (int round = 0; round < 20000; ++round) {
      std::vector<std::byte> cubin = whole;
      for (std::uint64_t changes = 1 + random() % 3; changes > 0; --changes) {
        const std::uint64_t section = header.e_shoff + random() % header.e_shnum * sizeof(Elf64_Shdr);
        const std::uint64_t at = random() % 8 == 0 ? random() % sizeof header : section + random() % 16 * 4;
        const std::uint64_t values[] = {0,
                                        1,
                                        8,
                                        random() % 64,
                                        whole.size(),
                                        whole.size() - 1,
                                        random() % whole.size(),
                                        ~std::uint64_t{0},
                                        ~std::uint64_t{0} - random() % whole.size(),
                                        std::uint64_t{1} << 31};
        const std::uint64_t value = values[random() % std::size(values)];
        const std::size_t width = random() % 2 == 0 ? 4 : 8;
        if (at + width <= cubin.size()) std::memcpy(cubin.data() + at, &value, width);
      }
      (expect_agreement(cubin, to_string(target) + ", round " + std::to_string(round)) ? refused : read) += 1;
      if (HasFailure()) return;
    }
    EXPECT_GT(refused, 1000);
    EXPECT_GT(read, 1000);
  }
}

TEST(LlvmCubin, BothRefuseWhatIsNoCubin) {
  for (const std::string& text : {std::string(),
                                  std::string("\x7f"
                                              "ELF"),
                                  std::string("#!/bin/sh\n"), std::string(100, '\0')}) {
    EXPECT_TRUE(expect_agreement(std::as_bytes(std::span(text)), text));
  }
}

}  // namespace
}  // namespace flashmask
