#include "trainer/sharding/flat_unit.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <utility>

#include "model/files/stored_rows.h"

namespace flame {
namespace {

// Elements. Tensors and shards of any type then begin at a cache line.
constexpr int64_t kAlignment = 32;

// Returns a pointer that keeps `memory` alive.
at::DataPtr Pointer(at::Tensor memory) {
  void* data = memory.mutable_data_ptr();
  const at::Device device = memory.device();
  return {data, new at::Tensor(std::move(memory)),
          [](void* owner) { delete static_cast<at::Tensor*>(owner); }, device};
}

int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

HollowTensor::HollowTensor(int64_t size, const at::TensorOptions& options)
    : tensor_(Hollow({size}, options)) {}

at::Tensor HollowTensor::Take() {
  tensor_.storage().set_data_ptr_noswap({nullptr, tensor_.device()});
  return std::exchange(memory_, at::Tensor());
}

void HollowTensor::Put(at::Tensor memory) {
  memory_ = std::move(memory);
  tensor_.storage().set_data_ptr_noswap(Pointer(memory_));
}

at::Tensor BufferPool::Get(int64_t size, const at::TensorOptions& options) {
  auto& waiting = waiting_[{options.dtype().toScalarType(), size}];
  if (!waiting.empty()) {
    at::Tensor buffer = std::move(waiting.back());
    waiting.pop_back();
    return buffer;
  }
  at::Tensor buffer = at::empty({size}, options);
  bytes_ += static_cast<int64_t>(buffer.nbytes());
  peak_bytes_ = std::max(peak_bytes_, bytes_);
  return buffer;
}

void BufferPool::Keep(at::Tensor buffer) {
  waiting_[{buffer.scalar_type(), buffer.numel()}].push_back(std::move(buffer));
}

void BufferPool::Drop(at::Tensor buffer) { bytes_ -= static_cast<int64_t>(buffer.nbytes()); }

void BufferPool::DropWaiting() {
  for (auto& [key, buffers] : waiting_) {
    for (at::Tensor& buffer : buffers) Drop(std::move(buffer));
  }
  waiting_.clear();
}

int64_t UnitElements(const std::vector<int64_t>& sizes, int64_t shards) {
  int64_t all = 0;
  for (const int64_t size : sizes) all += RoundUp(size, kAlignment);
  return RoundUp(all, shards * kAlignment);
}

UnitLayout LayOut(const NamedTensors& tensors, int64_t shards) {
  UnitLayout layout;
  std::vector<int64_t> sizes;
  for (const auto& [name, tensor] : tensors) {
    layout.members.push_back({name, tensor, UnitElements(sizes, 1)});
    sizes.push_back(tensor.numel());
  }
  layout.size = UnitElements(sizes, shards);
  return layout;
}

void PointMembers(const UnitLayout& layout, const at::Tensor& whole) {
  const c10::NoGradGuard no_grad;
  for (const UnitMember& member : layout.members) {
    at::Tensor tensor = member.tensor;
    tensor.set_data(whole.narrow(0, member.offset, tensor.numel()).view(tensor.sizes()));
  }
}

void PointGradients(const UnitLayout& layout, const at::Tensor& whole) {
  for (const UnitMember& member : layout.members) {
    at::Tensor tensor = member.tensor;
    tensor.mutable_grad() = whole.narrow(0, member.offset, tensor.numel()).view(tensor.sizes());
  }
}

}  // namespace flame
