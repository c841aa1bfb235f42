#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "reward/external.h"
#include "reward/matcher.h"
#include "reward/potential.h"
#include "reward/segmentation.h"
#include "reward/service.h"
#include "tokenizer/text.h"

namespace flame {

struct Scorer::State {
  const Corpus& corpus;
  const Tokenizer& tokenizer;
  int32_t end_id;
  double alpha, beta;
  Segmentation segmentation;
  DrugMatcher matcher;
  std::vector<DrugSet> partners;
  std::unique_ptr<ExternalProgram> external;
  int64_t restarts_taken = 0;

  int32_t num_drugs() const { return corpus.drugs.size(); }
  void Check(const ScoreRequest& request) const;
  // Adds to `questions`, unless null, one question for the external program for each state of phi.
  Verdict Judge(const ScoreRequest& request, const DrugSet& truth,
                const std::vector<int32_t>& completion, std::vector<std::string>* questions) const;
  std::string Question(const ScoreRequest& request, const DrugSet& truth,
                       const Potential& potential, int32_t step, size_t id) const;
  std::vector<std::string> CodesOf(const std::vector<int32_t>& drugs) const;
};

namespace {

void CheckTruths(const Corpus& corpus) {
  if (corpus.ddi.num_drugs() != corpus.drugs.size()) {
    throw DataError("the DDI graph has ", corpus.ddi.num_drugs(), " drugs, the vocabulary ",
                    corpus.drugs.size());
  }
  for (size_t visit = 0; visit < corpus.visits.size(); ++visit) {
    for (int32_t drug : corpus.visits[visit].drugs) {
      if (drug < 0 || drug >= corpus.drugs.size()) {
        throw DataError("visit ", visit, " has drug ", drug, "; expected 0..",
                        corpus.drugs.size() - 1);
      }
    }
  }
}

// Returns each token's bytes, up to the end of the text.
std::vector<std::string_view> PiecesBeforeEnd(const Tokenizer& tokenizer, int32_t end_id,
                                              const std::vector<int32_t>& completion) {
  std::vector<std::string_view> pieces;
  for (int32_t token : completion) {
    if (token == end_id) break;
    pieces.push_back(tokenizer.TokenBytes(token));
  }
  return pieces;
}

}  // namespace

Scorer::Scorer(const Corpus& corpus, const Tokenizer& tokenizer, int32_t end_id,
               const RewardOptions& options) {
  CheckTruths(corpus);
  state_ = std::make_unique<State>(State{corpus, tokenizer, end_id, options.alpha, options.beta,
                                         ParseSegmentation(options.segmentation),
                                         DrugMatcher(corpus.drugs.titles),
                                         HarmfulPartners(corpus.ddi), nullptr});
  if (options.external.empty()) return;
  state_->external = std::make_unique<ExternalProgram>(
      options.external,
      std::chrono::milliseconds(static_cast<int64_t>(options.external_timeout * 1000)));
  const DrugSet none(corpus.drugs.size());
  const Potential empty(state_->partners, none, {});
  state_->external->Ask({state_->Question({-1, -1, Edit::kAdd, {}, {}}, none, empty, 0, 0)});
}

int64_t Scorer::TakeRestarts() const {
  if (state_->external == nullptr) return 0;
  const int64_t all = state_->external->restarts();
  return all - std::exchange(state_->restarts_taken, all);
}

Scorer::~Scorer() = default;

std::vector<Verdict> Scorer::Score(const ScoreRequest& request) const {
  state_->Check(request);
  const DrugSet truth(state_->num_drugs(), state_->corpus.visits[request.visit].drugs);
  std::vector<Verdict> verdicts;
  std::vector<std::string> questions;
  for (const auto& completion : request.completions) {
    verdicts.push_back(
        state_->Judge(request, truth, completion, state_->external ? &questions : nullptr));
  }
  if (questions.empty()) return verdicts;
  const std::vector<double> phi = state_->external->Ask(questions);
  auto next = phi.begin();
  for (Verdict& verdict : verdicts) {
    for (float& value : verdict.phi) value = static_cast<float>(*next++);
    verdict.reward = verdict.phi.back() - verdict.phi.front();
  }
  return verdicts;
}

std::vector<std::string> Scorer::State::CodesOf(const std::vector<int32_t>& drugs) const {
  std::vector<std::string> codes;
  for (const int32_t drug : drugs) codes.push_back(corpus.drugs.codes[drug]);
  return codes;
}

std::string Scorer::State::Question(const ScoreRequest& request, const DrugSet& truth,
                                    const Potential& potential, int32_t step, size_t id) const {
  const PhiTerms terms = potential.Terms();
  return nlohmann::json{{"id", id},
                        {"task_id", request.task_id},
                        {"visit", request.visit},
                        {"edit", request.edit == Edit::kAdd ? "add" : "remove"},
                        {"input", CodesOf(request.input)},
                        {"list", CodesOf(potential.list())},
                        {"truth", CodesOf(truth.Drugs())},
                        {"step", step},
                        {"lines", potential.num_lines()},
                        {"refused", potential.num_refused()},
                        {"jaccard", terms.jaccard},
                        {"ddi", terms.ddi},
                        {"refusal", terms.refusal}}
      .dump();
}

void Scorer::State::Check(const ScoreRequest& request) const {
  const auto num_visits = static_cast<int64_t>(corpus.visits.size());
  if (request.visit < 0 || request.visit >= num_visits) {
    throw DataError("task ", request.task_id, " asks for visit ", request.visit, "; expected 0..",
                    num_visits - 1);
  }
  if (request.edit != Edit::kAdd && request.edit != Edit::kRemove) {
    throw DataError("task ", request.task_id, " has edit ", static_cast<int>(request.edit),
                    "; expected 0 (add) or 1 (remove)");
  }
  for (int32_t drug : request.input) {
    if (drug >= 0 && drug < num_drugs()) continue;
    throw DataError("task ", request.task_id, " lists drug ", drug, "; expected 0..",
                    num_drugs() - 1);
  }
  for (const auto& completion : request.completions) {
    for (int32_t token : completion) {
      if (token >= 0 && token < tokenizer.size()) continue;
      throw DataError("task ", request.task_id, " has a completion with token ", token,
                      "; expected 0..", tokenizer.size() - 1);
    }
  }
}

Verdict Scorer::State::Judge(const ScoreRequest& request, const DrugSet& truth,
                             const std::vector<int32_t>& completion,
                             std::vector<std::string>* questions) const {
  const Lines lines = SplitLines(PiecesBeforeEnd(tokenizer, end_id, completion));
  Steps steps = AssignSteps(lines, segmentation);
  Potential potential(partners, truth, request.input);
  Verdict verdict;
  size_t line = 0;
  for (int32_t step = 0; step <= steps.num_steps; ++step) {
    for (; line < lines.lines.size() && steps.step_of_line[line] <= step; ++line) {
      const std::string& text = lines.lines[line].text;
      const int32_t drug = matcher.Match(text);
      potential.Apply(request.edit, drug);
      if (drug < 0 && verdict.unmatched.size() < kMaxUnmatched) {
        verdict.unmatched.push_back(ReplaceInvalidUtf8(text.substr(0, kMaxUnmatchedBytes)));
      }
    }
    if (questions != nullptr) {
      questions->push_back(Question(request, truth, potential, step, questions->size()));
    }
    const PhiTerms terms = potential.Terms();
    verdict.phi.push_back(
        static_cast<float>(terms.jaccard - alpha * terms.ddi - beta * terms.refusal));
    verdict.phi_jaccard.push_back(static_cast<float>(terms.jaccard));
    verdict.phi_ddi.push_back(static_cast<float>(terms.ddi));
    verdict.phi_refusal.push_back(static_cast<float>(terms.refusal));
    verdict.state.push_back(potential.fingerprint());
  }
  verdict.step_of_token = std::move(steps.step_of_token);
  verdict.step_of_token.resize(completion.size(), -1);
  verdict.reward = verdict.phi.back() - verdict.phi.front();
  verdict.final_list = potential.list();
  verdict.num_lines = potential.num_lines();
  verdict.num_refused = potential.num_refused();
  return verdict;
}

}  // namespace flame
