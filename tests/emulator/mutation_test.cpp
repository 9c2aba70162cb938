#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "emulator/machine/machine.h"

namespace flashmask::emulator {
namespace {

/// The seeds of the fuzzer, in the order of their names.
std::vector<std::string> seeds() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(FLASHMASK_PTX_SEEDS)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const auto& path : paths) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    texts.push_back(text.str());
  }
  return texts;
}

/// Parses `text`; a refusal has to be one of syntax or support, with a place.
void expect_program_or_refusal(std::string_view text) {
  try {
    Program::parse(text);
  } catch (const Fault& fault) {
    const bool refused = fault.kind() == Fault::Kind::kSyntax || fault.kind() == Fault::Kind::kUnsupported;
    const bool placed = std::string_view(fault.what()).find(", column ") != std::string_view::npos;
    EXPECT_TRUE(refused && placed) << fault.what() << "\n--- of\n" << text;
  }
}

TEST(Mutation, EveryCutOfAModuleIsAProgramOrARefusal) {
  const std::vector<std::string> texts = seeds();
  ASSERT_GE(texts.size(), 6u);
  for (const std::string& text : texts) {
    for (std::size_t length = 0; length <= text.size(); ++length) {
      expect_program_or_refusal(std::string_view(text).substr(0, length));
    }
  }
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  /// Up to four changes: bytes or words deleted, repeated, exchanged or replaced.
  std::string mutated(std::string text, const std::string& donor) {
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(text, donor);
    return text;
  }

 private:
  struct Piece {
    std::size_t at;
    std::size_t length;
  };

  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  static bool is_word(char c) { return c == '_' || c == '%' || c == '$' || c == '.' || std::isalnum(c & 0x7f) != 0; }

  /// A word, a single byte, or a few bytes.
  Piece piece(const std::string& text) {
    const std::size_t at = below(text.size());
    if (below(3) == 0) return {at, std::min(text.size() - at, 1 + below(12))};
    std::size_t first = at;
    std::size_t last = at;
    while (first > 0 && is_word(text[first - 1])) --first;
    while (last < text.size() && is_word(text[last])) ++last;
    return {first, std::max<std::size_t>(last - first, 1)};
  }

  void change(std::string& text, const std::string& donor) {
    if (text.empty()) return;
    static constexpr std::array<std::string_view, 12> kWords = {
        "18446744073709551615", "-1", "0", "{", "}", "[", "%r1", ".b8", ".align", "\r\n", "\x80", "4294967296"};
    const Piece chosen = piece(text);
    const std::string copy = text.substr(chosen.at, chosen.length);
    const Piece other = piece(below(2) == 0 ? text : donor);
    switch (below(5)) {
      case 0:
        text.erase(chosen.at, chosen.length);
        break;
      case 1:
        for (std::size_t times = 1 + below(3); times > 0; --times) text.insert(chosen.at, copy);
        break;
      case 2:
        text.replace(chosen.at, chosen.length, donor, std::min(other.at, donor.size()), other.length);
        break;
      case 3:
        text.replace(chosen.at, chosen.length, kWords[below(kWords.size())]);
        break;
      default:
        text[chosen.at] = static_cast<char>(random_());
        break;
    }
  }

  std::mt19937_64 random_;
};

TEST(Mutation, EveryGarbledModuleIsAProgramOrARefusal) {
  const std::vector<std::string> texts = seeds();
  Mutator mutator(20240601);
  for (std::size_t round = 0; round < 6000; ++round) {
    const std::string& text = texts[round % texts.size()];
    const std::string& donor = texts[round / texts.size() % texts.size()];
    expect_program_or_refusal(mutator.mutated(text, donor));
  }
}

}  // namespace
}  // namespace flashmask::emulator
