#include "tools/command/terminal_width.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace flashmask::command {
namespace {

constexpr int kDefaultWidth = 80;
constexpr int kWidest = 1000;

bool is_width(int columns) {
  return columns >= 1 && columns <= kWidest;
}

}  // namespace

int terminal_width() {
  if (const char* variable = std::getenv("COLUMNS")) {
    const std::string_view text = variable;
    int columns = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), columns);
    if (error == std::errc{} && end == text.data() + text.size() && is_width(columns)) return columns;
  }
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && is_width(size.ws_col)) return size.ws_col;
  return kDefaultWidth;
}

}  // namespace flashmask::command
