#pragma once

#include <cstdint>
#include <cstring>

namespace flashmask::emulator {

/// Every byte of global, shared and local memory has a shadow byte of flags. Who accessed it last is in the RaceShadow.
enum ShadowFlag : std::uint8_t {
  kWritten = 1,           ///< somebody wrote the byte
  kPendingWrite = 2,      ///< an asynchronous copy that nobody waited for yet will write it
  kObject = 4,            ///< part of an mbarrier, which ordinary accesses may not touch
  kPendingReduction = 8,  ///< an asynchronous reduction in flight will change it; other reductions and atomics may too
};
constexpr std::uint8_t kOwnedFlags = kPendingWrite | kObject | kPendingReduction;

/// Eight copies of a flag.
constexpr std::uint64_t spread(std::uint8_t flag) {
  return 0x0101010101010101ull * flag;
}

/// True when every byte is written and none is owned. `bytes` is 1, 2, 4 or a multiple of 8.
inline bool all_readable(const std::uint8_t* shadow, std::uint32_t bytes) {
  constexpr std::uint64_t kFlags = spread(kWritten | kOwnedFlags);
  std::uint64_t wrong = 0;
  std::uint64_t flags = 0;
  if (bytes < 8) {
    flags = spread(kWritten);
    std::memcpy(&flags, shadow, bytes == 4 ? 4 : bytes == 2 ? 2 : 1);
    return (flags & kFlags) == spread(kWritten);
  }
  for (std::uint32_t i = 0; i < bytes; i += 8) {
    std::memcpy(&flags, shadow + i, 8);
    wrong |= (flags & kFlags) ^ spread(kWritten);
  }
  return wrong == 0;
}

/// True when nothing owns any of the bytes.
inline bool none_owned(const std::uint8_t* shadow, std::uint32_t bytes) {
  std::uint64_t seen = 0;
  std::uint64_t flags = 0;
  if (bytes < 8) {
    std::memcpy(&flags, shadow, bytes == 4 ? 4 : bytes == 2 ? 2 : 1);
    return (flags & spread(kOwnedFlags)) == 0;
  }
  for (std::uint32_t i = 0; i < bytes; i += 8) {
    std::memcpy(&flags, shadow + i, 8);
    seen |= flags;
  }
  return (seen & spread(kOwnedFlags)) == 0;
}

}  // namespace flashmask::emulator
