// What the cache costs on the way of a request: the digest of a kernel's text, a hit on disk, a hit in a pack, a
// publication.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cache/digest.h"
#include "cache/entry.h"
#include "cache/pack.h"
#include "cache/pack_writer.h"
#include "cache/store.h"

namespace flashmask::cache {
namespace {

constexpr std::size_t kTextBytes = 50'000;   // the emitted text of a forward kernel
constexpr std::size_t kCubinBytes = 60'000;  // cubin and PTX together make an entry of 150 KB
constexpr std::size_t kPtxBytes = 90'000;
constexpr std::size_t kRotating = 64;  // entries on disk that are looked up in turn

std::string random_text(std::size_t size) {
  std::mt19937_64 random(1);
  std::string text(size, ' ');
  for (char& c : text) c = static_cast<char>(' ' + random() % 95);
  return text;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// A directory of its own, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "flashmask-bench-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Digest request_digest(const std::string& text) {
  return DigestBuilder().add_number(1).add(text).add("--std=c++20").add("sm_90a").add("flashmask_forward").finish();
}

void digest_of_text(benchmark::State& state) {
  const std::string text = random_text(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(request_digest(text));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(digest_of_text)->Arg(64)->Arg(kTextBytes)->Unit(benchmark::kMicrosecond);

/// Texts of different kernels, one at a time in the same memory: a request has just generated its text, so the text is
/// near at hand, while the entry may have been used long ago.
class KernelTexts {
 public:
  /// That of kernel `number`, until the next call.
  const std::string& text(std::size_t number) {
    text_.replace(kTextBytes, std::string::npos, std::to_string(number));
    return text_;
  }

 private:
  std::string text_ = random_text(kTextBytes);
};

/// Files that only have to be there when the directory is listed.
void stand_in_listing(const std::string& directory, std::int64_t first, std::int64_t end) {
  for (std::int64_t i = first; i < end; ++i) {
    const std::string path = directory + "/" + Store::entry_path(digest_of(std::to_string(i)), "nvrtc-13.0.88");
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::filesystem::permissions(std::filesystem::path(path).parent_path(), std::filesystem::perms::owner_all);
    fclose(fopen(path.c_str(), "w"));
  }
}

/// The digest of the text, the file found and read, its checksum verified: to bytes that a device can load.
/// The argument is how many entries the directory holds; the entries looked up rotate over kRotating of them.
void disk_hit(benchmark::State& state, const TagPolicy& policy) {
  const TemporaryDirectory directory;
  Store store({.directory = directory.path()});
  const std::string cubin = random_text(kCubinBytes), ptx = random_text(kPtxBytes);
  KernelTexts texts;
  for (std::size_t i = 0; i < kRotating; ++i)
    store.publish({request_digest(texts.text(i)),
                   "nvrtc-13.0.88",
                   "{\"registers\": 168}",
                   {{"cubin", bytes_of(cubin)}, {"ptx", bytes_of(ptx)}}});
  stand_in_listing(directory.path(), kRotating, state.range(0));
  std::size_t next = 0;
  for (auto _ : state) {
    const LookupResult found = store.lookup(request_digest(texts.text(next++ % kRotating)), policy);
    if (!found) state.SkipWithError("missed");
    benchmark::DoNotOptimize(found.entry->section("cubin")->data());
  }
}
BENCHMARK_CAPTURE(disk_hit, any_toolchain, TagPolicy::any())->Arg(64)->Arg(10'000)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(disk_hit, exact_toolchain, TagPolicy::exact("nvrtc-13.0.88"))
    ->Arg(64)
    ->Arg(10'000)
    ->Unit(benchmark::kMicrosecond);

/// The same from a mapped pack; the argument is how many entries it holds, over all of which the lookups rotate.
void pack_hit(benchmark::State& state) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/kernels.pack";
  const std::string cubin = random_text(kCubinBytes), ptx = random_text(kPtxBytes);
  const auto entries = static_cast<std::size_t>(state.range(0));
  KernelTexts texts;
  std::vector<PackName> names;
  for (std::size_t i = 0; i < entries; ++i) names.push_back({request_digest(texts.text(i)), "nvrtc-13.0.88"});
  const EntrySource source = [&](const PackName& name) {
    const std::vector<std::byte> encoded =
        encode({name.digest, name.tag, "{\"registers\": 168}", {{"cubin", bytes_of(cubin)}, {"ptx", bytes_of(ptx)}}});
    const std::shared_ptr<std::byte[]> shared(new std::byte[encoded.size()]);
    std::ranges::copy(encoded, shared.get());
    return std::get<Entry>(decode(shared, encoded.size()));
  };
  {
    AtomicFile file(FileSystem::real(), AT_FDCWD, path);
    write_pack(file, names, source);
    if (file.commit() != 0) return state.SkipWithError("not written");
  }
  const Pack::Opening opening = Pack::open(path);
  if (!opening.pack) return state.SkipWithError(opening.refusal.c_str());
  std::size_t next = 0;
  for (auto _ : state) {
    const LookupResult found = opening.pack->lookup(request_digest(texts.text(next++ % entries)), TagPolicy::any());
    if (!found) state.SkipWithError("missed");
    benchmark::DoNotOptimize(found.entry->section("cubin")->data());
  }
}
BENCHMARK(pack_hit)->Arg(64)->Arg(1000)->Unit(benchmark::kMicrosecond);

void decode_entry(benchmark::State& state) {
  const std::string cubin = random_text(kCubinBytes), ptx = random_text(kPtxBytes);
  const std::vector<std::byte> encoded =
      encode({digest_of("x"), "t", "", {{"cubin", bytes_of(cubin)}, {"ptx", bytes_of(ptx)}}});
  const std::shared_ptr<const std::byte[]> shared(encoded.data(), [](const std::byte*) {});
  for (auto _ : state) benchmark::DoNotOptimize(decode(shared, encoded.size()));
}
BENCHMARK(decode_entry)->Unit(benchmark::kMicrosecond);

/// A publication into a directory that holds as many entries as the argument says; with a limit, their sizes are added
/// up each time.
void publish(benchmark::State& state, std::optional<std::uint64_t> limit) {
  const TemporaryDirectory directory;
  Store store({.directory = directory.path(), .byte_limit = limit});
  const std::string cubin = random_text(kCubinBytes), ptx = random_text(kPtxBytes);
  const Digest digest = digest_of("x");
  stand_in_listing(directory.path(), 0, state.range(0));
  for (auto _ : state)
    if (!store.publish({digest, "nvrtc-13.0.88", "{}", {{"cubin", bytes_of(cubin)}, {"ptx", bytes_of(ptx)}}}))
      state.SkipWithError("not stored");
}
BENCHMARK_CAPTURE(publish, without_limit, std::nullopt)->Arg(64)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(publish, with_limit, std::uint64_t{2} << 30)->Arg(64)->Arg(10'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace flashmask::cache
