#include "launch/export/gguf_file.h"

#include <ATen/TensorOperators.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

constexpr uint32_t kVersion = 3;
constexpr int64_t kAlignment = 32;  // of tensors, the format's default
// Value types of the format.
constexpr uint32_t kWhole = 4, kInt = 5, kFloat = 6, kBool = 7, kText = 8, kArray = 9;

template <class T>
void Append(T value, std::string* out) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

void AppendText(const std::string& text, std::string* out) {
  Append<uint64_t>(text.size(), out);
  *out += text;
}

int64_t CountOf(const GgufTensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) count *= size;
  return count;
}

int64_t BytesOf(const GgufTensor& tensor) {
  return CountOf(tensor) / tensor.type.block * tensor.type.bytes;
}

int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// The numbers as blocks of q8_0: a float16 scale d, then 32 bytes q with q * d near the number.
std::string Q8Of(const float* numbers, int64_t count) {
  std::string bytes;
  bytes.reserve(count / kQ8.block * kQ8.bytes);
  for (int64_t begin = 0; begin < count; begin += kQ8.block) {
    float largest = 0;
    for (int64_t i = 0; i < kQ8.block; ++i) {
      largest = std::max(largest, std::abs(numbers[begin + i]));
    }
    const float scale = largest / 127;
    const float inverse = scale > 0 ? 1 / scale : 0;
    Append(static_cast<c10::Half>(scale).x, &bytes);
    for (int64_t i = 0; i < kQ8.block; ++i) {
      Append(static_cast<int8_t>(std::lround(numbers[begin + i] * inverse)), &bytes);
    }
  }
  return bytes;
}

std::string DataOf(const GgufTensor& tensor) {
  const at::Tensor values = tensor.values().to(at::kFloat).contiguous();
  const float* numbers = values.const_data_ptr<float>();
  if (tensor.type.id == kQ8.id) return Q8Of(numbers, values.numel());
  const at::Tensor stored = tensor.type.id == kF16.id ? values.to(at::kHalf) : values;
  return std::string(static_cast<const char*>(stored.const_data_ptr()), stored.nbytes());
}

}  // namespace

void GgufFile::Begin(const std::string& key, uint32_t type) {
  AppendText(key, &keys_);
  Append(type, &keys_);
  ++count_;
}

void GgufFile::Text(const std::string& key, const std::string& value) {
  Begin(key, kText);
  AppendText(value, &keys_);
}

void GgufFile::Whole(const std::string& key, uint32_t value) {
  Begin(key, kWhole);
  Append(value, &keys_);
}

void GgufFile::Float(const std::string& key, float value) {
  Begin(key, kFloat);
  Append(value, &keys_);
}

void GgufFile::Bool(const std::string& key, bool value) {
  Begin(key, kBool);
  Append<uint8_t>(value ? 1 : 0, &keys_);
}

void GgufFile::Texts(const std::string& key, const std::vector<std::string>& values) {
  Begin(key, kArray);
  Append(kText, &keys_);
  Append<uint64_t>(values.size(), &keys_);
  for (const std::string& value : values) AppendText(value, &keys_);
}

void GgufFile::Wholes(const std::string& key, const std::vector<int32_t>& values) {
  Begin(key, kArray);
  Append(kInt, &keys_);
  Append<uint64_t>(values.size(), &keys_);
  for (const int32_t value : values) Append(value, &keys_);
}

void GgufFile::Write(const std::filesystem::path& path,
                     const std::vector<GgufTensor>& tensors) const {
  std::string head = "GGUF";
  Append(kVersion, &head);
  Append<uint64_t>(tensors.size(), &head);
  Append(count_, &head);
  head += keys_;
  int64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    if (tensor.shape.back() % tensor.type.block != 0) {
      throw UsageError(tensor.name, " has rows of ", tensor.shape.back(), " numbers; expected a ",
                       "multiple of ", tensor.type.block, ", or another type than q8_0");
    }
    AppendText(tensor.name, &head);
    Append(static_cast<uint32_t>(tensor.shape.size()), &head);
    // The format names the innermost dimension first.
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size) {
      Append(static_cast<uint64_t>(*size), &head);
    }
    Append(tensor.type.id, &head);
    Append(static_cast<uint64_t>(offset), &head);
    offset += Aligned(BytesOf(tensor));
  }
  head.resize(Aligned(static_cast<int64_t>(head.size())));

  AtomicPath target(path, AtomicPath::Kind::kFile);
  std::ofstream out(target.temporary(), std::ios::binary);
  out << head;
  for (const GgufTensor& tensor : tensors) {
    std::string data = DataOf(tensor);
    data.resize(Aligned(static_cast<int64_t>(data.size())));
    out << data;
  }
  out.close();
  if (!out) throw MachineError(path.string(), ": cannot be written; is the disk full?");
  target.Commit();
}

}  // namespace flame
