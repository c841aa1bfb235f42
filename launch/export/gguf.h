// A policy as a GGUF file, which llama.cpp loads (github.com/ggml-org/ggml, docs/gguf.md, version
// 3).
#ifndef FLAME_LAUNCH_EXPORT_GGUF_H_
#define FLAME_LAUNCH_EXPORT_GGUF_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/policy.h"

namespace flame {

struct GgufRequest {
  // `tokenizer` is the folder with tokenizer.json and tokenizer_config.json.
  std::filesystem::path tokenizer, file;
  std::string type = "f16";    // of the matrices: f32, f16 or q8_0; norms and biases are float32
  std::string name;            // general.name
  std::vector<int32_t> slots;  // tokens that are input only: tokenizer.ggml.suppress_tokens
};

// Writes a policy that has neither adapters nor projectors. Its tokenizer must be byte-level BPE
// that splits text as GPT-2, Llama 3 or Qwen 2 does: llama.cpp knows patterns by their names alone.
// Throws DataError on any other tokenizer, and UsageError if the type's blocks of 32 numbers do not
// fit the rows of a matrix.
void WriteGguf(const Policy& policy, const GgufRequest& request);

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_GGUF_H_
