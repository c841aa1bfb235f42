// Prompts as token ids, from the templates of a YAML file (configs/prompts.yaml).
//
// Pieces are tokenized one by one, and their ids are joined. Every piece that another one follows
// ends with a line break or a slot, and the next is tokenized behind that end, so the joined ids
// equal the ids of the whole text, whatever the tokenizer puts before a text (the space of Llama 2,
// Metaspace, ByteLevel's add_prefix_space). A tokenizer that joins characters over a seam is
// refused.
//   classifier: ClassifierTrunk(visit) + CandidateBranch(drug) -> Yes / No
//   list:       ListTrunk(visit) + ListQuestion(list, edit)    -> ListAnswer(drugs)
#ifndef FLAME_DATA_PROMPTS_PROMPT_H_
#define FLAME_DATA_PROMPTS_PROMPT_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/list_task.h"
#include "data/prompts/entity_tokens.h"
#include "tokenizer/tokenizer.h"

namespace flame {

class PromptTexts;

class PromptBuilder {
 public:
  // Keeps references to `corpus` and `tokenizer`. Throws DataError on a template without a needed
  // placeholder, an unknown placeholder, answers of which one begins with all tokens of the other,
  // slots that are not tokens of `tokenizer`, one for every code of the corpus, or a tokenizer
  // under which the ids of joined pieces are not those of the joined text.
  PromptBuilder(const std::filesystem::path& templates, const Corpus& corpus,
                const Tokenizer& tokenizer, const EntityTokens& entities);

  // Trunks begin with the tokens that the tokenizer puts before a text.
  std::vector<int32_t> ClassifierTrunk(int32_t visit) const;
  // Ends with the tokens, if any, with which both answers begin.
  const std::vector<int32_t>& CandidateBranch(int32_t drug) const;
  int32_t yes_id() const { return yes_id_; }  // the first tokens in which the answers differ
  int32_t no_id() const { return no_id_; }

  std::vector<int32_t> ListTrunk(int32_t visit) const;
  std::vector<int32_t> ListQuestion(const std::vector<int32_t>& drugs, Edit edit) const;
  // Returns one name a line, each line ended by a line break, then end-of-text. {} gives
  // end-of-text alone.
  std::vector<int32_t> ListAnswer(const std::vector<int32_t>& drugs) const;
  int32_t end_id() const { return end_id_; }

  // Returns the text of every piece that a corpus can produce, for training a tokenizer.
  static std::vector<std::string> CorpusTexts(const std::filesystem::path& templates,
                                              const Corpus& corpus);

 private:
  void CheckEntities(const EntityTokens& entities) const;
  // Returns the ids of a trunk's text, with the slot of `visit` for kVisitToken.
  std::vector<int32_t> Trunk(const std::string& text, int32_t visit) const;
  std::vector<int32_t> EncodeAfter(const std::string& before, const std::string& text) const;
  void SetAnswers(const std::filesystem::path& templates);
  void CheckSeams() const;

  const Corpus& corpus_;
  const Tokenizer& tokenizer_;
  const int32_t visit_token_;  // EntityTokens::visit
  std::shared_ptr<const PromptTexts> texts_;
  std::vector<std::vector<int32_t>> candidate_branches_;
  int32_t yes_id_ = -1, no_id_ = -1, end_id_ = -1;
};

}  // namespace flame

#endif  // FLAME_DATA_PROMPTS_PROMPT_H_
