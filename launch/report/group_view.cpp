#include "launch/report/group_view.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "launch/config/config.h"
#include "launch/config/run_paths.h"
#include "tokenizer/text.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Replaces line breaks and other control characters by marks.
std::string Visible(const std::string& text) {
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

}  // namespace

GroupViewer::GroupViewer(const fs::path& run_dir) {
  const RunPaths run(run_dir);
  if (fs::exists(run.base() / "tokenizer.json")) {
    tokenizer_ = Tokenizer::Load(run.base() / "tokenizer.json");
  }
  if (fs::exists(run.corpus())) corpus_ = ReadCorpus(run.corpus());
  if (fs::exists(run.tasks())) tasks_ = ReadListTasks(run.tasks());
  credit_known_ = fs::exists(run.config());
  if (credit_known_) credit_ = LoadConfig(run.config(), {}).credit;
}

GroupView GroupViewer::View(const Group& group) const {
  GroupView view;
  view.task_id = group.task_id;
  view.task = group.task;
  view.version = group.policy_version;
  TellTask(&view);
  view.prompt_tokens = static_cast<int64_t>(group.prompt.size());
  view.prompt = TextOf(group.prompt);
  std::vector<const Verdict*> verdicts;
  for (const Trajectory& member : group.members) verdicts.push_back(&member.verdict);
  const Advantages advantages = ComputeAdvantages(verdicts, credit_);
  view.largest = 1e-9;
  for (size_t m = 0; m < group.members.size(); ++m) {
    view.members.push_back(MemberOf(group.members[m], advantages.tokens[m]));
    for (const TokenView& token : view.members.back().tokens) {
      view.largest = std::max(view.largest, std::abs(token.advantage));
    }
  }
  return view;
}

std::string GroupViewer::NamesOf(const std::vector<int32_t>& drugs) const {
  std::string names;
  for (const int32_t drug : drugs) {
    const bool known = corpus_ && drug >= 0 && drug < corpus_->drugs.size();
    names += StrCat(names.empty() ? "" : ", ",
                    known ? corpus_->drugs.titles[drug] : StrCat("drug ", drug));
  }
  return names.empty() ? "none" : names;
}

std::string GroupViewer::TextOf(const std::vector<int32_t>& tokens) const {
  std::string text;
  for (const int32_t token : tokens) text += PieceOf(token);
  return ReplaceInvalidUtf8(text);
}

std::string GroupViewer::PieceOf(int32_t token) const {
  if (!tokenizer_ || token >= tokenizer_->size()) return StrCat("<", token, ">");
  const std::string& bytes = tokenizer_->TokenBytes(token);
  return bytes.empty() ? tokenizer_->Decode({token}, /*skip_special_tokens=*/false) : bytes;
}

void GroupViewer::TellTask(GroupView* view) const {
  if (view->task < 0 || view->task >= static_cast<int64_t>(tasks_.size())) return;
  const ListTask& task = tasks_[view->task];
  view->visit = StrCat("visit ", task.visit);
  view->edit = task.edit == Edit::kAdd ? "add to" : "remove from";
  view->input = NamesOf(task.input);
  if (corpus_ && task.visit < static_cast<int32_t>(corpus_->visits.size())) {
    view->visit = StrCat("HADM_ID ", corpus_->visits[task.visit].hadm);
    view->prescribed = NamesOf(corpus_->visits[task.visit].drugs);
  }
}

MemberView GroupViewer::MemberOf(const Trajectory& member,
                                 const std::vector<float>& advantages) const {
  const Verdict& verdict = member.verdict;
  MemberView view;
  view.reward = verdict.reward;
  view.refused = verdict.num_refused;
  view.lines = verdict.num_lines;
  view.list = NamesOf(verdict.final_list);
  for (size_t n = 0; n < verdict.phi.size(); ++n) {
    std::vector<int32_t> tokens;
    for (size_t t = 0; t < member.tokens.size(); ++t) {
      if (n > 0 && verdict.step_of_token[t] == static_cast<int16_t>(n)) {
        tokens.push_back(member.tokens[t]);
      }
    }
    view.steps.push_back({Visible(TextOf(tokens)), verdict.phi[n], verdict.phi_jaccard[n],
                          verdict.phi_ddi[n], verdict.phi_refusal[n]});
  }
  for (size_t t = 0; t < member.tokens.size(); ++t) {
    view.tokens.push_back({Visible(PieceOf(member.tokens[t])), advantages[t]});
  }
  return view;
}

}  // namespace flame
