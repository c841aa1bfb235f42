#include "data/prompts/prompt.h"

#include "base/error.h"
#include "data/prompts/texts.h"

namespace flame {

PromptBuilder::PromptBuilder(const std::filesystem::path& templates, const Corpus& corpus,
                             const Tokenizer& tokenizer, const EntityTokens& entities)
    : corpus_(corpus), tokenizer_(tokenizer), end_id_(tokenizer.eos_id()) {
  CheckEntities(entities);
  texts_ = std::make_shared<const PromptTexts>(templates, corpus, entities);
  if (end_id_ < 0) {
    throw DataError("the tokenizer has no end-of-text token; expected one that ends a list");
  }
  yes_id_ = tokenizer.Encode(texts_->yes()).at(0);
  no_id_ = tokenizer.Encode(texts_->no()).at(0);
  if (yes_id_ == no_id_) {
    throw DataError(templates.string(), ": the answers '", texts_->yes(), "' and '", texts_->no(),
                    "' begin with the same token ", yes_id_, "; expected two that differ there");
  }
  for (int32_t drug = 0; drug < corpus.drugs.size(); ++drug) {
    candidate_branches_.push_back(tokenizer.Encode(texts_->Candidate(drug)));
  }
}

void PromptBuilder::CheckEntities(const EntityTokens& entities) const {
  const int32_t sizes[kNumEntityKinds] = {corpus_.diagnoses.size(), corpus_.procedures.size(),
                                          corpus_.drugs.size()};
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
}

std::vector<int32_t> PromptBuilder::Trunk(const std::string& text) const {
  std::vector<int32_t> ids = tokenizer_.Encode(text);
  if (tokenizer_.bos_id() >= 0) ids.insert(ids.begin(), tokenizer_.bos_id());
  return ids;
}

std::vector<int32_t> PromptBuilder::ClassifierTrunk(int32_t visit) const {
  return Trunk(texts_->ClassifierTrunk(visit));
}

const std::vector<int32_t>& PromptBuilder::CandidateBranch(int32_t drug) const {
  return candidate_branches_.at(drug);
}

std::vector<int32_t> PromptBuilder::ListTrunk(int32_t visit) const {
  return Trunk(texts_->ListTrunk(visit));
}

std::vector<int32_t> PromptBuilder::ListQuestion(const std::vector<int32_t>& drugs,
                                                 Edit edit) const {
  return tokenizer_.Encode(texts_->Question(drugs, edit));
}

std::vector<int32_t> PromptBuilder::ListAnswer(const std::vector<int32_t>& drugs) const {
  std::vector<int32_t> ids;
  if (!drugs.empty()) ids = tokenizer_.Encode(texts_->Answer(drugs));
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
