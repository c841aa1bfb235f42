// Config sections `micron`, `raremed` and `molecule`.
#ifndef FLAME_ENCODERS_OPTIONS_H_
#define FLAME_ENCODERS_OPTIONS_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/config.h"
#include "trainer/options.h"

namespace flame {

struct EncoderTrainingOptions {
  OptimizerOptions optimizer;
  int64_t batch = 1;     // visits per update
  int64_t epochs = 1;    // passes over the training visits
  int64_t patience = 5;  // epochs without a lower validation loss; 0: trains to the end
  void Bind(const std::string& section, ConfigSchema* schema);
};

// The defaults are the authors' (Yang et al. 2021, their code): RMSprop at 2e-4 with an L2 penalty
// of 1e-5 and one patient per update; here a batch is one of visits.
struct MicronOptions : EncoderTrainingOptions {
  std::filesystem::path weights;  // of another training, as safetensors; empty: trains
  int64_t dim = 64;
  double dropout = 0.5;  // of code embeddings
  MicronOptions();
  void Bind(ConfigSchema* schema);  // micron.*
};

// The defaults are the authors' (Zhao et al. 2024, their code).
struct RaremedOptions : EncoderTrainingOptions {
  std::filesystem::path weights;  // of another training, as safetensors; empty: trains
  int64_t dim = 512, layers = 3, heads = 4;
  int64_t hidden = 2048;  // width of the feed-forward layers
  double dropout = 0.3;
  int64_t pretrain_epochs = 20;  // of each pretraining task; 0: no pretraining
  double mask_share = 0.15;      // codes that self-reconstruction hides
  double margin_weight = 0.005;  // of the multi-label margin; the rest is the cross-entropy's
  double ddi_weight = 0.1;
  RaremedOptions();
  void Bind(ConfigSchema* schema);  // raremed.*
};

// The defaults are Mole-BERT's authors' (Xia et al. 2023, their code).
struct MoleculeOptions {
  OptimizerOptions optimizer;
  std::filesystem::path weights;  // of another training, as safetensors; empty: trains
  std::filesystem::path smiles;   // a table of drug_id and smiles; empty: the hospital's own
  int64_t dim = 300, layers = 5;
  int64_t batch = 256;
  int64_t tokenizer_epochs = 60, epochs = 100;
  MoleculeOptions();
  void Bind(ConfigSchema* schema);  // molecule.*
};

}  // namespace flame

#endif  // FLAME_ENCODERS_OPTIONS_H_
