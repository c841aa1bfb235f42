// Prompts as token ids, from the templates of a YAML file (configs/prompts.yaml).
//
// Pieces are tokenized one by one and joined. Templates put every seam after a line break, so
// joined ids equal the ids of the joined text.
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
  // placeholder, an unknown placeholder, answers whose first tokens are equal, or slots that are
  // not tokens of `tokenizer`, one for every code of the corpus.
  PromptBuilder(const std::filesystem::path& templates, const Corpus& corpus,
                const Tokenizer& tokenizer, const EntityTokens& entities);

  std::vector<int32_t> ClassifierTrunk(int32_t visit) const;  // begins with bos if there is one
  const std::vector<int32_t>& CandidateBranch(int32_t drug) const;
  int32_t yes_id() const { return yes_id_; }  // first tokens of the answers
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
  std::vector<int32_t> Trunk(const std::string& text) const;

  const Corpus& corpus_;
  const Tokenizer& tokenizer_;
  std::shared_ptr<const PromptTexts> texts_;
  std::vector<std::vector<int32_t>> candidate_branches_;
  int32_t yes_id_ = -1, no_id_ = -1, end_id_ = -1;
};

}  // namespace flame

#endif  // FLAME_DATA_PROMPTS_PROMPT_H_
