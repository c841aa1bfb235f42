#include "tests/fake_device/fake_device.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>

namespace flame {
namespace {

constexpr auto kType = c10::DeviceType::PrivateUse1;

std::atomic<int64_t> to_device, to_host, scalars, operators;
thread_local int inside = 0;  // operators that are computing on the CPU

struct Trace {
  std::vector<std::string> lines;
  std::set<const void*> made;  // storages made during the trace
};
Trace* trace = nullptr;

// Allocates protected blocks, by address.
class Memory : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const size_t size = (bytes + 4095) / 4096 * 4096;
    const c10::Device device(kType, 0);
    if (size == 0) return {nullptr, nullptr, &Free, device};
    void* data = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) throw std::bad_alloc();
    const std::lock_guard<std::mutex> lock(mutex_);
    sizes_[data] = size;
    if (trace != nullptr) trace->made.insert(data);
    return {data, data, &Free, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &Free; }
  void copy_data(void*, const void*, size_t) const override {
    throw std::logic_error("fake device: a storage was cloned");
  }

  void Protect(void* data, bool on) {
    if (data == nullptr) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    int& open = open_[data];
    open += on ? -1 : 1;
    if (mprotect(data, sizes_.at(data), open > 0 ? PROT_READ | PROT_WRITE : PROT_NONE) != 0) {
      throw std::logic_error("fake device: mprotect failed");
    }
  }

  static Memory& Instance() {
    static auto* memory = new Memory;
    return *memory;
  }

 private:
  static void Free(void* data) {
    if (data == nullptr) return;
    Memory& memory = Instance();
    const std::lock_guard<std::mutex> lock(memory.mutex_);
    munmap(data, memory.sizes_.at(data));
    memory.sizes_.erase(data);
    memory.open_.erase(data);
  }
  std::mutex mutex_;
  std::map<void*, size_t> sizes_;
  std::map<void*, int> open_;
};

bool IsFake(const at::Tensor& x) { return x.device().type() == kType; }

// A CPU tensor over the same memory, readable while this object lives.
class Opened {
 public:
  explicit Opened(const at::Tensor& x) : x_(x) {
    if (!IsFake(x)) return;
    block_ = x.storage().mutable_data_ptr().get();
    Memory::Instance().Protect(block_, false);
    auto* first = static_cast<char*>(block_) + x.storage_offset() * x.element_size();
    x_ = at::from_blob(first, x.sizes(), x.strides(), at::TensorOptions(x.scalar_type()));
  }
  ~Opened() { Memory::Instance().Protect(block_, true); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  const at::Tensor& cpu() const { return x_; }

 private:
  at::Tensor x_;
  void* block_ = nullptr;
};

class Guard final : public c10::impl::NoOpDeviceGuardImpl<kType> {
 public:
  c10::Device exchangeDevice(c10::Device) const override { return {kType, 0}; }
  c10::Device getDevice() const override { return {kType, 0}; }
  c10::Stream getStream(c10::Device) const noexcept override { return Default(); }
  c10::Stream getNewStream(c10::Device, int) const override { return Default(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return Default(); }

 private:
  static c10::Stream Default() { return c10::Stream(c10::Stream::DEFAULT, c10::Device(kType, 0)); }
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t size) const override {
    storage.set_data_ptr_noswap(Memory::Instance().allocate(size));
    storage.unsafeGetStorageImpl()->set_nbytes(size);
  }
};

const c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);

at::Tensor Empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &Memory::Instance(), kKeys, c10::dtype_or_default(dtype),
                                   format);
}

at::Tensor EmptyStrided(c10::IntArrayRef size, c10::IntArrayRef stride,
                        std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                        std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &Memory::Instance(), kKeys,
                                           c10::dtype_or_default(dtype));
}

void Note(const std::string& line) {
  if (trace != nullptr) trace->lines.push_back(line);
}

std::string Describe(const at::Tensor& x) {
  std::ostringstream text;
  text << c10::toString(x.scalar_type()) << x.sizes() << x.strides();
  if (!IsFake(x)) {
    text << " cpu";
    if (x.dim() == 0) text << " " << x.item().to<double>();
    return text.str();
  }
  const void* block = x.storage().data_ptr().get();
  if (trace->made.contains(block)) return text.str();
  text << " at " << block << "+" << x.storage_offset();
  return text.str();
}

std::string Describe(const c10::IValue& value) {
  if (value.isTensor()) return value.toTensor().defined() ? Describe(value.toTensor()) : "none";
  if (!value.isTensorList()) {
    std::ostringstream text;
    text << value;
    return text.str();
  }
  std::string text;
  for (const at::Tensor& x : value.toTensorVector()) text += Describe(x) + " ";
  return text;
}

at::Tensor CopyFrom(const at::Tensor& from, const at::Tensor& to, bool) {
  if (inside == 0) {
    if (!IsFake(from)) ++to_device;
    if (!IsFake(to)) ++to_host;
    if (trace != nullptr) Note("copy " + Describe(from) + " to " + Describe(to));
  }
  const Opened source(from), target(to);
  target.cpu().copy_(source.cpu());
  return to;
}

at::Tensor CopyFromAndResize(const at::Tensor& from, const at::Tensor& to) {
  if (from.sizes() != to.sizes()) to.resize_(from.sizes());
  return CopyFrom(from, to, false);
}

at::Scalar ReadScalar(const at::Tensor& x) {
  if (inside == 0) {
    ++scalars;
    Note("scalar");
  }
  const Opened opened(x);
  return opened.cpu().item();
}

// Applies CUDA's rule: all tensors on one device, except CPU scalars outside of lists.
void CheckDevices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const auto fail = [&] {
    throw std::logic_error("fake device: " + toString(op.operator_name()) +
                           " was given tensors of two devices");
  };
  const size_t count = op.schema().arguments().size();
  for (size_t i = stack.size() - count; i < stack.size(); ++i) {
    if (stack[i].isTensor()) {
      const at::Tensor& x = stack[i].toTensor();
      if (x.defined() && !IsFake(x) && x.dim() > 0) fail();
    } else if (stack[i].isTensorList()) {
      for (const at::Tensor& x : stack[i].toTensorVector()) {
        if (x.defined() && !IsFake(x)) fail();
      }
    }
  }
}

struct Inside {
  Inside() { ++inside; }
  ~Inside() { --inside; }
};

void Fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  CheckDevices(op, *stack);
  if (inside == 0) {
    ++operators;
    if (trace != nullptr) {
      std::string line = toString(op.operator_name());
      const size_t count = op.schema().arguments().size();
      for (size_t i = stack->size() - count; i < stack->size(); ++i) {
        line += " | " + Describe((*stack)[i]);
      }
      Note(line);
    }
  }
  const Inside computing;
  at::native::cpu_fallback(op, stack);
}

// Registers when the program is loaded, because the first backward counts the devices.
const bool registered = [] {
  static Guard guard;
  static Hooks hooks;
  const c10::impl::DeviceGuardImplRegistrar registrar(kType, &guard);
  at::RegisterPrivateUse1HooksInterface(&hooks);
  c10::SetAllocator(kType, &Memory::Instance());
  c10::register_privateuse1_backend("fake");
  return true;
}();

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&Fallback>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &Empty);
  m.impl("empty_strided", &EmptyStrided);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
  m.impl("unfold", &at::native::unfold);
  m.impl("resize_", &at::native::resize_);
  m.impl("_copy_from", &CopyFrom);
  m.impl("_copy_from_and_resize", &CopyFromAndResize);
  m.impl("_local_scalar_dense", &ReadScalar);
}

class StrictRecorder : public StepRecorder {
 public:
  explicit StrictRecorder(int64_t* replays) : replays_(replays) {}

  void Record(const std::function<void()>& body) override {
    body_ = body;
    recorded_ = Run();
  }

  void Replay() override {
    ++*replays_;
    const std::vector<std::string> now = Run();
    for (size_t i = 0; i < std::max(now.size(), recorded_.size()); ++i) {
      const std::string was = i < recorded_.size() ? recorded_[i] : "nothing";
      const std::string is = i < now.size() ? now[i] : "nothing";
      if (was != is) throw std::logic_error("recorded: " + was + "\nreplayed: " + is);
    }
  }

 private:
  std::vector<std::string> Run() {
    const FakeDeviceCounts before = CountOfFakeDevice();
    std::vector<std::string> lines = TraceOnFakeDevice(body_);
    const FakeDeviceCounts after = CountOfFakeDevice();
    if (after.operators == before.operators) throw std::logic_error("the body does nothing");
    if (after.to_device != before.to_device || after.to_host != before.to_host ||
        after.scalars != before.scalars) {
      throw std::logic_error("the body copies between host and device");
    }
    return lines;
  }

  int64_t* replays_;
  std::function<void()> body_;
  std::vector<std::string> recorded_;
};

}  // namespace

c10::Device FakeDevice() { return {kType, 0}; }

FakeDeviceCounts CountOfFakeDevice() { return {to_device, to_host, scalars, operators}; }

std::vector<std::string> TraceOnFakeDevice(const std::function<void()>& body) {
  Trace taken;
  trace = &taken;
  try {
    body();
  } catch (...) {
    trace = nullptr;
    throw;
  }
  trace = nullptr;
  return taken.lines;
}

std::unique_ptr<StepRecorder> MakeStrictRecorder(int64_t* replays) {
  return std::make_unique<StrictRecorder>(replays);
}

}  // namespace flame
