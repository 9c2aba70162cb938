#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flashmask::tuning_report {

/// A picture: elements of SVG with the classes of plot_style().
struct Plot {
  double width = 0;
  double height = 0;
  std::string title;      ///< plain text, as is the subject
  std::string body;       ///< elements
  std::string subject{};  ///< of a file of its own: what the picture is of
};

/// As part of a page that has plot_style().
std::string inline_svg(const Plot& plot);
/// As a file of its own, title and style included.
std::string standalone_svg(const Plot& plot);
/// The style of all plots, light and dark.
std::string_view plot_style();

/// Values to pixels along an axis. A span of nothing, or of what is no number, maps to the middle.
class Scale {
 public:
  Scale(double low, double high, double from, double to) : low_(low), high_(high), from_(from), to_(to) {}
  double operator()(double value) const;  ///< held inside of the axis
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  double low_, high_, from_, to_;
};

/// About `most` round values from low to high.
std::vector<double> ticks(double low, double high, int most);
/// The value of a tick as short as it can be: "1.05".
std::string tick_text(double value);

// Elements. `tip`, plain text, appears when the element is pointed at; empty: none.
std::string rect(double x, double y, double width, double height, std::string_view css_class, std::string_view tip = "",
                 double radius = 0);
std::string line(double x1, double y1, double x2, double y2, std::string_view css_class);
std::string polyline(const std::vector<std::pair<double, double>>& points, std::string_view css_class);
std::string circle(double x, double y, double radius, std::string_view css_class, std::string_view tip = "");
/// `anchor`: "start", "middle" or "end".
std::string label(double x, double y, std::string_view text, std::string_view css_class = "",
                  std::string_view anchor = "start");

}  // namespace flashmask::tuning_report
