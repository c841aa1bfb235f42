// Plots as SVG elements for a page. Colours are CSS variables of the page (--ink, --soft, --faint,
// --heat, --s0 to --s7; html.h), so that they follow its light or dark scheme.
#ifndef FLAME_LAUNCH_REPORT_SVG_PLOT_H_
#define FLAME_LAUNCH_REPORT_SVG_PLOT_H_

#include <optional>
#include <string>
#include <vector>

namespace flame {

constexpr size_t kPlotColors = 8;

struct PlotPoint {
  double x = 0, y = 0;
  std::optional<double> x_half, y_half;  // half widths of intervals
  std::string label;                     // shown beside the point; "": no label
};

struct PlotSeries {
  std::string name;  // entry in the legend; "": no entry
  std::vector<PlotPoint> points;
  bool line = true;      // draws a line through the points in their order
  bool markers = false;  // draws a dot at each point
  bool band = false;     // draws y_half as a band along the line, not as bars
};

// Takes at most kPlotColors series with at least one point in total; all numbers must be finite. An
// axis whose values are all equal is widened. `width` is in CSS pixels.
std::string LinePlot(const std::string& title, const std::string& x_title,
                     const std::string& y_title, const std::vector<PlotSeries>& series,
                     double width = 360);

// Takes cells[row][column]; an empty cell is shown as a dash.
std::string HeatMap(const std::string& title, const std::string& row_title,
                    const std::vector<std::string>& rows, const std::string& column_title,
                    const std::vector<std::string>& columns,
                    const std::vector<std::vector<std::optional<double>>>& cells);

// A row of IntervalPlot.
struct PlotInterval {
  std::string label;
  double value = 0, low = 0, high = 0;
};
// Takes at least one row, one below the other; each is a dot with a bar from low to high. `bounds`
// are drawn as vertical lines, each with its name.
std::string IntervalPlot(const std::string& title, const std::vector<PlotInterval>& rows,
                         const std::vector<PlotInterval>& bounds, double width = 360);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_SVG_PLOT_H_
