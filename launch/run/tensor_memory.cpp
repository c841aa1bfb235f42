#include "launch/run/tensor_memory.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>

namespace flame {
namespace {

// Stands in front of ATen's own allocator. Memory allocated before it was installed is freed
// without passing through it.
class CountingAllocator : public at::Allocator {
 public:
  static CountingAllocator& Get() {
    static CountingAllocator* allocator = [] {
      auto* made = new CountingAllocator(c10::GetCPUAllocator());
      c10::SetCPUAllocator(made, /*priority=*/1);
      return made;
    }();
    return *allocator;
  }
  at::DataPtr allocate(size_t bytes) override {
    void* data = inner_->raw_allocate(bytes);
    const int64_t now = now_ += static_cast<int64_t>(malloc_usable_size(data));
    int64_t peak = peak_;
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
    return {data, data, &Delete, at::Device(at::kCPU)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &Delete; }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  int64_t now() const { return now_; }
  int64_t peak() const { return peak_; }
  void ResetPeak() { peak_ = now_.load(); }

 private:
  explicit CountingAllocator(at::Allocator* inner) : inner_(inner) {}
  static void Delete(void* data) {
    CountingAllocator& own = Get();
    own.now_ -= static_cast<int64_t>(malloc_usable_size(data));
    own.inner_->raw_deallocate(data);
  }
  at::Allocator* inner_;
  std::atomic<int64_t> now_ = 0, peak_ = 0;
};

// Returns null if the device's allocator does not count.
c10::DeviceAllocator* AllocatorOf(c10::Device device) {
  return dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
}

}  // namespace

int64_t TensorBytes() { return CountingAllocator::Get().now(); }
int64_t PeakTensorBytes() { return CountingAllocator::Get().peak(); }

int64_t PeakTensorBytes(c10::Device device) {
  if (device.is_cpu()) return PeakTensorBytes();
  c10::DeviceAllocator* allocator = AllocatorOf(device);
  if (allocator == nullptr) return 0;
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return allocator->getDeviceStats(device.index()).allocated_bytes[kAll].peak;
}

void ResetPeakTensorBytes(c10::Device device) {
  CountingAllocator::Get().ResetPeak();
  if (device.is_cpu()) return;
  if (auto* allocator = AllocatorOf(device)) allocator->resetPeakStats(device.index());
}

void SetUpHeap() {
  mallopt(M_MMAP_THRESHOLD, 4 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

std::vector<int64_t> PeakTensorBytesOfRanks(c10::Device device, Communicator* world) {
  const int64_t own = PeakTensorBytes(device);
  if (world == nullptr) return {own};
  at::Tensor all = at::zeros({world->size()}, at::kLong);
  world->AllGather(all, at::full({1}, own, at::kLong))->Wait();
  return {all.data_ptr<int64_t>(), all.data_ptr<int64_t>() + all.numel()};
}

}  // namespace flame
