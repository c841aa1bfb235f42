#include "launch/report/html.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"

namespace flame {
namespace {

// Colours of the page and of its plots, for a light and a dark screen.
constexpr char kLight[] =
    "color-scheme: light dark; --paper: #ffffff; --ink: #1d232b; --soft: #55606d; --faint: "
    "#dfe3e8; "
    "--mark: #fff3cd; --heat: #1f6fb4; --up: 42 138 74; --down: 201 48 60; --s0: #1b66a6; "
    "--s1: #b54708; --s2: #237a40; --s3: #8a4fbf; --s4: #b3215b; --s5: #6b650a; --s6: #0d757b; "
    "--s7: #55606d;";
constexpr char kDark[] =
    "--paper: #14181d; --ink: #e4e8ed; --soft: #9aa5b1; --faint: #323a44; --mark: #3d3514; "
    "--heat: #6db3f2; --up: 92 190 120; --down: 240 110 120; --s0: #6db3f2; --s1: #f59e5b; "
    "--s2: #6fd08c; --s3: #c39bf0; --s4: #f27ea9; --s5: #d6d05c; --s6: #5cc9d0; --s7: #9aa5b1;";

constexpr char kPlotStyle[] = R"css(
svg { max-width: 100%; height: auto; overflow: visible; font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .title { font-size: 14px; font-weight: 600; }
svg .grid { stroke: var(--faint); } svg .axis { stroke: var(--soft); }
svg .series { fill: none; stroke-width: 2; } svg .whisker { stroke-width: 1.2; opacity: 0.6; }
svg .note { font-size: 11px; } svg .cell { fill: var(--heat); } svg .band { opacity: 0.18; }
)css";

constexpr char kPageStyle[] = R"css(
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  max-width: 1200px; margin: 0 auto; padding: 24px; overflow-wrap: break-word; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 21px; margin: 40px 0 8px; }
h3 { font-size: 17px; margin: 28px 0 6px; }
p { max-width: 75ch; } .soft { color: var(--soft); } a { color: var(--s0); }
.warning { border-left: 4px solid var(--s1); padding: 4px 12px; }
.plots { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
.legend { max-width: 360px; margin: 0; }
.wide { overflow-x: auto; max-width: 100%; } .wide svg { max-width: none; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px; text-align: right; border-bottom: 1px solid var(--faint); }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; min-width: 110px; } td + td { white-space: nowrap; }
.words { white-space: normal; display: block; min-width: 180px; text-align: left; }
tr.best { background: var(--mark); }
.bar { background: linear-gradient(rgb(var(--up) / 0.22) 0 0) left / var(--share) 100% no-repeat;
  display: block; margin: -4px -12px; padding: 4px 12px; min-width: 90px; }
details { border-top: 1px solid var(--faint); margin-top: 24px; } summary { cursor: pointer; }
summary h2 { display: inline-block; margin: 16px 0 8px; }
.member { border-left: 3px solid var(--faint); padding: 2px 12px; margin: 12px 0; }
.step { padding: 0 6px; border-radius: 3px; } .prompt { white-space: pre-wrap; margin: 4px 0; }
.tokens { display: flex; flex-wrap: wrap; gap: 2px 3px; margin: 6px 0; }
.tokens > span { display: inline-flex; flex-direction: column; align-items: center;
  border-radius: 3px; padding: 0 3px; }
.tokens small { color: var(--ink); font-size: 11px; }
@media (max-width: 600px) { body { padding: 12px; } th, td { padding: 4px 8px; } }
@media print { body { max-width: none; padding: 0; font-size: 12px; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .wide { overflow: visible; } th, td { padding: 2px 6px; } svg, tr, .member { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  details::details-content { content-visibility: visible; height: auto; } }
)css";

// Paper is white, whatever the screen is.
std::string Colors() {
  return StrCat(":root { ", kLight, " }\n@media screen and (prefers-color-scheme: dark) { :root { ",
                kDark, " } }");
}

}  // namespace

std::string HtmlText(const std::string& text) {
  std::string html;
  for (const char c : text) {
    if (c == '<') {
      html += "&lt;";
    } else if (c == '>') {
      html += "&gt;";
    } else if (c == '&') {
      html += "&amp;";
    } else if (c == '"') {
      html += "&quot;";
    } else {
      html += c;
    }
  }
  return html;
}

std::string PageHead(const std::string& title, int refresh) {
  std::string head =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'; img-src data:\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n";  // else a browser asks for one
  if (refresh > 0) head += StrCat("<meta http-equiv=\"refresh\" content=\"", refresh, "\">\n");
  return head + Tag("title", HtmlText(title)) + "\n<style>\n" + Colors() + kPageStyle + kPlotStyle +
         "</style>\n</head>\n<body>\n";
}

std::string Tag(const std::string& name, const std::string& inner) {
  return "<" + name + ">" + inner + "</" + name + ">";
}

std::string Paragraph(const std::string& text, const std::string& kind) {
  return (kind.empty() ? "<p>" : "<p class=\"" + kind + "\">") + HtmlText(text) + "</p>\n";
}

std::string Heading(int level, const std::string& text) {
  return Tag(StrCat("h", level), HtmlText(text)) + "\n";
}

std::string TableHtml(const HtmlTable& table) {
  std::string html = "<div class=\"wide\"><table>\n<thead><tr>";
  for (const std::string& cell : table.head) html += Tag("th", cell);
  html += "</tr></thead>\n<tbody>\n";
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const bool marked =
        std::find(table.marked.begin(), table.marked.end(), i) != table.marked.end();
    html += marked ? "<tr class=\"best\">" : "<tr>";
    for (const std::string& cell : table.rows[i]) html += Tag("td", cell);
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table></div>\n";
}

std::string BarCell(double share, const std::string& text) {
  return "<span class=\"bar\" style=\"--share: " +
         Fixed(100 * std::clamp(share, 0.0, 1.0), "%.1f") + "%\">" + text + "</span>";
}

std::string WordCell(const std::string& text) {
  return "<span class=\"words\">" + HtmlText(text) + "</span>";
}

std::string Fixed(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string StandaloneSvg(const std::string& plot) {
  const size_t inside = plot.find('>') + 1;
  std::string svg = plot;
  svg.insert(inside, StrCat("\n<style>", Colors(), kPlotStyle, "</style>\n"));
  return svg.insert(4, " xmlns=\"http://www.w3.org/2000/svg\"");
}

}  // namespace flame
