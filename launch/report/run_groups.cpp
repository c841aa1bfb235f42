#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "launch/report/html.h"
#include "launch/report/run_sections.h"

namespace flame {
namespace {

constexpr size_t kMembers = 4;         // shown of a group
constexpr size_t kPromptBytes = 1200;  // shown of a prompt's end
constexpr double kMostOpacity = 0.45;  // of a colour behind text, which stays readable

std::string Signed(double value) { return Fixed(value, "%+.3f"); }

// A colour for a change, green above 0 and red below, as strong as its share of `largest`.
std::string Shade(double change, double largest) {
  const double share = largest > 0 ? std::min(1.0, std::abs(change) / largest) : 0;
  return StrCat("background: rgb(var(--", change < 0 ? "down" : "up", ") / ",
                Fixed(kMostOpacity * share, "%.2f"), ")");
}

std::string StepRows(const MemberView& member) {
  double largest = 1e-9;
  for (size_t n = 1; n < member.steps.size(); ++n) {
    largest = std::max(largest, std::abs(member.steps[n].phi - member.steps[n - 1].phi));
  }
  HtmlTable table{{"step", "phi", "change", "Jaccard", "DDI rate", "refusals"}, {}};
  for (size_t n = 0; n < member.steps.size(); ++n) {
    const StepView& step = member.steps[n];
    const double change = n == 0 ? 0 : step.phi - member.steps[n - 1].phi;
    table.rows.push_back({n == 0 ? "the given list" : HtmlText(step.text), Signed(step.phi),
                          n == 0 ? ""
                                 : "<span class=\"step\" style=\"" + Shade(change, largest) +
                                       "\">" + Signed(change) + "</span>",
                          Fixed(step.jaccard, "%.3f"), Fixed(step.ddi, "%.3f"),
                          Fixed(step.refusal, "%.3f")});
  }
  return TableHtml(table);
}

std::string Tokens(const MemberView& member, double largest) {
  std::string html = "<div class=\"tokens\">";
  for (const TokenView& token : member.tokens) {
    html += "<span style=\"" + Shade(token.advantage, largest) + "\">" + HtmlText(token.text) +
            Tag("small", Fixed(token.advantage, "%+.2f")) + "</span>";
  }
  return html + "</div>\n";
}

// Members from the best to the worst, so that the ends of a group are among those shown.
std::vector<const MemberView*> Shown(const GroupView& group) {
  std::vector<const MemberView*> members;
  for (const MemberView& member : group.members) members.push_back(&member);
  std::stable_sort(members.begin(), members.end(),
                   [](const MemberView* a, const MemberView* b) { return a->reward > b->reward; });
  if (members.size() <= kMembers) return members;
  std::vector<const MemberView*> shown(members.begin(), members.begin() + kMembers / 2);
  shown.insert(shown.end(), members.end() - kMembers / 2, members.end());
  return shown;
}

std::string PromptEnd(const std::string& prompt) {
  if (prompt.size() <= kPromptBytes) return prompt;
  size_t begin = prompt.size() - kPromptBytes;
  // UTF-8 continuation bytes do not begin a character.
  while (begin < prompt.size() && (static_cast<unsigned char>(prompt[begin]) & 0xc0) == 0x80) {
    ++begin;
  }
  return "... " + prompt.substr(begin);
}

std::string GroupHtml(const GroupView& group) {
  std::string html = Heading(4, StrCat("Task ", group.task, ", policy version ", group.version));
  if (!group.visit.empty()) {
    html += Paragraph(StrCat(group.visit, ", ", group.edit, ": ", group.input));
    html += Paragraph("Prescribed: " + group.prescribed);
  }
  html += "<details><summary>Prompt, " + std::to_string(group.prompt_tokens) +
          " tokens</summary><div class=\"prompt\">" + HtmlText(PromptEnd(group.prompt)) +
          "</div></details>\n";
  const std::vector<const MemberView*> shown = Shown(group);
  if (shown.size() < group.members.size()) {
    html +=
        Paragraph(StrCat("The two members with the highest reward and the two with the lowest, of ",
                         group.members.size(), "."),
                  "soft");
  }
  for (const MemberView* member : shown) {
    html += "<div class=\"member\">" +
            Paragraph(StrCat("Reward ", Signed(member->reward), "; ", member->refused, " of ",
                             member->lines, " lines name no drug. The list then: ", member->list)) +
            StepRows(*member) + Tokens(*member, group.largest) + "</div>\n";
  }
  return html;
}

}  // namespace

std::string SamplesSection(const RunView& run) {
  if (run.samples.empty()) return "";
  std::string html =
      Heading(2, "Sampled lists") +
      Paragraph(
          "Groups whose members differ most in reward, of the first shard that is kept and of "
          "the last. Each step names a drug and changes phi. The number under a token is its "
          "advantage: training makes green tokens likelier and red ones less likely.",
          "soft");
  for (const RunView::Sample& sample : run.samples) {
    html += Heading(3, sample.shard);
    for (const GroupView& group : sample.groups) html += GroupHtml(group);
  }
  return html;
}

}  // namespace flame
