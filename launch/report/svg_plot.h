// Plots as SVG elements for a page: colours are CSS variables (--ink, --soft, --faint, --heat,
// --s0 to --s7) of the page, so that they follow its light or dark scheme.
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
  std::string label;                     // beside the point; "" for none
};

struct PlotSeries {
  std::string name;  // in the legend; "" for no entry
  std::vector<PlotPoint> points;
  bool line = true;      // joined in their order
  bool markers = false;  // a dot at each
};

// At most kPlotColors series with at least one point in all; all numbers finite. A range of no
// extent is widened. `width` in CSS pixels.
std::string LinePlot(const std::string& title, const std::string& x_title,
                     const std::string& y_title, const std::vector<PlotSeries>& series,
                     double width = 560);

// cells[row][column]; an empty cell is shown as a dash.
std::string HeatMap(const std::string& title, const std::string& row_title,
                    const std::vector<std::string>& rows, const std::string& column_title,
                    const std::vector<std::string>& columns,
                    const std::vector<std::vector<std::optional<double>>>& cells);

// Text with the characters that HTML reads as markup written out.
std::string HtmlText(const std::string& text);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_SVG_PLOT_H_
