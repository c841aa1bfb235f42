#include "encoders/whole_model.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/linear.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/files/safetensors.h"

namespace flame {
namespace {

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += StrCat(i == 0 ? "" : ", ", shape[i]);
  return text + "]";
}

at::Tensor FloatsOf(const TensorView& view, const std::string& where) {
  const std::map<std::string, at::ScalarType> types = {
      {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}};
  const auto type = types.find(view.dtype);
  if (type == types.end()) {
    throw DataError(where, " is ", view.dtype, "; expected F64, F32, F16 or BF16");
  }
  const at::Tensor floats = at::from_blob(const_cast<void*>(view.data), view.shape, type->second)
                                .to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  if (!at::isfinite(floats).all().item<bool>()) {
    throw DataError(where, " has a value that is no finite number");
  }
  return floats;
}

}  // namespace

WholeModel::WholeModel(NamedTensors parameters) : parameters_(std::move(parameters)) {
  for (auto& [name, tensor] : parameters_) tensor.requires_grad_(true);
}

void WholeModel::CopyParameter(const std::string& name, int64_t begin,
                               const at::Tensor& out) const {
  out.copy_(parameters_.at(name).detach().flatten().narrow(0, begin, out.numel()));
}

void WholeModel::Save(const std::filesystem::path& file) const { WriteTensors(parameters_, file); }

void WriteTensors(const NamedTensors& tensors, const std::filesystem::path& file) {
  std::map<std::string, TensorView> views;
  NamedTensors held;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor& kept = held[name] = tensor.detach().contiguous();
    views[name] = {"F32", kept.sizes().vec(), kept.const_data_ptr(), kept.nbytes()};
  }
  WriteSafetensors(file, views);
}

at::Tensor WholeModel::Linear(const std::string& name, const at::Tensor& x) const {
  return at::linear(x, (*this)[name + ".weight"], (*this)[name + ".bias"]);
}

NamedTensors ReadParameters(const std::filesystem::path& file, const Shapes& expected) {
  const SafetensorsFile stored(file);
  NamedTensors parameters;
  for (const auto& [name, shape] : expected) {
    const auto found = stored.tensors().find(name);
    if (found == stored.tensors().end()) {
      throw DataError(file.string(), ": no tensor '", name, "'; expected one of shape ",
                      ShapeText(shape));
    }
    if (found->second.shape != shape) {
      throw DataError(file.string(), ": '", name, "' has the shape ",
                      ShapeText(found->second.shape), "; expected ", ShapeText(shape));
    }
    parameters[name] = FloatsOf(found->second, StrCat(file.string(), ": '", name, "'"));
  }
  return parameters;
}

void ParameterInit::Uniform(const std::string& name, const std::vector<int64_t>& shape,
                            double bound) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>((2 * random_.Uniform() - 1) * bound);
  }
  parameters_[name] = tensor;
}

void ParameterInit::Normal(const std::string& name, const std::vector<int64_t>& shape) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = static_cast<float>(random_.Normal());
  parameters_[name] = tensor;
}

void ParameterInit::Linear(const std::string& name, int64_t out, int64_t in) {
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  Uniform(name + ".weight", {out, in}, bound);
  Uniform(name + ".bias", {out}, bound);
}

void ParameterInit::Fill(const std::string& name, const std::vector<int64_t>& shape, double value) {
  parameters_[name] = at::full(shape, value, at::kFloat);
}

}  // namespace flame
