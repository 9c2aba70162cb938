#include "tools/tuning_report/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tools/draw/xml.h"
#include "tools/tuning_report/markup.h"

namespace flashmask::tuning_report {
namespace {

using draw::xml_number;

std::string tip_element(std::string_view tip) {
  return tip.empty() ? "" : fmt::format("<title>{}</title>", escaped(tip));
}

}  // namespace

std::string inline_svg(const Plot& plot) {
  return fmt::format(
      "<svg class=\"plot\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
      "aria-label=\"{2}\">\n{3}</svg>\n",
      xml_number(plot.width), xml_number(plot.height), escaped(plot.title), plot.body);
}

std::string standalone_svg(const Plot& plot) {
  constexpr double kMargin = 14, kHead = 46;
  const double width = plot.width + 2 * kMargin, height = plot.height + kHead + 2 * kMargin;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\">\n"
      "<title>{2}</title>\n<style>{3}</style>\n<rect class=\"paper\" width=\"{0}\" height=\"{1}\"/>\n",
      xml_number(width), xml_number(height), escaped(plot.title + ": " + plot.subject), plot_style());
  svg += label(kMargin, kMargin + 10, plot.title, "head") + label(kMargin, kMargin + 27, plot.subject, "faint");
  return svg + fmt::format("<g transform=\"translate({} {})\">\n{}</g>\n</svg>\n", kMargin, kMargin + kHead, plot.body);
}

double Scale::operator()(double value) const {
  const double share = (value - low_) / (high_ - low_);
  return std::isfinite(share) ? from_ + (to_ - from_) * std::clamp(share, 0.0, 1.0) : (from_ + to_) / 2;
}

std::vector<double> ticks(double low, double high, int most) {
  if (!std::isfinite(low) || !std::isfinite(high) || !(high > low)) return {low};
  const double rough = (high - low) / most, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.5, 2.0, 1.0})
    if (factor * power >= rough * 0.999) step = factor * power;
  std::vector<double> values;
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; i <= 2 * most && (first + i) * step <= high + step * 1e-9; ++i) values.push_back((first + i) * step);
  return values;
}

std::string tick_text(double value) {
  return fmt::format("{:.6g}", std::abs(value) < 1e-12 ? 0.0 : value);
}

std::string rect(double x, double y, double width, double height, std::string_view css_class, std::string_view tip,
                 double radius) {
  return fmt::format("<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{}{}\n", css_class, xml_number(x),
                     xml_number(y), xml_number(std::max(width, 0.0)), xml_number(std::max(height, 0.0)),
                     radius > 0 ? fmt::format(" rx=\"{}\"", xml_number(radius)) : "",
                     tip.empty() ? "/>" : fmt::format(">{}</rect>", tip_element(tip)));
}

std::string line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  return fmt::format("<line class=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n", css_class, xml_number(x1),
                     xml_number(y1), xml_number(x2), xml_number(y2));
}

std::string polyline(const std::vector<std::pair<double, double>>& points, std::string_view css_class) {
  std::string places;
  for (const auto& [x, y] : points)
    places += fmt::format("{}{},{}", places.empty() ? "" : " ", xml_number(x), xml_number(y));
  return fmt::format("<polyline class=\"{}\" fill=\"none\" points=\"{}\"/>\n", css_class, places);
}

std::string circle(double x, double y, double radius, std::string_view css_class, std::string_view tip) {
  return fmt::format("<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"{}\"{}\n", css_class, xml_number(x), xml_number(y),
                     xml_number(radius), tip.empty() ? "/>" : fmt::format(">{}</circle>", tip_element(tip)));
}

std::string label(double x, double y, std::string_view text, std::string_view css_class, std::string_view anchor) {
  return fmt::format("<text{} x=\"{}\" y=\"{}\"{}>{}</text>\n",
                     css_class.empty() ? "" : fmt::format(" class=\"{}\"", css_class), xml_number(x), xml_number(y),
                     anchor == "start" ? "" : fmt::format(" text-anchor=\"{}\"", anchor), escaped(text));
}

}  // namespace flashmask::tuning_report
