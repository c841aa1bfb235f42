// Parts of a page: one HTML file that needs no other file and no network, readable on light and
// dark screens, on a phone and in print. Text colours have the contrast of WCAG 2.2 AA.
#ifndef FLAME_LAUNCH_REPORT_HTML_H_
#define FLAME_LAUNCH_REPORT_HTML_H_

#include <string>
#include <vector>

namespace flame {

// Escapes the characters that HTML reads as markup.
std::string HtmlText(const std::string& text);

// The page's beginning, up to and with <body>. `refresh` > 0: a browser loads the page again after
// so many seconds.
std::string PageHead(const std::string& title, int refresh = 0);
inline constexpr char kPageEnd[] = "</body>\n</html>\n";

std::string Tag(const std::string& name, const std::string& inner);

// A paragraph of plain text; `kind` is a class of the page: "soft", "warning" or "" for none.
std::string Paragraph(const std::string& text, const std::string& kind = "");

std::string Heading(int level, const std::string& text);

// A table of HTML cells, the first column to the left and the others to the right; wide ones
// scroll. `marked` rows stand out.
struct HtmlTable {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> marked = {};
};
std::string TableHtml(const HtmlTable& table);

// A cell with a bar of this share of the cell, in 0..1, behind its text.
std::string BarCell(double share, const std::string& text);

// A cell of words, which may take several lines.
std::string WordCell(const std::string& text);

// A number with this printf format.
std::string Fixed(double value, const char* format = "%.4f");

// The SVG of a plot (svg_plot.h) as a file of its own: with its colours, for light and dark.
std::string StandaloneSvg(const std::string& plot);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_HTML_H_
