// Export of a trained policy as a peft adapter for the model that its run started from.
#ifndef FLAME_LAUNCH_EXPORT_PEFT_H_
#define FLAME_LAUNCH_EXPORT_PEFT_H_

#include <cstdint>
#include <filesystem>
#include <string>

namespace flame {

struct PeftRequest {
  std::filesystem::path run, out;
  // Slots of codes and drugs, which the pretrained model does not know, are
  //   drop  left out: prompts are text alone, and the adapter is one for the model as it came
  //   rows  rows of the embedding table of OUT/base, a copy of the pretrained model, and the
  //         adapter is one for that
  std::string slots = "drop";
};

struct PeftReport {
  int64_t rank = 0;
  bool patient_slot = false;  // the policy had the patient's slot, and the export has not
  // The largest difference of a logit between base with adapter and the run's policy, on random
  // tokens; with rows also on slots.
  double logit_difference = 0;
};

// Writes adapter_config.json and adapter_model.safetensors, completely or not at all, with a model
// card. The adapter is the sum of the run's two: SFT's, which GRPO merged, and GRPO's own. Ranks
// add up, and the scales are in lora_B, so that lora_alpha is the rank. Nothing is in
// modules_to_save, which servers refuse. Throws UsageError if the run trains all weights, or, with
// slots dropped, if it began with no pretrained model; and as ExpectNewFolder.
PeftReport ExportPeft(const PeftRequest& request);

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_PEFT_H_
