// Tensors in and out of safetensors files.
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

// The tensors of one or several files. Files are mapped; a tensor is copied, block by block and
// converted, into memory of its own, and the pages of a block leave the process before the next is
// read: what is resident is what was asked for and some 2 MB. (Tensors that are the mapping itself
// would need no copy where the file's type fits, but a file that changes or shrinks underneath
// would change or kill a run of days.)
class WeightReader {
 public:
  // Throws DataError where a file is absent or damaged.
  explicit WeightReader(const std::vector<std::filesystem::path>& files);
  // The weights of a Hugging Face folder: model.safetensors, or the shards that
  // model.safetensors.index.json names, each holding what that says.
  static WeightReader OfFolder(const std::filesystem::path& folder);

  bool Has(const std::string& name) const { return places_.contains(name); }
  // Throws one DataError with a line for each missing, unexpected or misshapen tensor, each dtype
  // other than F64, F32, F16 and BF16, each tensor that is in two files or not in the one that the
  // index names. Names in `ignored` may be there.
  void Check(const ShapeMap& expected, const std::vector<std::string>& ignored = {}) const;

  // A tensor that has passed Check, converted to `dtype`.
  at::Tensor Read(const std::string& name, at::ScalarType dtype) const;
  // The rows of it that fill `out`, from `first_row` on, converted to its type.
  void ReadInto(const std::string& name, int64_t first_row, const at::Tensor& out) const;
  // The same in blocks of whole rows, in order, which are no longer there after `use` returned.
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
  std::string faults_;  // found before the expected tensors were known
};

// Exactly the tensors of `expected`, checked and read.
std::map<std::string, at::Tensor> ReadWeights(const std::vector<std::filesystem::path>& files,
                                              const ShapeMap& expected, at::ScalarType dtype);

// Writes one file. Tensors are float32, float64 or bfloat16.
void WriteWeights(const std::filesystem::path& path,
                  const std::map<std::string, at::Tensor>& tensors);
// The same with tensors of `dtype` that are made one at a time.
void WriteWeights(const std::filesystem::path& path, const ShapeMap& shapes, at::ScalarType dtype,
                  const std::function<at::Tensor(const std::string& name)>& make);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_WEIGHTS_H_
