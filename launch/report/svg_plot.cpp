#include "launch/report/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "launch/report/html.h"

namespace flame {
namespace {

// Margins of a line plot, in CSS pixels.
constexpr double kLeft = 84, kRight = 16, kTop = 34, kBottom = 48;
constexpr double kLegendLine = 18;

std::string Px(double value) { return Fixed(value, "%.1f"); }

std::string Text(double x, double y, const std::string& anchor, const std::string& text,
                 const std::string& more = "") {
  return "<text x=\"" + Px(x) + "\" y=\"" + Px(y) + "\" text-anchor=\"" + anchor + "\"" + more +
         ">" + HtmlText(text) + "</text>\n";
}

std::string Line(double x1, double y1, double x2, double y2, const std::string& style) {
  return "<line x1=\"" + Px(x1) + "\" y1=\"" + Px(y1) + "\" x2=\"" + Px(x2) + "\" y2=\"" + Px(y2) +
         "\" " + style + "/>\n";
}

std::string Open(double width, double height, const std::string& title) {
  return "<svg viewBox=\"0 0 " + Px(width) + " " + Px(height) + "\" width=\"" + Px(width) +
         "\" role=\"img\" aria-label=\"" + HtmlText(title) + "\">\n" +
         Text(8, 18, "start", title, " class=\"title\"");
}

// The values that an axis shows, and their places between two pixels.
class Axis {
 public:
  Axis(double low, double high, double from, double to) : from_(from), to_(to) {
    if (high - low < 1e-12) {
      const double wider = std::max(std::abs(low) * 0.05, 1e-3);
      low -= wider;
      high += wider;
    }
    const double rough = (high - low) / 5, power = std::pow(10, std::floor(std::log10(rough)));
    step_ = power * (rough < 1.5 * power   ? 1
                     : rough < 3.5 * power ? 2
                     : rough < 7.5 * power ? 5
                                           : 10);
    low_ = std::floor(low / step_) * step_;
    high_ = std::ceil(high / step_) * step_;
  }
  double At(double value) const { return from_ + (value - low_) / (high_ - low_) * (to_ - from_); }
  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    const auto count = static_cast<int>(std::lround((high_ - low_) / step_));
    for (int i = 0; i <= count; ++i) ticks.push_back(low_ + i * step_);
    return ticks;
  }
  std::string Label(double tick) const {
    const int decimals = std::clamp(static_cast<int>(-std::floor(std::log10(step_) + 1e-9)), 0, 6);
    char text[32];
    std::snprintf(text, sizeof text, "%.*f", decimals, std::abs(tick) < step_ / 2 ? 0.0 : tick);
    return text;
  }

 private:
  double low_, high_, from_, to_, step_;
};

struct Extent {
  double low = INFINITY, high = -INFINITY;
  void Add(double value, const std::optional<double>& half) {
    low = std::min(low, value - half.value_or(0));
    high = std::max(high, value + half.value_or(0));
  }
};

struct Size {
  double width, height;
};

std::string Frame(const Size& size, const Axis& x, const Axis& y, const std::string& x_title,
                  const std::string& y_title) {
  const double bottom = size.height - kBottom;
  std::string svg;
  for (const double tick : y.Ticks()) {
    svg += Line(kLeft, y.At(tick), size.width - kRight, y.At(tick), "class=\"grid\"");
    svg += Text(kLeft - 8, y.At(tick) + 4, "end", y.Label(tick));
  }
  for (const double tick : x.Ticks()) {
    svg += Line(x.At(tick), bottom, x.At(tick), bottom + 5, "class=\"axis\"");
    svg += Text(x.At(tick), bottom + 19, "middle", x.Label(tick));
  }
  svg += Line(kLeft, bottom, size.width - kRight, bottom, "class=\"axis\"");
  svg += Text((kLeft + size.width - kRight) / 2, size.height - 10, "middle", x_title);
  const double middle = (kTop + bottom) / 2;
  return svg +
         Text(16, middle, "middle", y_title, " transform=\"rotate(-90 16 " + Px(middle) + ")\"");
}

std::string Whiskers(const PlotPoint& point, const Axis& x, const Axis& y,
                     const std::string& style) {
  std::string svg;
  if (point.y_half) {
    svg += Line(x.At(point.x), y.At(point.y - *point.y_half), x.At(point.x),
                y.At(point.y + *point.y_half), style);
  }
  if (point.x_half) {
    svg += Line(x.At(point.x - *point.x_half), y.At(point.y), x.At(point.x + *point.x_half),
                y.At(point.y), style);
  }
  return svg;
}

// The area within y_half of the line.
std::string Band(const PlotSeries& series, const std::string& color, const Axis& x, const Axis& y) {
  std::string above, below;
  for (const PlotPoint& point : series.points) {
    const double half = point.y_half.value_or(0);
    above += Px(x.At(point.x)) + "," + Px(y.At(point.y + half)) + " ";
    below = Px(x.At(point.x)) + "," + Px(y.At(point.y - half)) + " " + below;
  }
  return "<polygon class=\"band\" fill=\"" + color + "\" points=\"" + above + below + "\"/>\n";
}

std::string Drawn(const PlotSeries& series, const std::string& color, const Axis& x,
                  const Axis& y) {
  std::string svg = series.band ? Band(series, color, x, y) : "", path;
  for (const PlotPoint& point : series.points) {
    path += Px(x.At(point.x)) + "," + Px(y.At(point.y)) + " ";
    if (!series.band) {
      svg += Whiskers(point, x, y, "class=\"whisker\" stroke=\"" + color + "\"");
    }
    if (series.markers) {
      svg += "<circle cx=\"" + Px(x.At(point.x)) + "\" cy=\"" + Px(y.At(point.y)) +
             "\" r=\"4\" fill=\"" + color + "\"/>\n";
    }
    if (!point.label.empty()) {
      svg += Text(x.At(point.x) + 7, y.At(point.y) - 7, "start", point.label,
                  " class=\"note\" fill=\"" + color + "\"");
    }
  }
  if (!series.line || series.points.size() < 2) return svg;
  return "<polyline class=\"series\" stroke=\"" + color + "\" points=\"" + path + "\"/>\n" + svg;
}

}  // namespace

std::string LinePlot(const std::string& title, const std::string& x_title,
                     const std::string& y_title, const std::vector<PlotSeries>& series,
                     double width) {
  const Size size = {width, 100 + width * 0.43};
  Extent across, up;
  for (const PlotSeries& one : series) {
    for (const PlotPoint& point : one.points) {
      across.Add(point.x, point.x_half);
      up.Add(point.y, point.y_half);
    }
  }
  const Axis x(across.low, across.high, kLeft, size.width - kRight);
  const Axis y(up.low, up.high, size.height - kBottom, kTop);
  std::string body = Frame(size, x, y, x_title, y_title);
  double legend = size.height + 12;
  for (size_t i = 0; i < series.size(); ++i) {
    const std::string color = StrCat("var(--s", i % kPlotColors, ")");
    body += Drawn(series[i], color, x, y);
    if (series[i].name.empty()) continue;
    body += Line(kLeft, legend - 4, kLeft + 22, legend - 4,
                 "class=\"series\" stroke=\"" + color + "\"");
    body += Text(kLeft + 30, legend, "start", series[i].name);
    legend += kLegendLine;
  }
  return Open(size.width, legend, title) + body + "</svg>\n";
}

std::string IntervalPlot(const std::string& title, const std::vector<PlotInterval>& rows,
                         const std::vector<PlotInterval>& bounds, double width) {
  constexpr double kSide = 140, kTopOfRows = 38, kRow = 22;
  const double bottom = kTopOfRows + kRow * static_cast<double>(rows.size());
  Extent range;
  for (const auto* all : {&rows, &bounds}) {
    for (const PlotInterval& row : *all) {
      range.Add(row.low, std::nullopt);
      range.Add(row.high, std::nullopt);
    }
  }
  const Axis x(range.low, range.high, kSide, width - kRight);
  std::string body;
  const std::vector<double> ticks = x.Ticks();
  for (size_t i = 0; i < ticks.size(); ++i) {
    body += Line(x.At(ticks[i]), kTopOfRows, x.At(ticks[i]), bottom, "class=\"grid\"");
    const bool room = ticks.size() <= 6 || i % 2 == 0;
    if (room) body += Text(x.At(ticks[i]), bottom + 16, "middle", x.Label(ticks[i]));
  }
  double legend = bottom + 36;
  for (size_t i = 0; i < bounds.size(); ++i) {
    const std::string stroke = StrCat("stroke=\"var(--s", i + 1, ")\" stroke-dasharray=\"4 3\"");
    const double at = x.At(bounds[i].value);
    body += Line(at, kTopOfRows, at, bottom, stroke);
    body += Line(kSide, legend - 4, kSide + 22, legend - 4, stroke);
    body += Text(kSide + 30, legend, "start", bounds[i].label);
    legend += kLegendLine;
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const double y = kTopOfRows + kRow * (static_cast<double>(i) + 0.5);
    body += Text(kSide - 10, y + 4, "end", rows[i].label);
    body += Line(x.At(rows[i].low), y, x.At(rows[i].high), y,
                 "stroke=\"var(--s0)\" stroke-width=\"2\"");
    body += "<circle cx=\"" + Px(x.At(rows[i].value)) + "\" cy=\"" + Px(y) +
            "\" r=\"4\" fill=\"var(--s0)\"/>\n";
  }
  return Open(width, legend, title) + body + "</svg>\n";
}

std::string HeatMap(const std::string& title, const std::string& row_title,
                    const std::vector<std::string>& rows, const std::string& column_title,
                    const std::vector<std::string>& columns,
                    const std::vector<std::vector<std::optional<double>>>& cells) {
  constexpr double kCellWidth = 84, kCellHeight = 44, kHead = 74, kSide = 96;
  Extent range;
  for (const auto& row : cells) {
    for (const auto& cell : row) {
      if (cell) range.Add(*cell, std::nullopt);
    }
  }
  const double width =
      std::max(kSide + kCellWidth * static_cast<double>(columns.size()) + 8, 380.0);
  std::string svg = Open(width, kHead + kCellHeight * static_cast<double>(rows.size()) + 8, title) +
                    Text(kSide, 42, "start", column_title + " across, " + row_title + " down");
  for (size_t column = 0; column < columns.size(); ++column) {
    svg += Text(kSide + kCellWidth * (static_cast<double>(column) + 0.5), kHead - 8, "middle",
                columns[column]);
  }
  for (size_t row = 0; row < rows.size(); ++row) {
    const double top = kHead + kCellHeight * static_cast<double>(row);
    svg += Text(kSide - 10, top + kCellHeight / 2 + 4, "end", rows[row]);
    for (size_t column = 0; column < columns.size(); ++column) {
      const double left = kSide + kCellWidth * static_cast<double>(column);
      const auto& cell = cells[row][column];
      const bool flat = range.high - range.low < 1e-12;
      const double share = !cell ? 0 : flat ? 0.5 : (*cell - range.low) / (range.high - range.low);
      // The opacity stays low enough for the number on top to be readable.
      const double opacity = cell ? 0.04 + 0.46 * share : 0;
      svg += "<rect class=\"cell\" x=\"" + Px(left) + "\" y=\"" + Px(top) + "\" width=\"" +
             Px(kCellWidth - 2) + "\" height=\"" + Px(kCellHeight - 2) + "\" fill-opacity=\"" +
             Fixed(opacity, "%.3f") + "\"/>\n";
      svg += Text(left + kCellWidth / 2 - 1, top + kCellHeight / 2 + 4, "middle",
                  cell ? Fixed(*cell) : "-");
    }
  }
  return svg + "</svg>\n";
}

}  // namespace flame
