// The safetensors format (https://github.com/huggingface/safetensors#format): 8-byte little-endian
// header length, JSON header, data. Reading maps the file; nothing is copied.
#ifndef FLAME_BASE_FILES_SAFETENSORS_H_
#define FLAME_BASE_FILES_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace flame {

struct TensorView {
  std::string dtype;  // "F64" "F32" "F16" "BF16" "I64" "I32" "I16" "I8" "U8" "BOOL"
  std::vector<int64_t> shape;
  const void* data = nullptr;  // little-endian, row-major, contiguous
  size_t num_bytes = 0;
};

class SafetensorsFile {
 public:
  // Maps the file and checks header, ranges and total size. Throws DataError if one is wrong.
  explicit SafetensorsFile(const std::filesystem::path& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  // Views stay valid while this object lives.
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Drops the pages that hold these bytes of a view from the process's memory. The next access
  // reads them from the file again.
  void Release(const void* data, size_t num_bytes) const;

 private:
  struct Mapping;  // the mapped file
  std::unique_ptr<Mapping> mapping_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> metadata_;
};

// Writes atomically. Every tensor is aligned to its element size in the file. Throws DataError if
// num_bytes contradicts shape and dtype, MachineError if the disk fails.
void WriteSafetensors(const std::filesystem::path& path,
                      const std::map<std::string, TensorView>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

// Writes the same file, but calls `data_of` for each tensor's data when that tensor is written. The
// returned pointer need only stay valid until the next call. The views' own data is not used.
using TensorSource = std::function<const void*(const std::string& name)>;
void WriteSafetensors(const std::filesystem::path& path,
                      const std::map<std::string, TensorView>& tensors,
                      const std::map<std::string, std::string>& metadata,
                      const TensorSource& data_of);

}  // namespace flame

#endif  // FLAME_BASE_FILES_SAFETENSORS_H_
