#include "runtime/manifest/torn_blocks.h"

#include <algorithm>

namespace flashmask {
namespace {

constexpr std::string_view kBlockLine = "[[kernels]]";

/// Lines that belong together, as a range of the text.
struct Block {
  std::size_t begin = 0;
  std::size_t end = 0;
  LineRange lines;
};

std::vector<Block> blocks_of(std::string_view text) {
  std::vector<Block> blocks;
  bool continues = false;
  int number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    ++number;
    if (line.empty()) {
      continues = false;
    } else if (continues && line != kBlockLine) {
      blocks.back().end = end;
      blocks.back().lines.last = number;
    } else {
      blocks.push_back({begin, end, {number, number}});
      continues = true;
    }
    begin = end + 1;
  }
  return blocks;
}

}  // namespace

MendedText without_torn_blocks(std::string_view text, const std::function<bool(std::string_view block)>& whole) {
  MendedText mended{std::string(text), {}};
  if (!text.starts_with(kAppendableMark)) return mended;
  const std::vector<Block> blocks = blocks_of(text);
  for (std::size_t i = 1; i < blocks.size(); ++i) {  // the first one is the head, with the version
    const Block& block = blocks[i];
    if (whole(text.substr(block.begin, block.end - block.begin))) continue;
    std::replace_if(
        mended.text.begin() + static_cast<std::ptrdiff_t>(block.begin),
        mended.text.begin() + static_cast<std::ptrdiff_t>(block.end), [](char character) { return character != '\n'; },
        ' ');
    mended.torn.push_back(block.lines);
  }
  return mended;
}

}  // namespace flashmask
