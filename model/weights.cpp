#include "model/weights.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/safetensors.h"

namespace flame {
namespace {

std::optional<at::ScalarType> FloatType(const std::string& dtype) {
  if (dtype == "F64") return at::kDouble;
  if (dtype == "F32") return at::kFloat;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "BF16") return at::kBFloat16;
  return std::nullopt;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

// What is wrong with a tensor found under an expected name; "" if nothing.
std::string Fault(const TensorView& view, const std::vector<int64_t>& shape) {
  if (view.shape != shape) {
    return StrCat("shape ", ShapeText(view.shape), ", expected ", ShapeText(shape));
  }
  if (!FloatType(view.dtype)) {
    return StrCat("dtype ", view.dtype, ", expected F64, F32, F16 or BF16");
  }
  return "";
}

// A copy: the mapped file goes away.
at::Tensor Convert(const TensorView& view, at::ScalarType dtype) {
  const at::Tensor mapped = at::from_blob(const_cast<void*>(view.data), view.shape,
                                          at::TensorOptions(*FloatType(view.dtype)));
  return mapped.to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace

std::map<std::string, at::Tensor> ReadWeights(const std::vector<std::filesystem::path>& files,
                                              const ShapeMap& expected, at::ScalarType dtype,
                                              const std::vector<std::string>& ignored) {
  std::map<std::string, at::Tensor> weights;
  std::string faults;
  for (const std::filesystem::path& path : files) {
    const SafetensorsFile file(path);
    for (const auto& [name, view] : file.tensors()) {
      const auto wanted = expected.find(name);
      if (wanted == expected.end()) {
        if (std::find(ignored.begin(), ignored.end(), name) == ignored.end()) {
          faults += StrCat("\n  ", name, ": unexpected, in ", path.string());
        }
        continue;
      }
      const std::string fault = Fault(view, wanted->second);
      if (!fault.empty()) faults += StrCat("\n  ", name, ": ", fault, ", in ", path.string());
      // A faulty tensor counts as found, so that it is not reported as missing too.
      weights[name] = fault.empty() ? Convert(view, dtype) : at::Tensor();
    }
  }
  for (const auto& [name, shape] : expected) {
    if (weights.contains(name)) continue;
    faults += StrCat("\n  ", name, ": missing, expected ", ShapeText(shape));
  }
  if (!faults.empty()) {
    throw DataError("weights in ", files.front().parent_path().string(),
                    " do not fit the config:", faults);
  }
  return weights;
}

void WriteWeights(const std::filesystem::path& path,
                  const std::map<std::string, at::Tensor>& tensors) {
  std::map<std::string, TensorView> views;
  std::vector<at::Tensor> held;  // until written
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor& data = held.emplace_back(tensor.detach().contiguous());
    TensorView view;
    view.dtype = data.scalar_type() == at::kDouble ? "F64" : "F32";
    view.shape = data.sizes().vec();
    view.data = data.const_data_ptr();
    view.num_bytes = data.nbytes();
    views[name] = view;
  }
  WriteSafetensors(path, views, {{"format", "pt"}});
}

}  // namespace flame
