// A model that every rank holds whole.
#ifndef FLAME_ENCODERS_WHOLE_MODEL_H_
#define FLAME_ENCODERS_WHOLE_MODEL_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/sharded_model.h"

namespace flame {

// Named float32 tensors on the CPU, all of which are trained. Copies share storage.
class WholeModel : public ShardedModel {
 public:
  explicit WholeModel(NamedTensors parameters);

  at::Device device() const override { return at::kCPU; }
  const NamedTensors& parameters() const override { return parameters_; }
  int64_t UnitOf(const std::string&) const override { return -1; }
  bool IsBlock(int64_t) const override { return false; }
  void CopyParameter(const std::string& name, int64_t begin, const at::Tensor& out) const override;
  void MarkRead(const std::string&) override {}
  void ReadStored() override {}
  void AttachUnits(ParameterUnits*) override {}

  // Writes all tensors to a safetensors file.
  virtual void Save(const std::filesystem::path& file) const;

 protected:
  const at::Tensor& operator[](const std::string& name) const { return parameters_.at(name); }
  // x weight^T + bias, with the parameters "NAME.weight" and "NAME.bias".
  at::Tensor Linear(const std::string& name, const at::Tensor& x) const;

 private:
  NamedTensors parameters_;
};

// Writes tensors to a safetensors file, in float32.
void WriteTensors(const NamedTensors& tensors, const std::filesystem::path& file);

using Shapes = std::map<std::string, std::vector<int64_t>>;

// Reads the tensors of a safetensors file that `expected` names, in float32. Throws DataError if
// one is missing, has another shape or is no tensor of floats; other tensors are left out.
NamedTensors ReadParameters(const std::filesystem::path& file, const Shapes& expected);

// Draws starting values.
class ParameterInit {
 public:
  explicit ParameterInit(uint64_t seed) : random_(seed, kEncoders) {}
  void Uniform(const std::string& name, const std::vector<int64_t>& shape, double bound);
  void Normal(const std::string& name, const std::vector<int64_t>& shape);  // mean 0, variance 1
  // As torch.nn.Linear draws its weight and bias: uniform within 1 / sqrt(in).
  void Linear(const std::string& name, int64_t out, int64_t in);
  void Fill(const std::string& name, const std::vector<int64_t>& shape, double value);
  NamedTensors Take() { return std::move(parameters_); }

 private:
  RandomStream random_;
  NamedTensors parameters_;
};

}  // namespace flame

#endif  // FLAME_ENCODERS_WHOLE_MODEL_H_
