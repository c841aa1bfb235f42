#include "launch/report/inspect_shard.h"

#include <cmath>
#include <ostream>
#include <string>

#include "base/error.h"
#include "launch/report/group_view.h"
#include "launch/report/html.h"
#include "tokenizer/text.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPromptBytes = 240;  // bytes shown of a prompt's end

std::string Signed(double number) { return Fixed(number, "%+.4f"); }

std::string Indented(const std::string& text, const std::string& margin) {
  std::string indented = margin;
  for (size_t i = 0; i < text.size(); ++i) {
    indented += text[i];
    if (text[i] == '\n' && i + 1 < text.size()) indented += margin;
  }
  if (!indented.ends_with('\n')) indented += '\n';
  return indented;
}

class GroupPrinter {
 public:
  GroupPrinter(const ShowGroups& show, std::ostream& out) : show_(show), out_(out) {}

  void Print(const GroupView& group) {
    out_ << "task id " << group.task_id << " (task " << group.task << "), policy version "
         << group.version << "\n";
    if (!group.visit.empty()) {
      out_ << "  " << group.visit << ", " << group.edit << ": " << group.input << "\n";
    }
    if (!group.prescribed.empty()) out_ << "  prescribed: " << group.prescribed << "\n";
    PrintPrompt(group);
    for (size_t m = 0; m < group.members.size(); ++m) {
      PrintMember(m, group.members[m], group.largest);
    }
    out_ << "\n";
  }

 private:
  void PrintPrompt(const GroupView& group) {
    std::string text = group.prompt;
    const bool cut = !show_.full && text.size() > kPromptBytes;
    if (cut) text = ReplaceInvalidUtf8(text.substr(text.size() - kPromptBytes));
    out_ << "  prompt, " << group.prompt_tokens << " tokens" << (cut ? ", its end" : "") << ":\n"
         << Indented(text, "    | ");
  }

  void PrintMember(size_t index, const MemberView& member, double largest) {
    out_ << "  member " << index << ": reward " << Signed(member.reward) << ", " << member.refused
         << " of " << member.lines << " lines not matched, list then: " << member.list << "\n";
    for (size_t n = 0; n < member.steps.size(); ++n) {
      const StepView& step = member.steps[n];
      out_ << "    " << (n == 0 ? "start " : StrCat("step ", n)) << "  phi " << Signed(step.phi)
           << " (jaccard " << Signed(step.jaccard) << ", ddi " << Signed(step.ddi) << ", refusal "
           << Signed(step.refusal) << ")";
      if (n > 0) out_ << "  " << Signed(step.phi - member.steps[n - 1].phi) << "  " << step.text;
      out_ << "\n";
    }
    out_ << "    advantages  ";
    for (const TokenView& token : member.tokens) PrintToken(token, largest);
    out_ << "\n";
  }

  // Colours a token green if its advantage is positive (training makes it likelier) and red if it
  // is negative. The strength is relative to the group's largest advantage.
  void PrintToken(const TokenView& token, double largest) {
    if (!show_.color) {
      out_ << "[" << token.text << " " << Fixed(token.advantage, "%+.2f") << "]";
      return;
    }
    const int strength = static_cast<int>(std::lround(5 * std::abs(token.advantage) / largest));
    const int color =
        strength == 0 ? 236 : 16 + (token.advantage > 0 ? 6 * strength : 36 * strength);
    out_ << "\x1b[48;5;" << color << "m\x1b[38;5;" << (strength > 3 ? 16 : 231) << "m" << token.text
         << "\x1b[0m";
  }

  const ShowGroups& show_;
  std::ostream& out_;
};

}  // namespace

void PrintGroups(const fs::path& shard, const ShowGroups& show, std::ostream& out) {
  const std::vector<Group> groups = ReadShard(shard);
  const GroupViewer viewer(fs::absolute(shard).parent_path().parent_path().parent_path());
  if (!viewer.names_known()) {
    out << "The shard lies in no run's grpo/rollouts: tokens and drugs are shown as ids.\n";
  }
  if (!viewer.credit_known()) {
    out << "Its run has no config.yaml: advantages use default credit.*.\n";
  }
  GroupPrinter printer(show, out);
  int64_t printed = 0;
  for (const Group& group : groups) {
    if (show.task_id >= 0 ? group.task_id != show.task_id : printed == show.limit) continue;
    printer.Print(viewer.View(group));
    ++printed;
  }
  if (show.task_id >= 0 && printed == 0) {
    throw DataError(shard.string(), ": no task id ", show.task_id, " among its ", groups.size(),
                    " groups");
  }
  const int64_t left = static_cast<int64_t>(groups.size()) - printed;
  if (show.task_id < 0 && left > 0) {
    out << left << " more groups: --limit N shows N, --task-id ID one of them\n";
  }
}

}  // namespace flame
