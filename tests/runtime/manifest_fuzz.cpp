// libFuzzer: whatever the bytes, a manifest is read or refused with an Error that names it and is short; and what is
// read is written and read again as the same kernels. The input is tried as it is, and appended to a manifest that this
// library began, where tables may be cut short.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "flashmask/error.h"
#include "runtime/manifest/write_manifest.h"

namespace {

using namespace flashmask;

constexpr std::size_t kMostWritten = 2000;  // writing more takes longer than it tells
constexpr std::size_t kLongestMessage = 20'000;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(std::string_view text) {
  Manifest manifest;
  try {
    manifest = parse_manifest(text, "fuzzed");
  } catch (const Error& error) {
    require(error.code() == ErrorCode::kInvalidArgument);
    const std::string_view message = error.what();
    require(message.starts_with("fuzzed:") && message.size() < kLongestMessage);
    return;
  }
  if (manifest.requests.size() > kMostWritten) return;
  bool all_legal = true;
  for (const KernelRequest& request : manifest.requests) all_legal &= broken_rules(request.descriptor).empty();
  if (!all_legal) return;
  const Manifest again = parse_manifest(to_text(manifest.requests), "written");
  require(again.requests == manifest.requests && again.warnings.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check(text);
  check(manifest_head().append(text));
  return 0;
}
