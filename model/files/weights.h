// Reads and writes tensors in safetensors files.
#ifndef FLAME_MODEL_FILES_WEIGHTS_H_
#define FLAME_MODEL_FILES_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/files/safetensors.h"
#include "model/shapes.h"

namespace flame {

// The tensors of one or several files. Files are mapped. A tensor is copied and converted block by
// block into memory of its own, and a block's pages leave the process before the next block is
// read: resident memory is what was asked for plus some 2 MB. (Tensors in the mapping itself would
// save the copy if the types agree, but then a file that changes or shrinks could change or kill a
// run of days.)
class WeightReader {
 public:
  // Throws DataError if a file is absent or damaged.
  explicit WeightReader(const std::vector<std::filesystem::path>& files);
  // Opens the weights of a Hugging Face folder: model.safetensors, or the shards that
  // model.safetensors.index.json names, each of which must hold the tensors that the index says.
  static WeightReader OfFolder(const std::filesystem::path& folder);

  bool Has(const std::string& name) const { return places_.contains(name); }
  std::vector<std::string> Names() const;  // sorted
  // True if two tensors have the same dtype, shape and bytes.
  bool Same(const std::string& one, const std::string& other) const;
  // Throws one DataError with a line for each missing, unexpected or misshapen tensor, each dtype
  // other than F64, F32, F16 and BF16, and each tensor that is in two files or not in the file that
  // the index names. Tensors named in `ignored` may be present, and the rotary embedding's
  // inv_freq, a buffer that follows from the config and that old versions of transformers saved.
  void Check(const ShapeMap& expected, const std::vector<std::string>& ignored = {}) const;

  // Returns a tensor that has passed Check, converted to `dtype`.
  at::Tensor Read(const std::string& name, at::ScalarType dtype) const;
  // Fills `out` with the tensor's rows from `first_row` on, converted to out's type.
  void ReadInto(const std::string& name, int64_t first_row, const at::Tensor& out) const;
  // Passes all rows to `use` in order, in blocks of whole rows. A block is invalid once `use`
  // returns.
  using RowUse = std::function<void(int64_t first_row, const at::Tensor& rows)>;
  void ReadRows(const std::string& name, at::ScalarType dtype, const RowUse& use) const;

 private:
  struct Place {
    size_t file = 0;
    TensorView view;
  };
  void ForEachBlock(const Place& place, int64_t first_row, int64_t count, const RowUse& use) const;
  void CheckFinite(const at::Tensor& block, const std::string& name, const Place& place) const;

  std::vector<std::filesystem::path> paths_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Place> places_;
  std::string faults_;  // found before Check
};

// Checks and reads exactly the tensors of `expected`.
std::map<std::string, at::Tensor> ReadWeights(const std::vector<std::filesystem::path>& files,
                                              const ShapeMap& expected, at::ScalarType dtype);

// Writes one file. Tensors are float32, float64 or bfloat16.
void WriteWeights(const std::filesystem::path& path,
                  const std::map<std::string, at::Tensor>& tensors);
// Like the above, but calls `make` for one tensor of `dtype` at a time.
void WriteWeights(const std::filesystem::path& path, const ShapeMap& shapes, at::ScalarType dtype,
                  const std::function<at::Tensor(const std::string& name)>& make);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_WEIGHTS_H_
