// libFuzzer: whatever the bytes, the reader neither crashes nor reads outside them; and what it accepts has one
// encoding. The input is tried as it is, and behind right first lines with right length and checksum, which would
// otherwise keep the fuzzer out of the structure behind them.

#include <xxhash.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "cache/entry.h"

namespace {

using namespace flashmask::cache;

void check(const std::string& text) {
  auto bytes = std::make_shared<std::byte[]>(text.size());
  if (!text.empty()) std::memcpy(bytes.get(), text.data(), text.size());
  const auto decoded = decode(bytes, text.size());
  const Entry* entry = std::get_if<Entry>(&decoded);
  if (!entry) return;
  const auto again = encode({entry->digest(), entry->toolchain_tag(), entry->metadata(), entry->sections()});
  if (again.size() != text.size() || std::memcmp(again.data(), text.data(), text.size()) != 0) std::abort();
}

std::string sealed(std::string content) {
  char total[17];
  std::snprintf(total, sizeof total, "%016zx", content.size() + 16);
  constexpr std::size_t kTotalAt = sizeof "flashmask-entry 1 " - 1;
  if (content.size() >= kTotalAt + 16) content.replace(kTotalAt, 16, total);
  XXH128_canonical_t checksum;
  XXH128_canonicalFromHash(&checksum, XXH3_128bits(content.data(), content.size()));
  return content.append(reinterpret_cast<const char*>(checksum.digest), sizeof checksum.digest);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check(text);
  check(sealed(text));
  const std::string head =
      "flashmask-entry 1 0000000000000000\ndigest " + std::string(64, 'a') + "\ntoolchain t\nmetadata ";
  for (const std::string_view metadata : {"", "0000000000000000\n\n"}) {
    std::string content = head;
    content.append(metadata).append(text);
    check(sealed(content));
    content.resize((content.size() + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment);
    check(sealed(content));
  }
  return 0;
}
