// The bytes of a GGUF file (github.com/ggml-org/ggml, docs/gguf.md, version 3).
#ifndef FLAME_LAUNCH_EXPORT_GGUF_FILE_H_
#define FLAME_LAUNCH_EXPORT_GGUF_FILE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace flame {

// Numbers as ggml_type: blocks of `block` numbers in `bytes` bytes.
struct GgmlType {
  uint32_t id = 0;
  int64_t block = 1, bytes = 4;
};
inline constexpr GgmlType kF32 = {0, 1, 4}, kF16 = {1, 1, 2}, kQ8 = {8, 32, 34};

// A weight [rows, columns] or [columns], row by row.
struct GgufTensor {
  std::string name;
  std::vector<int64_t> shape;
  GgmlType type;
  std::function<at::Tensor()> values;  // float32, of that shape
};

// Collects keys, then writes them and the tensors.
class GgufFile {
 public:
  void Text(const std::string& key, const std::string& value);
  void Whole(const std::string& key, uint32_t value);
  void Float(const std::string& key, float value);
  void Bool(const std::string& key, bool value);
  void Texts(const std::string& key, const std::vector<std::string>& values);
  void Wholes(const std::string& key, const std::vector<int32_t>& values);

  // Writes atomically; `values` of one tensor is called at a time. q8_0: blocks of 32 numbers with
  // a scale of their largest absolute value / 127, in float16.
  void Write(const std::filesystem::path& path, const std::vector<GgufTensor>& tensors) const;

 private:
  void Begin(const std::string& key, uint32_t type);
  std::string keys_;
  uint64_t count_ = 0;
};

}  // namespace flame

#endif  // FLAME_LAUNCH_EXPORT_GGUF_FILE_H_
