// Writes what the fuzzers begin with: a folder per reader, from the project's own writers, so that the seeds are always
// of today's format.
//
//   write_fuzz_seeds FOLDER

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cache/entry.h"
#include "cache/pack_writer.h"
#include "flashmask/manifest.h"
#include "runtime/manifest/write_manifest.h"

namespace {

using namespace flashmask;

/// One folder of seeds, with numbers for names.
class Seeds {
 public:
  explicit Seeds(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::remove_all(folder_);  // of another version
    std::filesystem::create_directories(folder_);
  }
  void add(std::string_view text) {
    std::ofstream file(folder_ / std::to_string(count_++), std::ios::binary);
    file.write(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.flush()) throw std::runtime_error("cannot write into " + folder_.string());
  }

 private:
  std::filesystem::path folder_;
  std::size_t count_ = 0;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

constexpr std::size_t kChecksumBytes = 16;
constexpr std::size_t kPackHeadBytes = 64;

/// Entries of no, one and two sections.
std::vector<std::vector<std::byte>> entries() {
  using cache::digest_of;
  return {cache::encode({digest_of("x"), "t", "", {}}),
          cache::encode({digest_of("x"), "nvrtc-13.0.88", "{\"registers\": 168}", {{"cubin", bytes_of("ELF")}}}),
          cache::encode({digest_of("y"),
                         "nvrtc-12.9.41",
                         "schema 1\n",
                         {{"cubin", bytes_of("ELF")}, {"ptx", bytes_of(".version 8.8")}}})};
}

void write_entries(const std::filesystem::path& folder) {
  Seeds seeds(folder);
  for (const auto& entry : entries()) {
    const std::string text = text_of(entry);
    seeds.add(text);
    // The other forms that the fuzzer completes: without the checksum, and what follows the first lines.
    seeds.add(std::string_view(text).substr(0, text.size() - kChecksumBytes));
    seeds.add(std::string_view(text).substr(text.find("metadata ")));
    seeds.add(std::string_view(text).substr(text.find("metadata ") + std::strlen("metadata ")));
  }
}

std::string pack_of(std::size_t count, const std::filesystem::path& scratch) {
  std::map<std::string, cache::Entry> named;
  std::vector<cache::PackName> names;
  for (const auto& encoded : entries()) {
    if (names.size() == count) break;
    std::shared_ptr<std::byte[]> bytes(new std::byte[encoded.size()]);
    std::copy(encoded.begin(), encoded.end(), bytes.get());
    const auto entry = std::get<cache::Entry>(cache::decode(bytes, encoded.size()));
    names.push_back({entry.digest(), std::string(entry.toolchain_tag())});
    named.insert_or_assign(names.back().tag, entry);
  }
  cache::AtomicFile file(cache::FileSystem::real(), AT_FDCWD, scratch.string());
  cache::write_pack(file, names, [&](const cache::PackName& name) { return named.at(name.tag); });
  if (file.commit() != 0) throw std::runtime_error("cannot write " + scratch.string());
  const std::string text = content_of(scratch);
  std::filesystem::remove(scratch);
  return text;
}

void write_packs(const std::filesystem::path& folder) {
  Seeds seeds(folder);
  for (std::size_t count = 0; count <= 3; ++count) {
    const std::string pack = pack_of(count, folder / "pack");
    seeds.add(pack);
    // The records and what follows them, which the fuzzer puts behind a right head and seals.
    constexpr std::size_t kRecordBytes = 128;
    const std::size_t records_end = kPackHeadBytes + count * kRecordBytes;
    seeds.add(pack.substr(kPackHeadBytes, records_end - kPackHeadBytes) + pack.substr(records_end + kChecksumBytes));
  }
  for (const auto& entry : entries()) seeds.add(text_of(entry));
}

void write_manifests(const std::filesystem::path& folder) {
  Seeds seeds(folder);
  seeds.add("version = 1\n[[kernels]]\npass = \"forward\"\ndtype = \"bf16\"\nhead_dim = 64\n");
  seeds.add(
      "version = 1\ntargets = [\"sm_80\", \"sm_90a\"]\n[[kernels]]\npass = [\"forward\", \"backward\"]\n"
      "dtype = [\"fp16\", \"bf16\"]\nhead_dim = [64, [192, 128]]\nform = \"all\"\nalignment = \"top-left\"\n"
      "deterministic = [true, false]\n");
  seeds.add("version = 1\n[[kernels]]\npass = \"mask-plan\"\nform = [\"c1\", \"f4\"]\n");
  for (const char* example : {"default_matrix.toml", "embedded_pack/kernels.toml"}) {
    const std::string text = content_of(std::filesystem::path(FLASHMASK_EXAMPLES) / example);
    if (text.empty()) throw std::runtime_error(std::string("cannot read ") + example);
    seeds.add(text);
    // As the library writes it: one table per kernel.
    std::vector<KernelRequest> requests = parse_manifest(text, example).requests;
    requests.resize(std::min<std::size_t>(requests.size(), 3));
    seeds.add(to_text(requests));
    if (!requests.empty()) seeds.add(to_table(requests.front()));
  }
}

void write_tensor_files(const std::filesystem::path& folder) {
  Seeds seeds(folder);
  for (
      const std::string_view json : {
          R"({})",
          R"({"q":{"dtype":"F16","shape":[1,2,1,4],"data_offsets":[0,16]}})",
          R"({"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},)"
          R"("b":{"dtype":"I32","shape":[3],"data_offsets":[4,16]}})",
          R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"e":{"dtype":"U8","shape":[0],"data_offsets":[4,4]},)"
          R"("p":{"dtype":"F64","shape":[1,1],"data_offsets":[4,12]},"m":{"dtype":"BOOL","shape":[4],"data_offsets":[12,16]}}  )",
      }) {
    std::string file;
    for (int i = 0; i < 8; ++i) file += static_cast<char>(json.size() >> (8 * i) & 0xFF);
    file += json;
    if (json != "{}") file.append(16, '\x3c');
    seeds.add(file);
  }
}

void write_command_lines(const std::filesystem::path& folder) {
  Seeds seeds(folder);
  for (const char* words : {
           "",
           "--version",
           "run --help",
           "run in.safetensors -o out.safetensors --causal --verify",
           "run in.safetensors -o out.safetensors --causal --causal-alignment top-left --window 16,0 --scale 0.125 "
           "--device emulator --target sm_80 --tile 64,32 --seed 7 --schedule starved --no-races --no-skip --json",
           "run in.safetensors -o out.safetensors --backward --deterministic --config 64x64,w4,s1",
           "compile --pass forward --dtype bf16 --head-dim 192,128 --form c1 --target sm_90a",
           "compile kernels.toml --target sm_80 --target sm_120 -j 4 --json",
           "record -o kernels.toml -- python3 train.py --steps 10",
           "inspect --pass backward --dtype fp16 --head-dim 64 --form f4 --target sm_86 --ptx",
           "inspect --dtype bf16 --head-dim 128 --cfg -o graph.svg",
           "explain --dtype bf16 --head-dim 128 --form c1 --target sm_86 --json",
           "doctor --json",
           "cache list --json",
           "cache verify --rebuild",
           "cache gc --size 512M",
           "cache clear --yes",
           "cache extract 00ff cubin -o kernel.cubin",
           "cache export -o kernels.pack --target sm_90a --drop-ptx",
           "cache import kernels.pack --target sm_80",
           "mask list",
           "mask show causal-documents --param documents=3 --seqlen-q 96 --seqlen-k 128",
           "mask build sliding-window --param window=3 --seqlen-k 128 -o mask.safetensors",
           "emulate kernel.ptx --launch launch.json -o out.safetensors --entry k --seed 1 --schedule random --pedantic",
           "emulate kernel.ptx --launch launch.json --trace cta=0,0,0,warp=1,lanes=0xff --trace-lines 10 --stats",
           "emulate kernel.ptx --launch launch.json --repeat 3 --all-schedules --no-races",
           "emulate kernel.ptx --launch launch.json --explore 2 --json",
       }) {
    std::string line = words;
    std::replace(line.begin(), line.end(), ' ', '\n');
    seeds.add(line);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: write_fuzz_seeds FOLDER\n");
    return 2;
  }
  try {
    const std::filesystem::path folder = arguments[1];
    write_entries(folder / "entry");
    write_packs(folder / "pack");
    write_manifests(folder / "manifest");
    write_tensor_files(folder / "safetensors");
    write_command_lines(folder / "arguments");
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
  return 0;
}
