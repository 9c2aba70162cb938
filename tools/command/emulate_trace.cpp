#include "tools/command/emulate_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "flashmask/error.h"

namespace flashmask::command {
namespace {

/// A whole number, hexadecimal behind 0x.
std::optional<std::uint32_t> parse_word(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(", "), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

/// A line of PTX without the blanks around it, and with blanks for its tabs.
std::string tidy(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  std::string line(text.substr(first, text.find_last_not_of(" \t\r") + 1 - first));
  std::replace(line.begin(), line.end(), '\t', ' ');
  return line;
}

}  // namespace

TraceChoice parse_trace(const std::string& text) {
  const auto refuse = [&] {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--trace {}: cta=X,Y,Z,warp=W is needed, and lanes=MASK may follow, such as "
                            "cta=0,0,0,warp=1,lanes=0xff",
                            text));
  };
  TraceChoice choice;
  const std::vector<std::string_view> words = split(text);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::size_t equals = std::min(words[i].find('='), words[i].size());
    const std::string_view key = words[i].substr(0, equals);
    const std::size_t count = key == "cta" ? 3 : 1;
    std::array<std::uint32_t, 3> values{};
    for (std::size_t j = 0; j < count; ++j) {
      const std::string_view word = j == 0                 ? words[i].substr(std::min(equals + 1, words[i].size()))
                                    : i + 1 < words.size() ? words[++i]
                                                           : std::string_view();
      const std::optional<std::uint32_t> value = parse_word(word);
      if (!value) refuse();
      values[j] = *value;
    }
    if (key == "cta") {
      choice.cta = values;
    } else if (key == "warp") {
      choice.warp = values[0];
    } else if (key == "lanes" && values[0] != 0) {
      choice.lanes = values[0];
    } else {
      refuse();
    }
  }
  if (words.empty()) refuse();
  return choice;
}

void Tracer::operator()(const emulator::TraceStep& step) {
  if (silent_ || step.warp != choice_.warp || (step.lanes & choice_.lanes) == 0) return;
  if (!std::equal(choice_.cta.begin(), choice_.cta.end(), step.cta)) return;
  if (left_ == 0) {
    silent_ = true;
    print_("trace     … and more; --trace-lines N prints N of them");
    return;
  }
  --left_;
  print_(fmt::format("trace     line {:>5}  {:08x}  {}", step.line, step.lanes, tidy(step.text)));
}

}  // namespace flashmask::command
