#include "tools/tuning_report/figures.h"

#include <fmt/format.h>

#include <cmath>

namespace flashmask::tuning_report {
namespace {

/// Four digits, and as many behind the point as that leaves.
std::string four_digits(double value) {
  return fmt::format("{:.{}f}", value, value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3);
}

}  // namespace

bool is_time(double seconds) {
  return std::isfinite(seconds) && seconds > 0;
}

std::string time_text(double seconds) {
  if (!is_time(seconds)) return "-";
  if (seconds < 1e-3) return four_digits(seconds * 1e6) + " µs";
  if (seconds < 1) return four_digits(seconds * 1e3) + " ms";
  return four_digits(seconds) + " s";
}

std::string speedup_text(double speedup) {
  return std::isfinite(speedup) ? fmt::format("{:.3f}×", speedup) : "-";
}

std::string percent_text(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f} %", share * 100) : "-";
}

std::string bytes_text(double bytes) {
  if (!std::isfinite(bytes)) return "-";
  if (bytes < 1024) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1 << 20) return fmt::format("{:.1f} KiB", bytes / 1024);
  return fmt::format("{:.1f} MiB", bytes / (1 << 20));
}

std::string count_text(double count, const std::string& singular, const std::string& plural) {
  return fmt::format("{:.0f} {}", count, count == 1 ? singular : plural);
}

}  // namespace flashmask::tuning_report
