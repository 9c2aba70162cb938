#include "runtime/compile/ptxas_log.h"

#include <cctype>
#include <charconv>
#include <optional>

namespace flashmask::compile {
namespace {

/// The number before `words`, as in "1672 bytes stack frame".
std::optional<int> number_before(std::string_view line, std::string_view words) {
  const std::size_t place = line.find(words);
  if (place == std::string_view::npos || place == 0) return std::nullopt;
  std::size_t end = place;
  while (end > 0 && line[end - 1] == ' ') --end;
  std::size_t begin = end;
  while (begin > 0 && std::isdigit(static_cast<unsigned char>(line[begin - 1]))) --begin;
  int value = 0;
  const auto [stop, error] = std::from_chars(line.data() + begin, line.data() + end, value);
  if (begin == end || error != std::errc{} || stop != line.data() + end) return std::nullopt;
  return value;
}

/// The text between the quotes after `words`, as in "Compiling entry function 'f' for 'sm_80'".
std::string_view quoted_after(std::string_view line, std::string_view words) {
  const std::size_t place = line.find(words);
  if (place == std::string_view::npos) return {};
  const std::size_t open = line.find('\'', place + words.size());
  if (open == std::string_view::npos) return {};
  const std::size_t close = line.find('\'', open + 1);
  return close == std::string_view::npos ? std::string_view{} : line.substr(open + 1, close - open - 1);
}

bool has_remark_number(std::string_view line) {
  const std::size_t place = line.find("(C7");
  return place != std::string_view::npos && place + 3 < line.size() &&
         std::isdigit(static_cast<unsigned char>(line[place + 3]));
}

}  // namespace

PtxasReport parse_ptxas_log(std::string_view log, std::string_view entry) {
  PtxasReport report;
  // ptxas announces an entry, then its frame and its registers; another entry or a device function ends the section.
  bool in_entry = false;
  bool in_properties = false;
  while (!log.empty()) {
    const std::size_t end = log.find('\n');
    std::string_view line = log.substr(0, end);
    log.remove_prefix(end == std::string_view::npos ? log.size() : end + 1);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ' || line.back() == '\0')) line.remove_suffix(1);
    if (line.empty() || line.find("Compile time =") != std::string_view::npos) continue;
    report.text.append(line).push_back('\n');

    if (line.find("warning") != std::string_view::npos || has_remark_number(line)) report.warnings.emplace_back(line);
    if (line.find("Compiling entry function") != std::string_view::npos) {
      in_entry = quoted_after(line, "Compiling entry function") == entry;
      in_properties = in_entry;
      report.found = report.found || in_entry;
      continue;
    }
    if (const std::size_t place = line.find("Function properties for "); place != std::string_view::npos) {
      in_properties = in_entry && line.substr(place + std::string_view("Function properties for ").size()) == entry;
      continue;
    }
    if (!in_entry) continue;
    KernelResources& resources = report.resources;
    if (in_properties) {
      if (auto bytes = number_before(line, "bytes stack frame")) resources.stack_bytes = *bytes;
      if (auto bytes = number_before(line, "bytes spill stores")) resources.spill_store_bytes = *bytes;
      if (auto bytes = number_before(line, "bytes spill loads")) resources.spill_load_bytes = *bytes;
    }
    if (auto count = number_before(line, "registers"); count && line.find("Used ") != std::string_view::npos) {
      resources.registers = *count;
      if (auto bytes = number_before(line, "bytes smem")) resources.static_shared_bytes = *bytes;
    }
  }
  return report;
}

}  // namespace flashmask::compile
