// Slots: the tokens that stand for entities (diagnoses, procedures, drugs) in prompts.
#ifndef FLAME_DATA_PROMPTS_ENTITY_TOKENS_H_
#define FLAME_DATA_PROMPTS_ENTITY_TOKENS_H_

#include <cstdint>
#include <string>

namespace flame {

enum class EntityKind : int8_t { kDiagnosis = 0, kProcedure = 1, kDrug = 2 };
inline constexpr int kNumEntityKinds = 3;
// Returns "<DiagEmb-7>", "<ProcEmb-0>", "<DrugEmb-45>".
std::string EntityToken(EntityKind kind, int32_t index);

// The token of a visit's vector in prompts' texts. A corpus has many visits, so a tokenizer has
// this one token for all.
inline constexpr char kVisitToken[] = "<VisitEmb>";

// The slots' ids: entity i of a kind is token first[kind] + i. If first[kind] is -1, the kind has
// no slots and templates render it as text alone.
struct EntityTokens {
  int32_t first[kNumEntityKinds] = {-1, -1, -1};
  int32_t count[kNumEntityKinds] = {0, 0, 0};
  // The id of kVisitToken. In a prompt's ids, visit i is visit + i, although the tokenizer ends at
  // `visit`. -1: prompts have no vector of their visit.
  int32_t visit = -1;
};

}  // namespace flame

#endif  // FLAME_DATA_PROMPTS_ENTITY_TOKENS_H_
