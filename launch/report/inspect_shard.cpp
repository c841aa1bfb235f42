#include "launch/report/inspect_shard.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <ostream>
#include <string>

#include "base/error.h"
#include "data/corpus.h"
#include "data/list_task.h"
#include "launch/config/config.h"
#include "launch/config/run_paths.h"
#include "rollout/trajectory.h"
#include "tokenizer/text.h"
#include "tokenizer/tokenizer.h"
#include "trainer/credit/credit.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPromptBytes = 240;  // bytes shown of a prompt's end

// The parts of the shard's run that help to read it; each may be absent.
struct Surroundings {
  std::optional<Tokenizer> tokenizer;
  std::optional<Corpus> corpus;
  std::vector<ListTask> tasks;
  CreditOptions credit;
  bool has_config = false;
};

Surroundings SurroundingsOf(const fs::path& shard) {
  const RunPaths run(fs::absolute(shard).parent_path().parent_path().parent_path());
  Surroundings around;
  if (fs::exists(run.base() / "tokenizer.json")) {
    around.tokenizer = Tokenizer::Load(run.base() / "tokenizer.json");
  }
  if (fs::exists(run.corpus())) around.corpus = ReadCorpus(run.corpus());
  if (fs::exists(run.tasks())) around.tasks = ReadListTasks(run.tasks());
  around.has_config = fs::exists(run.config());
  if (around.has_config) around.credit = LoadConfig(run.config(), {}).credit;
  return around;
}

std::string Fixed(double number) {
  char text[32];
  std::snprintf(text, sizeof(text), "%+.4f", number);
  return text;
}

class GroupPrinter {
 public:
  GroupPrinter(const Surroundings& around, const ShowGroups& show, std::ostream& out)
      : around_(around), show_(show), out_(out) {}

  void Print(const Group& group) {
    out_ << "task id " << group.task_id << " (task " << group.task << "), policy version "
         << group.policy_version << "\n";
    PrintTask(group.task);
    PrintPrompt(group.prompt);
    std::vector<const Verdict*> verdicts;
    for (const Trajectory& member : group.members) verdicts.push_back(&member.verdict);
    const Advantages advantages = ComputeAdvantages(verdicts, around_.credit);
    double largest = 1e-9;
    for (const auto& member : advantages.tokens) {
      for (const float a : member) largest = std::max(largest, std::abs(static_cast<double>(a)));
    }
    for (size_t m = 0; m < group.members.size(); ++m) {
      PrintMember(m, group.members[m], advantages.tokens[m], largest);
    }
    out_ << "\n";
  }

 private:
  std::string NamesOf(const std::vector<int32_t>& drugs) const {
    std::string names;
    for (const int32_t drug : drugs) {
      const bool known = around_.corpus && drug >= 0 && drug < around_.corpus->drugs.size();
      names += StrCat(names.empty() ? "" : ", ",
                      known ? around_.corpus->drugs.titles[drug] : StrCat("drug ", drug));
    }
    return names.empty() ? "none" : names;
  }

  void PrintTask(int32_t index) {
    if (index < 0 || static_cast<size_t>(index) >= around_.tasks.size()) return;
    const ListTask& task = around_.tasks[index];
    out_ << "  visit " << task.visit << ", " << (task.edit == Edit::kAdd ? "add to" : "remove from")
         << ": " << NamesOf(task.input) << "\n";
    if (around_.corpus && task.visit < static_cast<int32_t>(around_.corpus->visits.size())) {
      out_ << "  prescribed: " << NamesOf(around_.corpus->visits[task.visit].drugs) << "\n";
    }
  }

  std::string TextOf(const std::vector<int32_t>& tokens) const {
    std::string text;
    for (const int32_t token : tokens) text += PieceOf(token);
    return ReplaceInvalidUtf8(text);
  }
  std::string PieceOf(int32_t token) const {
    if (!around_.tokenizer || token >= around_.tokenizer->size()) return StrCat("<", token, ">");
    const std::string& bytes = around_.tokenizer->TokenBytes(token);
    return bytes.empty() ? StrCat("<", token, ">") : bytes;
  }

  void PrintPrompt(const std::vector<int32_t>& prompt) {
    std::string text = TextOf(prompt);
    const bool cut = !show_.full && text.size() > kPromptBytes;
    if (cut) text = ReplaceInvalidUtf8(text.substr(text.size() - kPromptBytes));
    out_ << "  prompt, " << prompt.size() << " tokens" << (cut ? ", its end" : "") << ":\n"
         << Indented(text, "    | ");
  }

  static std::string Indented(const std::string& text, const std::string& margin) {
    std::string indented = margin;
    for (size_t i = 0; i < text.size(); ++i) {
      indented += text[i];
      if (text[i] == '\n' && i + 1 < text.size()) indented += margin;
    }
    if (!indented.ends_with('\n')) indented += '\n';
    return indented;
  }

  void PrintMember(size_t index, const Trajectory& member, const std::vector<float>& advantages,
                   double largest) {
    const Verdict& verdict = member.verdict;
    out_ << "  member " << index << ": reward " << Fixed(verdict.reward) << ", "
         << verdict.num_refused << " of " << verdict.num_lines
         << " lines not matched, list then: " << NamesOf(verdict.final_list) << "\n";
    for (size_t n = 0; n < verdict.phi.size(); ++n) {
      out_ << "    " << (n == 0 ? "start " : StrCat("step ", n)) << "  phi "
           << Fixed(verdict.phi[n]) << " (jaccard " << Fixed(verdict.phi_jaccard[n]) << ", ddi "
           << Fixed(verdict.phi_ddi[n]) << ", refusal " << Fixed(verdict.phi_refusal[n]) << ")";
      if (n > 0) {
        out_ << "  " << Fixed(verdict.phi[n] - verdict.phi[n - 1]) << "  "
             << StepText(member, static_cast<int16_t>(n));
      }
      out_ << "\n";
    }
    out_ << "    advantages  ";
    for (size_t t = 0; t < member.tokens.size(); ++t) {
      PrintToken(Visible(PieceOf(member.tokens[t])), advantages[t], largest);
    }
    out_ << "\n";
  }

  std::string StepText(const Trajectory& member, int16_t step) const {
    std::vector<int32_t> tokens;
    for (size_t t = 0; t < member.tokens.size(); ++t) {
      if (member.verdict.step_of_token[t] == step) tokens.push_back(member.tokens[t]);
    }
    return Visible(TextOf(tokens));
  }

  // Replaces line breaks and other control characters by marks.
  static std::string Visible(const std::string& text) {
    std::string visible;
    for (const char c : ReplaceInvalidUtf8(text)) {
      if (c == '\n') {
        visible += "⏎";
      } else {
        visible += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
      }
    }
    return visible;
  }

  // Colours a token green if its advantage is positive (training makes it likelier) and red if it
  // is negative. The strength is relative to the group's largest advantage.
  void PrintToken(const std::string& text, double advantage, double largest) {
    if (!show_.color) {
      char number[32];
      std::snprintf(number, sizeof(number), "%+.2f", advantage);
      out_ << "[" << text << " " << number << "]";
      return;
    }
    const int strength = static_cast<int>(std::lround(5 * std::abs(advantage) / largest));
    const int color = strength == 0 ? 236 : 16 + (advantage > 0 ? 6 * strength : 36 * strength);
    out_ << "\x1b[48;5;" << color << "m\x1b[38;5;" << (strength > 3 ? 16 : 231) << "m" << text
         << "\x1b[0m";
  }

  const Surroundings& around_;
  const ShowGroups& show_;
  std::ostream& out_;
};

}  // namespace

void PrintGroups(const fs::path& shard, const ShowGroups& show, std::ostream& out) {
  const std::vector<Group> groups = ReadShard(shard);
  const Surroundings around = SurroundingsOf(shard);
  if (!around.tokenizer || !around.corpus) {
    out << "The shard lies in no run's grpo/rollouts: tokens and drugs are shown as ids.\n";
  }
  if (!around.has_config) out << "Its run has no config.yaml: advantages use default credit.*.\n";
  GroupPrinter printer(around, show, out);
  int64_t printed = 0;
  for (const Group& group : groups) {
    if (show.task_id >= 0 ? group.task_id != show.task_id : printed == show.limit) continue;
    printer.Print(group);
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
