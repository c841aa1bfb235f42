#include "encoders/options.h"

namespace flame {
namespace {

constexpr char kWeights[] =
    "weights of another training, as safetensors (scripts/convert_weights.py); empty: the run "
    "trains";

// AdamW at the same rate for all updates, without clipping.
OptimizerOptions ConstantRate(double rate, double decay) {
  OptimizerOptions options;
  options.learning_rate = rate;
  options.schedule = "constant";
  options.warmup = 0;
  options.weight_decay = decay;
  options.grad_clip = 0;
  return options;
}

}  // namespace

void EncoderTrainingOptions::Bind(const std::string& section, ConfigSchema* schema) {
  schema->Number(section + ".learning_rate", &optimizer.learning_rate, {.low = 0, .low_open = true},
                 "learning rate, the same for all steps");
  schema->Number(section + ".weight_decay", &optimizer.weight_decay, {.low = 0}, "weight decay");
  schema->Int(section + ".batch", &batch, {.low = 1}, "visits per update, over all ranks");
  schema->Int(section + ".epochs", &epochs, {.low = 1}, "most passes over the training visits");
  schema->Int(
      section + ".patience", &patience, {.low = 0},
      "epochs without a lower loss on the validation visits, after which training stops; 0: "
      "trains to the end. The weights of the lowest loss are kept either way");
}

MicronOptions::MicronOptions() {
  optimizer = ConstantRate(2e-4, 1e-5);
  optimizer.method = OptimizerOptions::Method::kRmsProp;
  optimizer.beta2 = 0.99;
  epochs = 40;
  patience = 5;
}

void MicronOptions::Bind(ConfigSchema* schema) {
  EncoderTrainingOptions::Bind("micron", schema);
  schema->Path("micron.weights", &weights, kWeights);
  schema->Int("micron.dim", &dim, {1, 4096}, "width of MICRON's code vectors");
  schema->Number("micron.dropout", &dropout, {0, 1, false, true},
                 "dropout of MICRON's code vectors, in training only");
}

RaremedOptions::RaremedOptions() {
  optimizer = ConstantRate(1e-5, 0.1);
  epochs = 60;
  patience = 10;
}

void RaremedOptions::Bind(ConfigSchema* schema) {
  EncoderTrainingOptions::Bind("raremed", schema);
  schema->Path("raremed.weights", &weights, kWeights);
  schema->Int("raremed.dim", &dim, {1, 8192}, "width of RAREMed's vectors");
  schema->Int("raremed.layers", &layers, {1, 64}, "layers of RAREMed's Transformer encoder");
  schema->Int("raremed.heads", &heads, {1, 64}, "attention heads, which divide raremed.dim");
  schema->Int("raremed.hidden", &hidden, {1, 32768}, "width of the feed-forward layers");
  schema->Number("raremed.dropout", &dropout, {0, 1, false, true}, "dropout, in training only");
  schema->Int("raremed.pretrain_epochs", &pretrain_epochs, {0, 1000},
              "epochs of each pretraining task; 0: no pretraining");
  schema->Number("raremed.mask_share", &mask_share, {0, 1, false, true},
                 "share of a visit's codes that the self-reconstruction task hides");
  schema->Number("raremed.margin_weight", &margin_weight, {0, 1},
                 "weight of the multi-label margin loss; the cross-entropy has the rest");
  schema->Number("raremed.ddi_weight", &ddi_weight, {0, 1000}, "weight of the DDI loss");
}

MoleculeOptions::MoleculeOptions() { optimizer = ConstantRate(1e-3, 0); }

void MoleculeOptions::Bind(ConfigSchema* schema) {
  schema->Path("molecule.weights", &weights, kWeights);
  schema->Path(
      "molecule.smiles", &smiles,
      "table of drug_id and smiles to train on and to encode; empty: drugbank_to_smiles.csv "
      "of data.mappings");
  schema->Int("molecule.dim", &dim, {1, 4096}, "width of the molecules' vectors");
  schema->Int("molecule.layers", &layers, {1, 32}, "layers of the graph network");
  schema->Number("molecule.learning_rate", &optimizer.learning_rate, {.low = 0, .low_open = true},
                 "learning rate, the same for all steps");
  schema->Int("molecule.batch", &batch, {.low = 1}, "molecules per update");
  schema->Int("molecule.tokenizer_epochs", &tokenizer_epochs, {.low = 1},
              "passes over the molecules that train the tokenizer of atoms");
  schema->Int("molecule.epochs", &epochs, {.low = 1},
              "passes over the molecules that train the network");
}

}  // namespace flame
