// README.md of an export: a model card (huggingface.co/docs/hub/model-cards).
#ifndef FLAME_LAUNCH_EXPORT_MODEL_CARD_H_
#define FLAME_LAUNCH_EXPORT_MODEL_CARD_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace flame {

struct CardFacts {
  std::filesystem::path base;  // the pretrained model's folder; "": a random start
  std::string dtype;
  nlohmann::json evaluation;  // evaluation.json; null: not evaluated
  bool classifier = false;    // pi_cls, in place of the list policy
  bool patient_slot = false;  // trained with a vector of the visit
  bool grammars = false;      // the export has grammars of the drugs
  bool adapter = false;       // a peft adapter, in place of a whole model
};

// Returns the card. The licence is that of the base's own card, or "other" where it has none.
std::string ModelCard(const CardFacts& facts);

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_MODEL_CARD_H_
