#include "data/prompts/prompt.h"

#include <algorithm>

#include "base/error.h"
#include "data/prompts/texts.h"

namespace flame {
namespace {

// How every piece ends that does not end in a slot. The letter keeps the break from what the
// tokenizer puts before a text.
constexpr char kBreak[] = "x\n";

std::string End(const std::string& text) {
  constexpr size_t kShown = 24;
  return text.substr(text.size() - std::min(kShown, text.size()));
}

[[noreturn]] void FailSeam(const std::string& before, const std::string& text) {
  constexpr size_t kShown = 24;
  throw DataError("the tokenizer joins characters over the seam of two pieces of a prompt: '...",
                  End(before), "' and '", text.substr(0, kShown), "...'; expected one that gives ",
                  "the text behind a line break the same ids whatever stands before it");
}

}  // namespace

PromptBuilder::PromptBuilder(const std::filesystem::path& templates, const Corpus& corpus,
                             const Tokenizer& tokenizer, const EntityTokens& entities)
    : corpus_(corpus),
      tokenizer_(tokenizer),
      visit_token_(entities.visit),
      end_id_(tokenizer.eos_id()) {
  CheckEntities(entities);
  texts_ = std::make_shared<const PromptTexts>(templates, corpus, entities);
  if (end_id_ < 0) {
    throw DataError("the tokenizer has no end-of-text token; expected one that ends a list");
  }
  for (int32_t drug = 0; drug < corpus.drugs.size(); ++drug) {
    candidate_branches_.push_back(EncodeAfter(kBreak, texts_->Candidate(drug)));
  }
  SetAnswers(templates);
  CheckSeams();
}

// Finds the first tokens in which the answers differ. The tokens before these go to the candidates.
void PromptBuilder::SetAnswers(const std::filesystem::path& templates) {
  if (candidate_branches_.empty()) return;
  const std::string end = texts_->EndsInSlot(0) ? texts_->Candidate(0) : kBreak;
  const std::vector<int32_t> yes = EncodeAfter(end, texts_->yes());
  const std::vector<int32_t> no = EncodeAfter(end, texts_->no());
  const auto [yes_at, no_at] = std::mismatch(yes.begin(), yes.end(), no.begin(), no.end());
  if (yes_at == yes.end() || no_at == no.end()) {
    throw DataError(templates.string(), ": the tokens of the answers '", texts_->yes(), "' and '",
                    texts_->no(), "' differ nowhere before one ends; expected two that do");
  }
  yes_id_ = *yes_at;
  no_id_ = *no_at;
  for (std::vector<int32_t>& branch : candidate_branches_) {
    branch.insert(branch.end(), yes.begin(), yes_at);
  }
}

// Returns the ids of `text` where it follows a text that ends with `before`.
std::vector<int32_t> PromptBuilder::EncodeAfter(const std::string& before,
                                                const std::string& text) const {
  const std::vector<int32_t> head = tokenizer_.Encode(before);
  std::vector<int32_t> ids = tokenizer_.Encode(before + text);
  if (head.size() > ids.size() || !std::equal(head.begin(), head.end(), ids.begin())) {
    FailSeam(before, text);
  }
  ids.erase(ids.begin(), ids.begin() + static_cast<int64_t>(head.size()));
  return ids;
}

// Compares the ids of joined pieces with those of the joined text, for some visits and all drugs.
void PromptBuilder::CheckSeams() const {
  constexpr int32_t kVisits = 16;
  const auto num_visits = static_cast<int32_t>(corpus_.visits.size());
  const int32_t num_drugs = corpus_.drugs.size();
  if (num_drugs == 0) return;
  const auto check = [&](int32_t visit, std::vector<int32_t> ids, const std::vector<int32_t>& more,
                         const std::string& before, const std::string& text) {
    ids.insert(ids.end(), more.begin(), more.end());
    if (ids != Trunk(before + text, visit)) FailSeam(before, text);
  };
  for (int32_t i = 0; i < std::min(kVisits, num_visits); ++i) {
    const int32_t visit = num_visits / std::min(kVisits, num_visits) * i, drug = i % num_drugs;
    check(visit, ClassifierTrunk(visit), EncodeAfter(kBreak, texts_->Candidate(drug)),
          texts_->ClassifierTrunk(visit), texts_->Candidate(drug));
    const std::vector<int32_t>& drugs = corpus_.visits[visit].drugs;
    for (const Edit edit : {Edit::kAdd, Edit::kRemove}) {
      check(visit, ListTrunk(visit), ListQuestion(drugs, edit), texts_->ListTrunk(visit),
            texts_->Question(drugs, edit));
    }
  }
  for (int32_t drug = 0; drug < num_drugs; ++drug) {
    const int32_t next = (drug + 1) % num_drugs;
    std::vector<int32_t> lines = EncodeAfter(kBreak, texts_->Answer({drug}));
    const std::vector<int32_t> second = EncodeAfter(kBreak, texts_->Answer({next}));
    lines.insert(lines.end(), second.begin(), second.end());
    if (lines != EncodeAfter(kBreak, texts_->Answer({drug, next}))) {
      FailSeam(texts_->Answer({drug}), texts_->Answer({next}));
    }
  }
}

void PromptBuilder::CheckEntities(const EntityTokens& entities) const {
  const int32_t sizes[kNumEntityKinds] = {
      corpus_.diagnoses.num_slots(), corpus_.procedures.num_slots(), corpus_.drugs.num_slots()};
  for (int k = 0; k < kNumEntityKinds; ++k) {
    if (entities.first[k] < 0) continue;
    if (entities.count[k] != sizes[k]) {
      throw DataError("there are ", entities.count[k], " slots like ",
                      EntityToken(EntityKind(k), 0), "; the corpus has ", sizes[k], " such codes");
    }
    for (int32_t i = 0; i < sizes[k]; ++i) {
      const std::string slot = EntityToken(EntityKind(k), i);
      if (tokenizer_.IdOf(slot) == entities.first[k] + i) continue;
      throw DataError("slot ", slot, " is token ", tokenizer_.IdOf(slot),
                      " of the tokenizer; expected ", entities.first[k] + i);
    }
  }
  // Nothing may lie behind the token: the visits' ids do.
  if (entities.visit >= 0 &&
      (tokenizer_.IdOf(kVisitToken) != entities.visit || entities.visit != tokenizer_.size() - 1)) {
    throw DataError(kVisitToken, " is token ", tokenizer_.IdOf(kVisitToken),
                    " of the tokenizer; expected ", entities.visit, ", its last");
  }
}

std::vector<int32_t> PromptBuilder::Trunk(const std::string& text, int32_t visit) const {
  std::vector<int32_t> ids = tokenizer_.prefix_ids();
  const std::vector<int32_t> rest = tokenizer_.Encode(text);
  ids.insert(ids.end(), rest.begin(), rest.end());
  if (visit_token_ >= 0) std::replace(ids.begin(), ids.end(), visit_token_, visit_token_ + visit);
  return ids;
}

std::vector<int32_t> PromptBuilder::ClassifierTrunk(int32_t visit) const {
  return Trunk(texts_->ClassifierTrunk(visit), visit);
}

const std::vector<int32_t>& PromptBuilder::CandidateBranch(int32_t drug) const {
  return candidate_branches_.at(drug);
}

std::vector<int32_t> PromptBuilder::ListTrunk(int32_t visit) const {
  return Trunk(texts_->ListTrunk(visit), visit);
}

std::vector<int32_t> PromptBuilder::ListQuestion(const std::vector<int32_t>& drugs,
                                                 Edit edit) const {
  return EncodeAfter(kBreak, texts_->Question(drugs, edit));
}

std::vector<int32_t> PromptBuilder::ListAnswer(const std::vector<int32_t>& drugs) const {
  std::vector<int32_t> ids;
  if (!drugs.empty()) ids = EncodeAfter(kBreak, texts_->Answer(drugs));
  ids.push_back(end_id_);
  return ids;
}

std::vector<std::string> PromptBuilder::CorpusTexts(const std::filesystem::path& templates,
                                                    const Corpus& corpus) {
  const PromptTexts texts(templates, corpus, EntityTokens());
  std::vector<std::string> all = {texts.yes(), texts.no()};
  for (int32_t drug = 0; drug < corpus.drugs.size(); ++drug) {
    all.push_back(texts.Candidate(drug));
    all.push_back(texts.Answer({drug}));
  }
  for (size_t i = 0; i < corpus.visits.size(); ++i) {
    const int32_t visit = static_cast<int32_t>(i);
    const std::vector<int32_t>& drugs = corpus.visits[i].drugs;
    all.push_back(texts.ClassifierTrunk(visit));
    all.push_back(texts.ListTrunk(visit));
    all.push_back(texts.Question(drugs, Edit::kAdd));
    all.push_back(texts.Question(drugs, Edit::kRemove));
    all.push_back(texts.Answer(drugs));
  }
  return all;
}

}  // namespace flame
