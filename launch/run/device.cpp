#include "launch/run/device.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <cstdlib>

#include "base/child_process.h"
#include "base/error.h"
#include "base/files/program_files.h"
#include "base/log.h"
#include "comm/nccl/cuda_module.h"
#include "model/kernels/cuda/step_graph.h"
#include "model/kernels/step_recorder.h"

namespace flame {
namespace {

// Returns the number of this process among the processes of the job on this machine, from 0.
int LocalRank() {
  for (const char* name : {kPlaceVariable, "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"}) {
    const char* text = std::getenv(name);
    if (text != nullptr) return std::atoi(text);
  }
  return 0;
}

void* module = nullptr;

std::string ModulePath() { return (LibraryFolder() / "libflame_cuda.so").string(); }

void OpenModule() {
  module = dlopen(ModulePath().c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (module == nullptr) {
    throw MachineError("device cuda: this build cannot use a GPU: ", dlerror(),
                       "; expected a build with the GPU's wheels, as scripts/gpu_check makes in "
                       "build-gpu");
  }
  auto* maker = reinterpret_cast<MakeStepGraphFunction*>(dlsym(module, kMakeStepGraph));
  if (maker == nullptr)
    throw MachineError("device cuda: ", ModulePath(), " has no ", kMakeStepGraph);
  SetStepRecorderMaker(maker);
}

c10::Device OpenCuda() {
  OpenModule();
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (count < 1) {
    throw MachineError(
        "device cuda: no GPU is found on this machine; expected one and its driver "
        "(nvidia-smi lists them)");
  }
  const auto index = static_cast<c10::DeviceIndex>(LocalRank() % count);
  at::accelerator::setDeviceIndex(index);
  // Partial sums of a bfloat16 product are added in float32, too.
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  LogInfo("GPU ", static_cast<int>(index), " of ", count);
  return {c10::kCUDA, index};
}

}  // namespace

c10::Device OpenDevice(const std::string& name) {
  if (name == "cpu") return c10::kCPU;
  if (name != "cuda") throw UsageError("device is '", name, "'; expected cpu or cuda");
  static const c10::Device cuda = OpenCuda();
  return cuda;
}

std::unique_ptr<Communicator> LearnersOnDevice(const std::string& device, double timeout_seconds,
                                               Communicator* learners) {
  if (device == "cpu" || learners == nullptr) return nullptr;
  auto* maker =
      reinterpret_cast<MakeNcclCommunicatorFunction*>(dlsym(module, kMakeNcclCommunicator));
  if (maker == nullptr) {
    throw MachineError("device cuda: ", ModulePath(), " has no ", kMakeNcclCommunicator);
  }
  const auto timeout = static_cast<int64_t>(timeout_seconds * 1000);
  return maker(learners->Split(0), OpenDevice(device).index(), Communicator::Milliseconds(timeout));
}

}  // namespace flame
