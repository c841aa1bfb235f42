// Config sections `model` and `encoders`.
#ifndef FLAME_MODEL_OPTIONS_H_
#define FLAME_MODEL_OPTIONS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "base/config.h"

namespace flame {

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;      // scale = alpha / rank
  double dropout = 0.05;  // on the input of lora_A, training only
  // A subset of q_proj k_proj v_proj o_proj gate_proj up_proj down_proj.
  std::vector<std::string> targets = {"q_proj", "v_proj"};
  void Bind(const std::string& prefix, ConfigSchema* schema);  // "model.lora", "grpo.lora"
};

struct ModelOptions {
  std::filesystem::path path;      // a Hugging Face directory; empty: start from `preset`
  std::string preset = "tiny";     // a random start of a known size (PolicyPreset)
  std::string dtype = "float32";   // or float64, bfloat16
  std::string device = "cpu";      // or cuda: this rank's GPU
  std::string quantize = "none";   // or int8, nf4: frozen linear maps (model/kernels/quantized.h)
  std::string trainable = "lora";  // or "full"
  bool recompute = true;      // recompute a block in backward instead of keeping its activations
  int64_t vocab_size = 2048;  // size of the tokenizer trained for a preset
  LoraOptions lora;
  void Bind(ConfigSchema* schema);
};

// The source of each entity kind's vectors: none (text only), random (a fixed Gaussian vector for
// each code or drug), an encoder that the run trains (micron; molecule for drugs; raremed for the
// patient), or the path of a file (encoders/entity_tables.h).
struct EncoderOptions {
  std::string patient = "none";  // none, raremed or a file
  std::string diagnosis = "none", procedure = "none", drug = "random";
  // Encoders that are trained even if no slot has their vectors: evaluation gains their rows.
  std::vector<std::string> train;
  void Bind(ConfigSchema* schema);
  // True if the run trains this encoder: "micron", "raremed", "molecule".
  bool Trains(const std::string& encoder) const;
  // True if a slot has the vectors of an encoder that the run trains.
  bool FillsSlots() const;
  bool TrainsAny() const { return Trains("micron") || Trains("raremed") || Trains("molecule"); }
};

// True if the value of an encoders key is the path of a file.
bool IsEncoderFile(const std::string& encoder);

// The file of the ids of a file of vectors, which may be missing: NAME.ids.txt beside NAME.npy.
std::filesystem::path IdsFile(const std::filesystem::path& vectors);

// The source of one kind's vectors.
struct EncoderKey {
  const char* key;  // "encoders.drug"
  std::string encoder;
  std::vector<std::string> named;  // the values that are no file
  std::string Expected() const;    // "none, random, molecule or a file of vectors"
};
// Returns the keys of patient, diagnosis, procedure and drug.
std::vector<EncoderKey> EncoderKeys(const EncoderOptions& options);

}  // namespace flame

#endif  // FLAME_MODEL_OPTIONS_H_
