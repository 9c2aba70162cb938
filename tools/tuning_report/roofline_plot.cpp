#include "tools/tuning_report/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/tuning_report/figures.h"
#include "tools/tuning_report/plots.h"

namespace flashmask::tuning_report {
namespace {

// Lengths in pixels.
constexpr double kWidth = 580, kLeft = 50, kRight = 16, kTop = 18, kBottom = 268, kHeight = 302;

struct Point {
  const RankedTrial* trial;
  double intensity;  ///< FLOP per byte
  double tflops;
};

std::vector<Point> points_of(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  std::vector<Point> points;
  const double flops = flops_of(problem.key.descriptor, *problem.visible_scores);
  for (const RankedTrial& trial : ranked) {
    const double seconds = trial.fine_seconds > 0 ? trial.fine_seconds : trial.trial.coarse_seconds;
    const double intensity = flops_per_byte(problem.key.descriptor, trial.trial.config);
    if (trial.was_timed() && is_time(seconds) && is_time(intensity))
      points.push_back({&trial, intensity, flops / seconds / 1e12});
  }
  // The winner and the default lie on top.
  std::ranges::stable_sort(
      points, {}, [](const Point& point) { return 2 * int{point.trial->is_winner} + int{point.trial->is_default}; });
  return points;
}

/// Beside each other, by their place among those of the same intensity: most tiles share a few.
std::vector<double> offsets_of(const std::vector<Point>& points) {
  constexpr double kApart = 3, kWidest = 70;
  std::vector<double> offsets;
  for (const Point& point : points) {
    double faster = 0, all = 0;
    for (const Point& other : points) {
      if (other.intensity != point.intensity) continue;
      faster += other.tflops > point.tflops;
      ++all;
    }
    const double width = std::min(kApart * (all - 1), kWidest);
    offsets.push_back(all > 1 ? width * (faster / (all - 1) - 0.5) : 0);
  }
  return offsets;
}

int clock_of(const ReportProblem& problem) {
  return problem.record ? problem.record->provenance.sm_clock_mhz : 0;
}

/// Where points lie whose tiles bring in that many terabytes in a second: a memory roof, for whoever knows the rate of
/// the L2.
std::string traffic_curves(const Scale& x, const Scale& y) {
  constexpr int kPieces = 48;
  std::string body;
  for (const double terabytes : {0.5, 1.0, 2.0, 4.0, 8.0}) {
    std::vector<std::pair<double, double>> points;
    for (int i = 0; i <= kPieces; ++i) {
      const double power = x.low() + (x.high() - x.low()) * i / kPieces;
      const double tflops = std::exp2(power) * terabytes;
      if (tflops <= y.high()) points.emplace_back(x(power), y(tflops));
    }
    if (points.size() < 4) continue;
    body += polyline(points, "guide");
    body += label(points.back().first - 5, points.back().second + 3, fmt::format("{:g} TB/s", terabytes), "faint small",
                  "end");
  }
  return body;
}

}  // namespace

std::optional<Plot> roofline_plot(const ReportProblem& problem, const std::vector<RankedTrial>& ranked) {
  if (!problem.visible_scores || !is_time(*problem.visible_scores)) return std::nullopt;
  const std::vector<Point> points = points_of(problem, ranked);
  if (points.empty()) return std::nullopt;
  const auto ceiling = arithmetic_ceiling(problem.key.gpu, clock_of(problem));

  double x_low = 1e9, x_high = -1e9, most = 0;
  for (const Point& point : points) {
    x_low = std::min(x_low, std::floor(std::log2(point.intensity)));
    x_high = std::max(x_high, std::ceil(std::log2(point.intensity)));
    most = std::max(most, point.tflops);
  }
  const double y_high = (ceiling ? std::max(*ceiling / 1e12, most) : most) * 1.08;
  x_low -= 0.5;
  x_high += 0.5;
  const Scale x(x_low, x_high, kLeft, kWidth - kRight), y(0, y_high, kBottom, kTop);

  Plot plot{kWidth, kHeight, "Roofline: TFLOP/s by visible scores", ""};
  for (const double value : ticks(0, y_high, 6)) {
    plot.body += line(kLeft, y(value), kWidth - kRight, y(value), "grid");
    plot.body += label(kLeft - 8, y(value) + 4, tick_text(value), "faint", "end");
  }
  for (double power = std::ceil(x_low); power <= x_high; ++power) {
    plot.body += line(x(power), kBottom, x(power), kBottom + 4, "axis");
    plot.body += label(x(power), kBottom + 16, tick_text(std::exp2(power)), "faint", "middle");
  }
  plot.body += line(kLeft, kBottom, kWidth - kRight, kBottom, "axis");
  plot.body += label(kLeft, kTop - 6, "TFLOP/s", "faint");
  plot.body +=
      label(kWidth - kRight, kBottom + 31, "FLOP for each byte that a full tile brings into its SM", "faint", "end");
  if (ceiling) {
    const double at = *ceiling / 1e12;
    plot.body += line(kLeft, y(at), kWidth - kRight, y(at), "roof");
    plot.body += label(kLeft + 6, y(at) + 14,
                       fmt::format("matrix units: {:.0f} TFLOP/s ({} SMs at {} MHz)", at,
                                   problem.key.gpu.multiprocessors, clock_of(problem)),
                       "strong");
  }
  plot.body += traffic_curves(x, y);
  const std::vector<double> offsets = offsets_of(points);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Point& point = points[i];
    const std::string share =
        ceiling ? fmt::format(", {} of the ceiling", percent_text(point.tflops * 1e12 / *ceiling)) : "";
    const bool stands_out = point.trial->is_winner || point.trial->is_default;
    plot.body += circle(x(std::log2(point.intensity)) + offsets[i], y(point.tflops), stands_out ? 5.5 : 3.5,
                        std::string("dot") + mark_of(*point.trial),
                        fmt::format("{}\n{:.1f} TFLOP/s{}", tip_of(*point.trial), point.tflops, share));
  }
  return plot;
}

}  // namespace flashmask::tuning_report
