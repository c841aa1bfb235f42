#include "model/files/weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/error.h"
#include "model/files/policy_config.h"

namespace flame {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Small, so that converting or quantising a block leaves no large holes in the heap.
constexpr size_t kBlockBytes = size_t{1} << 21;

constexpr std::pair<const char*, at::ScalarType> kFileTypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}};

std::optional<at::ScalarType> FloatType(const std::string& dtype) {
  for (const auto& [name, type] : kFileTypes) {
    if (dtype == name) return type;
  }
  return std::nullopt;
}

TensorView ViewOf(at::ScalarType dtype, const std::vector<int64_t>& shape) {
  TensorView view;
  for (const auto& [name, type] : kFileTypes) {
    if (dtype == type) view.dtype = name;
  }
  view.shape = shape;
  view.num_bytes = c10::elementSize(dtype);
  for (const int64_t size : shape) view.num_bytes *= size;
  return view;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

// Returns what is wrong with a tensor found under an expected name; "" if nothing is.
std::string Fault(const TensorView& view, const std::vector<int64_t>& shape) {
  if (view.shape != shape) {
    return StrCat("shape ", ShapeText(view.shape), ", expected ", ShapeText(shape));
  }
  if (!FloatType(view.dtype)) {
    return StrCat("dtype ", view.dtype, ", expected F64, F32, F16 or BF16");
  }
  return "";
}

// True if no number's exponent is all ones (infinite or NaN); a loop without branches.
template <class Bits>
bool NoneHas(Bits exponent, const at::Tensor& block) {
  const auto* bits = static_cast<const Bits*>(block.const_data_ptr());
  Bits any = 0;
  for (int64_t i = 0; i < block.numel(); ++i) any |= (bits[i] & exponent) == exponent ? 1 : 0;
  return any == 0;
}

bool AllFinite(const at::Tensor& block) {
  switch (block.scalar_type()) {
    case at::kDouble:
      return NoneHas<uint64_t>(0x7FF0000000000000u, block);
    case at::kFloat:
      return NoneHas<uint32_t>(0x7F800000u, block);
    case at::kBFloat16:
      return NoneHas<uint16_t>(0x7F80u, block);
    default:
      return NoneHas<uint16_t>(0x7C00u, block);
  }
}

// Reads the index's map from tensor to file.
std::map<std::string, std::string> ReadIndex(const fs::path& index) {
  std::map<std::string, std::string> file_of;
  const json object = ReadJson(index);
  const json map = object.is_object() ? object.value("weight_map", json()) : json();
  if (!map.is_object()) {
    throw DataError(index.string(), ": expected an object with 'weight_map', an object of tensor ",
                    "names and files");
  }
  for (const auto& [name, file] : map.items()) {
    if (!file.is_string()) {
      throw DataError(index.string(), ": weight_map.", name, " is no file name");
    }
    file_of[name] = file.get<std::string>();
  }
  if (file_of.empty()) throw DataError(index.string(), ": weight_map names no file");
  return file_of;
}

}  // namespace

WeightReader::WeightReader(const std::vector<fs::path>& files) : paths_(files) {
  for (size_t f = 0; f < paths_.size(); ++f) {
    files_.push_back(std::make_unique<SafetensorsFile>(paths_[f]));
    for (const auto& [name, view] : files_.back()->tensors()) {
      const auto [place, added] = places_.emplace(name, Place{f, view});
      if (added) continue;
      faults_ += StrCat("\n  ", name, ": in both ", paths_[place->second.file].string(), " and ",
                        paths_[f].string());
    }
  }
}

WeightReader WeightReader::OfFolder(const fs::path& folder) {
  const fs::path whole = folder / "model.safetensors";
  if (fs::exists(whole)) return WeightReader({whole});
  const fs::path index = folder / "model.safetensors.index.json";
  if (!fs::exists(index)) {
    throw DataError(folder.string(),
                    ": no weights; expected model.safetensors or model.safetensors.index.json");
  }
  const auto file_of = ReadIndex(index);
  std::set<fs::path> files;
  for (const auto& [name, file] : file_of) files.insert(folder / file);
  std::string absent;
  for (const fs::path& file : files) {
    if (!fs::exists(file)) absent += "\n  " + file.string();
  }
  if (!absent.empty()) throw DataError(index.string(), " names files that are absent:", absent);
  WeightReader reader({files.begin(), files.end()});
  for (const auto& [name, file] : file_of) {
    const auto place = reader.places_.find(name);
    if (place == reader.places_.end()) {
      reader.faults_ +=
          StrCat("\n  ", name, ": not in ", (folder / file).string(), ", where the index has it");
    } else if (reader.paths_[place->second.file] != folder / file) {
      reader.faults_ += StrCat("\n  ", name, ": in ", reader.paths_[place->second.file].string(),
                               ", but the index has it in ", file);
    }
  }
  return reader;
}

std::vector<std::string> WeightReader::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

bool WeightReader::Same(const std::string& one, const std::string& other) const {
  const TensorView &a = places_.at(one).view, &b = places_.at(other).view;
  return a.dtype == b.dtype && a.shape == b.shape && a.num_bytes == b.num_bytes &&
         std::memcmp(a.data, b.data, a.num_bytes) == 0;
}

void WeightReader::Check(const ShapeMap& expected, const std::vector<std::string>& ignored) const {
  std::string faults = faults_;
  for (const auto& [name, place] : places_) {
    const std::string& path = paths_[place.file].string();
    const auto wanted = expected.find(name);
    if (wanted != expected.end()) {
      const std::string fault = Fault(place.view, wanted->second);
      if (!fault.empty()) faults += StrCat("\n  ", name, ": ", fault, ", in ", path);
    } else if (!name.ends_with("rotary_emb.inv_freq") &&
               std::find(ignored.begin(), ignored.end(), name) == ignored.end()) {
      faults += StrCat("\n  ", name, ": unexpected, in ", path);
    }
  }
  for (const auto& [name, shape] : expected) {
    if (Has(name)) continue;
    faults += StrCat("\n  ", name, ": missing, expected ", ShapeText(shape));
  }
  if (!faults.empty()) {
    throw DataError("weights in ", paths_.front().parent_path().string(),
                    " do not fit the config:", faults);
  }
}

void WeightReader::ForEachBlock(const Place& place, int64_t first_row, int64_t count,
                                const RowUse& use) const {
  const TensorView& view = place.view;
  const int64_t rows = view.shape.at(0), end = first_row + count;
  const size_t row_bytes = rows > 0 ? view.num_bytes / static_cast<size_t>(rows) : 0;
  const auto step = static_cast<int64_t>(kBlockBytes / std::max<size_t>(1, row_bytes) + 1);
  const at::TensorOptions options(*FloatType(view.dtype));
  std::vector<int64_t> shape = view.shape;
  for (int64_t first = first_row; first < end; first += step) {
    shape[0] = std::min(step, end - first);
    const char* data = static_cast<const char*>(view.data) + static_cast<size_t>(first) * row_bytes;
    use(first, at::from_blob(const_cast<char*>(data), shape, options));
    files_[place.file]->Release(data, static_cast<size_t>(shape[0]) * row_bytes);
  }
}

// Called for each block while it is in the cache. Throws DataError on a number that is not finite.
void WeightReader::CheckFinite(const at::Tensor& block, const std::string& name,
                               const Place& place) const {
  if (AllFinite(block)) return;
  throw DataError(paths_[place.file].string(), ": ", name, " holds numbers that are not finite as ",
                  c10::toString(block.scalar_type()), "; found in the file as ", place.view.dtype);
}

at::Tensor WeightReader::Read(const std::string& name, at::ScalarType dtype) const {
  at::Tensor tensor = at::empty(places_.at(name).view.shape, dtype);
  ReadInto(name, 0, tensor);
  return tensor;
}

void WeightReader::ReadInto(const std::string& name, int64_t first_row,
                            const at::Tensor& out) const {
  const Place& place = places_.at(name);
  ForEachBlock(place, first_row, out.size(0), [&](int64_t first, const at::Tensor& rows) {
    const at::Tensor block = out.narrow(0, first - first_row, rows.size(0));
    const at::Tensor host = block.is_cpu() ? block : at::empty_like(block, at::kCPU);
    host.copy_(rows.view(block.sizes()));
    CheckFinite(host, name, place);
    if (!block.is_cpu()) block.copy_(host);
  });
}

void WeightReader::ReadRows(const std::string& name, at::ScalarType dtype,
                            const RowUse& use) const {
  const Place& place = places_.at(name);
  const int64_t all = place.view.shape.at(0);
  ForEachBlock(place, 0, all, [&](int64_t first, const at::Tensor& rows) {
    const at::Tensor block = rows.to(dtype, /*non_blocking=*/false, /*copy=*/true);
    CheckFinite(block, name, place);
    use(first, block);
  });
}

std::map<std::string, at::Tensor> ReadWeights(const std::vector<fs::path>& files,
                                              const ShapeMap& expected, at::ScalarType dtype) {
  const WeightReader reader(files);
  reader.Check(expected);
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, shape] : expected) weights[name] = reader.Read(name, dtype);
  return weights;
}

void WriteWeights(const fs::path& path, const std::map<std::string, at::Tensor>& tensors) {
  std::map<std::string, TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    views[name] = ViewOf(tensor.scalar_type(), tensor.sizes().vec());
  }
  at::Tensor data;  // kept alive until written
  WriteSafetensors(path, views, {{"format", "pt"}}, [&](const std::string& name) {
    data = tensors.at(name).detach().cpu().contiguous();
    return data.const_data_ptr();
  });
}

void WriteWeights(const fs::path& path, const ShapeMap& shapes, at::ScalarType dtype,
                  const std::function<at::Tensor(const std::string& name)>& make) {
  std::map<std::string, TensorView> views;
  for (const auto& [name, shape] : shapes) views[name] = ViewOf(dtype, shape);
  at::Tensor data;  // kept alive until written
  WriteSafetensors(path, views, {{"format", "pt"}}, [&](const std::string& name) {
    data = make(name).detach().cpu().contiguous();
    return data.const_data_ptr();
  });
}

}  // namespace flame
