#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace flashmask::emulator {

/// What one launch did. Counts are warp instructions unless said otherwise.
struct Statistics {
  std::uint64_t instructions = 0;
  /// By class: "mma", "ldmatrix", "ex2", "cp.async", "ld.global", "st.shared", "bar", "fp32", "int", "control", …
  std::map<std::string, std::uint64_t> by_class;
  std::uint64_t global_bytes_read = 0;
  std::uint64_t global_bytes_written = 0;
  std::uint64_t shared_bytes_read = 0;
  std::uint64_t shared_bytes_written = 0;
  /// Extra passes over shared memory beyond the fewest that the access needs (32 banks of 4 bytes, 128-bit accesses in
  /// quarter warps, 64-bit in half warps, ldmatrix and cp.async per group of eight 16-byte rows).
  std::uint64_t shared_bank_conflicts = 0;
  /// Matrix products that were issued while a copy to the shared memory of their warp's CTA was under way (cp.async,
  /// bulk and tensor copies; these until the warp knows of their landing by a wait), and those issued while none was.
  /// One wgmma is four products: each warp has its part.
  std::uint64_t mma_with_copy_in_flight = 0;
  std::uint64_t mma_without_copy_in_flight = 0;
  std::uint64_t ctas = 0;
  std::uint64_t barriers = 0;

  Statistics& operator+=(const Statistics& other);
};

}  // namespace flashmask::emulator
