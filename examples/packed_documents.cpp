// Writes a batch of packed documents as a safetensors file, the usual input of training without padding: each row of
// the batch holds documents of random lengths end to end, and a token sees the tokens of its own document up to itself.
//
//   packed_documents OUT.safetensors [--batch 1] [--tokens 1024] [--heads 4] [--kv-heads 2] [--head-dim 128]
//                    [--documents 6] [--seed 1]
//   flashmask run OUT.safetensors -o result.safetensors --causal --verify
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashmask/error.h"
#include "flashmask/reference.h"
#include "tools/safetensors/writer.h"

namespace {

using Options = std::map<std::string, int, std::less<>>;

constexpr std::string_view kUsage =
    "usage: packed_documents OUT.safetensors [--batch N] [--tokens N] [--heads N] [--kv-heads N] [--head-dim N]\n"
    "                        [--documents N] [--seed N]\n";

/// Fills `options` from "--name number" pairs; false for anything else.
bool parse(std::span<char*> arguments, Options& options) {
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const std::string_view name = arguments[i];
    const auto option = options.find(name.substr(std::min<std::size_t>(2, name.size())));
    if (!name.starts_with("--") || option == options.end()) return false;
    option->second = std::atoi(arguments[i + 1]);
    if (option->second < 1) return false;
  }
  return arguments.size() % 2 == 0;
}

std::vector<std::uint16_t> normal_values(std::size_t size, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  std::vector<std::uint16_t> values(size);
  for (auto& value : values) value = flashmask::reference::from_float(normal(random), flashmask::DataType::kBfloat16);
  return values;
}

/// Where each of `documents` documents of at least one token ends; the last ends at `tokens`.
std::set<int> document_ends(int documents, int tokens, std::mt19937_64& random) {
  std::uniform_int_distribution<int> position(1, tokens);
  std::set<int> ends = {tokens};
  while (static_cast<int>(ends.size()) < std::min(documents, tokens)) ends.insert(position(random));
  return ends;
}

void write(const std::string& path, const Options& options) {
  const auto extent = [&](std::string_view name) { return static_cast<std::uint64_t>(options.find(name)->second); };
  const auto batch = extent("batch"), tokens = extent("tokens"), heads = extent("heads"), kv_heads = extent("kv-heads"),
             head_dim = extent("head-dim");
  std::mt19937_64 random(extent("seed"));
  const auto query = normal_values(batch * tokens * heads * head_dim, random);
  const auto key = normal_values(batch * tokens * kv_heads * head_dim, random);
  const auto value = normal_values(batch * tokens * kv_heads * head_dim, random);

  // One value per key, form C1: the first query row that no longer sees it, the end of its document.
  std::vector<std::int32_t> visible_until;
  for (std::uint64_t row = 0; row < batch; ++row) {
    int start = 0;
    std::printf("row %d of the batch: documents of", static_cast<int>(row));
    for (const int end : document_ends(options.find("documents")->second, static_cast<int>(tokens), random)) {
      visible_until.insert(visible_until.end(), end - start, end);
      std::printf(" %d", end - start);
      start = end;
    }
    std::printf(" tokens\n");
  }

  using flashmask::safetensors::ElementType;
  flashmask::safetensors::Writer writer;
  writer.add("q", ElementType::kBF16, {batch, tokens, heads, head_dim}, std::as_bytes(std::span(query)));
  writer.add("k", ElementType::kBF16, {batch, tokens, kv_heads, head_dim}, std::as_bytes(std::span(key)));
  writer.add("v", ElementType::kBF16, {batch, tokens, kv_heads, head_dim}, std::as_bytes(std::span(value)));
  writer.add("startend_row_indices", ElementType::kI32, {batch, 1, tokens, 1}, std::as_bytes(std::span(visible_until)));
  writer.save(path);
  std::printf("%s: bf16 q [%d, %d, %d, %d], k and v with %d heads\n", path.c_str(), static_cast<int>(batch),
              static_cast<int>(tokens), static_cast<int>(heads), static_cast<int>(head_dim),
              static_cast<int>(kv_heads));
}

}  // namespace

int main(int argc, char** argv) {
  Options options = {{"batch", 1},      {"tokens", 1024}, {"heads", 4}, {"kv-heads", 2},
                     {"head-dim", 128}, {"documents", 6}, {"seed", 1}};
  if (argc < 2 || argv[1][0] == '-' || !parse(std::span(argv + 2, argv + argc), options)) {
    std::fputs(kUsage.data(), stderr);
    return 2;
  }
  try {
    write(argv[1], options);
    return 0;
  } catch (const flashmask::Error& error) {
    std::fprintf(stderr, "packed_documents: %s\n%s\n", error.what(), error.hint().c_str());
    return 1;
  }
}
