#include "model/options.h"

#include <algorithm>

namespace flame {

void LoraOptions::Bind(const std::string& prefix, ConfigSchema* schema) {
  schema->Int(prefix + ".rank", &rank, {1, 4096}, "rank of the LoRA adapters");
  schema->Number(prefix + ".alpha", &alpha, {0, 1e6, true}, "LoRA scale is alpha / rank");
  schema->Number(prefix + ".dropout", &dropout, {0, 1, false, true},
                 "dropout on the adapters' input, in training only");
  schema->TextList(
      prefix + ".targets", &targets,
      "linear layers with adapters: q_proj k_proj v_proj o_proj gate_proj up_proj down_proj");
}

void ModelOptions::Bind(ConfigSchema* schema) {
  schema->Path("model.path", &path, "a Hugging Face directory; empty: start from model.preset");
  schema->Choice("model.preset", &preset, {"tiny", "small"},
                 "size of the model that starts from random weights");
  schema->Choice("model.dtype", &dtype, {"float32", "float64", "bfloat16"},
                 "type of the weights and activations; bfloat16 halves the memory and needs "
                 "model.trainable lora, whose adapters stay float32");
  schema->Choice("model.device", &device, {"cpu", "cuda"},
                 "where the policy computes; cuda: the GPU chosen by the rank's number on this "
                 "machine; needs a build with the GPU wheels (scripts/gpu_check)");
  schema->Choice("model.quantize", &quantize, {"none", "int8", "nf4"},
                 "store the blocks' frozen weights in 8 (int8) or 4.5 (nf4) bits each and "
                 "dequantise them at each use; needs model.trainable lora");
  schema->Choice(
      "model.trainable", &trainable, {"lora", "full"},
      "lora: adapters and projectors (the method); full: every weight in SFT, as a small "
      "model made from scratch needs");
  schema->Bool("model.recompute", &recompute,
               "recompute a block in backward instead of keeping its activations: less memory, "
               "a third more time");
  schema->Int("model.vocab_size", &vocab_size, {257, 1e7},
              "entries of the tokenizer trained for a preset");
  lora.Bind("model.lora", schema);
}

void EncoderOptions::Bind(ConfigSchema* schema) {
  const std::string file = "or a file of vectors: .safetensors, .npy or .h5 (docs/encoders.md)";
  const std::string help =
      "none (text only), random (a fixed vector per entity), micron (trained on the run's training "
      "visits) " +
      file;
  schema->Text("encoders.patient", &patient,
               "vector of the visit in its prompt: none, raremed (trained on the run's training "
               "visits) " +
                   file);
  schema->Text("encoders.diagnosis", &diagnosis, help);
  schema->Text("encoders.procedure", &procedure, help);
  schema->Text(
      "encoders.drug", &drug,
      "none (text only), random (a fixed vector per entity), molecule (Mole-BERT's, trained "
      "on the structures of drugs) " +
          file);
  schema->TextList("encoders.train", &train,
                   "encoders to train for their rows in the evaluation, whether or not a slot has "
                   "their vectors: micron raremed");
}

bool EncoderOptions::Trains(const std::string& encoder) const {
  return patient == encoder || diagnosis == encoder || procedure == encoder || drug == encoder ||
         std::find(train.begin(), train.end(), encoder) != train.end();
}

bool EncoderOptions::FillsSlots() const {
  EncoderOptions slots = *this;
  slots.train.clear();
  return slots.TrainsAny();
}

bool IsEncoderFile(const std::string& encoder) {
  const std::vector<std::string> names = {"none", "random", "micron", "raremed", "molecule"};
  return std::find(names.begin(), names.end(), encoder) == names.end();
}

std::filesystem::path IdsFile(const std::filesystem::path& vectors) {
  return vectors.parent_path() / (vectors.stem().string() + ".ids.txt");
}

std::string EncoderKey::Expected() const {
  std::string words;
  for (const std::string& name : named) words += (words.empty() ? "" : ", ") + name;
  return words + " or a file of vectors";
}

std::vector<EncoderKey> EncoderKeys(const EncoderOptions& options) {
  return {{"encoders.patient", options.patient, {"none", "raremed"}},
          {"encoders.diagnosis", options.diagnosis, {"none", "random", "micron"}},
          {"encoders.procedure", options.procedure, {"none", "random", "micron"}},
          {"encoders.drug", options.drug, {"none", "random", "molecule"}}};
}

}  // namespace flame
