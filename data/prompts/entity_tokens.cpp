#include "data/prompts/entity_tokens.h"

namespace flame {

std::string EntityToken(EntityKind kind, int32_t index) {
  static constexpr const char* kPrefixes[kNumEntityKinds] = {"<DiagEmb-", "<ProcEmb-", "<DrugEmb-"};
  return kPrefixes[static_cast<int>(kind)] + std::to_string(index) + '>';
}

}  // namespace flame
