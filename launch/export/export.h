// Export of a trained policy as a plain Hugging Face folder, which any server of Llama models
// loads.
#ifndef FLAME_LAUNCH_EXPORT_EXPORT_H_
#define FLAME_LAUNCH_EXPORT_EXPORT_H_

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/config/config.h"
#include "model/architecture.h"
#include "tokenizer/tokenizer.h"

namespace flame {

// Throws UsageError if `out` exists and is not an empty folder.
void ExpectNewFolder(const std::filesystem::path& out);

// Returns the ids of all slots in the tokenizer: of entities, and of the patient.
std::vector<int32_t> SlotIds(const Tokenizer& tokenizer);

// Writes generation_config.json: greedy, with the end tokens, and with the slots as
// `suppress_tokens`.
void WriteGenerationConfig(const PolicyConfig& config, const std::vector<int32_t>& slots,
                           const std::filesystem::path& folder);

// Returns the run's evaluation if it is there and of the run's present policies; else logs why it
// is left out, and returns null.
nlohmann::json CurrentEvaluation(const Config& config);

struct ExportRequest {
  std::filesystem::path model;  // the folder of policy and tokenizer
  std::filesystem::path run;    // the run that made it; "": unknown, so that less is written
  std::filesystem::path out;
  std::string dtype = "float32";  // or bfloat16, float16; of a GGUF file f32, f16 or q8_0
};

struct ExportReport {
  bool patient_slot = false;  // the policy had the patient's slot, and the export has not
  // The Jaccard that the slot adds, with its interval, from the run's evaluation; "": unknown.
  std::string patient_slot_worth;
  // The folder's only: the largest difference of a logit between the export and the policy before
  // merging and rounding, on random tokens and slots.
  double logit_difference = 0;
};

// Writes the policy as the GGUF file request.out (launch/export/gguf.h). Throws UsageError if there
// is such a file.
ExportReport ExportGguf(const ExportRequest& request);

// Reads the policy and tokenizer of request.model and writes request.out, completely or not at all:
//   - the policy with merged adapters, and with entity slots as rows of the embedding table. The
//     patient's slot is none of these: its token has a row that no prompt should use;
//   - the tokenizer;
//   - generation_config.json with the end tokens and, as `suppress_tokens`, the ids of the slots,
//     which are input only;
//   - threshold.json, if the model has one, as a classifier's has;
//   - README.md, a model card;
//   - of a run, drugs.gbnf and drugs.regex, grammars of a list of its drugs;
//   - manifest.json, with the files' digests and, of a run, its config, evaluation and funnel.
// Throws DataError if the model is damaged, and does as ExpectNewFolder.
ExportReport ExportPolicy(const ExportRequest& request);

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_EXPORT_H_
