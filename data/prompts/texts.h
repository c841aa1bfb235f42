// The texts of all prompts, before they are tokenized.
#ifndef FLAME_DATA_PROMPTS_TEXTS_H_
#define FLAME_DATA_PROMPTS_TEXTS_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "data/list_task.h"
#include "data/prompts/drug_mentions.h"
#include "data/prompts/entity_tokens.h"
#include "data/prompts/template.h"

namespace flame {

// The pieces ClassifierTrunk, Candidate, ListTrunk and Question end with text and one line break,
// and the piece that follows does not begin with white space. The split patterns of GPT-2 and Llama
// 3 never join characters over such a seam. A Candidate that ends in its slot has no line break,
// because the slot is a token of its own. The templates' file explains the placeholders.
class PromptTexts {
 public:
  // Keeps a reference to `corpus`. Throws DataError as PromptBuilder does.
  PromptTexts(const std::filesystem::path& templates, const Corpus& corpus,
              const EntityTokens& entities);

  std::string ClassifierTrunk(int32_t visit) const;
  std::string Candidate(int32_t drug) const;
  bool EndsInSlot(int32_t drug) const;  // true if the candidate does
  const std::string& yes() const { return yes_; }
  const std::string& no() const { return no_; }
  std::string ListTrunk(int32_t visit) const;
  std::string Question(const std::vector<int32_t>& drugs, Edit edit) const;
  std::string Answer(const std::vector<int32_t>& drugs) const;

 private:
  using Values = std::map<std::string, std::string>;
  enum class Style { kEntity, kName };
  std::string Slot(EntityKind kind, int32_t index) const;
  std::string Entities(EntityKind kind, const std::vector<int32_t>& indices, Style style,
                       const std::string& separator) const;
  // Gives the drugs that a section of a note names their slots.
  std::string Linked(const std::string& section) const;
  Values VisitValues(const Visit& visit, bool with_drugs) const;
  Values TrunkValues(int32_t visit) const;

  const Corpus& corpus_;
  EntityTokens entities_;
  DrugMentions mentions_;
  std::string separator_, yes_, no_;
  PromptTemplate entity_, visit_, visit_without_note_, previous_;
  PromptTemplate classifier_trunk_, candidate_, list_trunk_, add_, remove_;
};

}  // namespace flame

#endif  // FLAME_DATA_PROMPTS_TEXTS_H_
