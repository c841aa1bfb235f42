#include "launch/doctor/facts.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <hdf5.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <torch/version.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files/checksum.h"
#include "comm/mpi_communicator.h"
#include "launch/doctor/loaded_libraries.h"
#include "launch/run/device.h"

namespace flame {
namespace {

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

template <class Function>
Function* Loaded(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

std::string Hdf5Version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return StrCat(major, ".", minor, ".", release);
}

std::map<std::string, std::string> Versions() {
  std::map<std::string, std::string> versions = {
      {"flame", Sha256OfFile("/proc/self/exe")},
      {"torch", TORCH_VERSION},
      {"mpi", MpiLibraryVersion()},
      {"hdf5", Hdf5Version()},
      {"glibc", gnu_get_libc_version()},
  };
  int number = 0;
  auto* nccl = Loaded<int(int*)>("ncclGetVersion");
  if (nccl != nullptr && nccl(&number) == 0) versions["nccl"] = StrCat(number);
  auto* driver = Loaded<int(int*)>("cudaDriverGetVersion");
  if (driver != nullptr && driver(&number) == 0 && number > 0)
    versions["cuda driver"] = StrCat(number);
  return versions;
}

// Returns the machine's GPUs. Looks up the CUDA runtime of the GPU wheels at run time, because the
// program is not linked to it.
std::vector<GpuFacts> Gpus() {
  auto* count = Loaded<int(int*)>("cudaGetDeviceCount");
  auto* choose = Loaded<int(int)>("cudaSetDevice");
  auto* current = Loaded<int(int*)>("cudaGetDevice");
  auto* memory = Loaded<int(size_t*, size_t*)>("cudaMemGetInfo");
  auto* reaches = Loaded<int(int*, int, int)>("cudaDeviceCanAccessPeer");
  int num_gpus = 0, before = 0;
  if (!count || !choose || !current || !memory || !reaches || count(&num_gpus) != 0 ||
      current(&before) != 0) {
    throw MachineError("the CUDA runtime does not answer");
  }
  std::vector<GpuFacts> gpus(static_cast<size_t>(num_gpus));
  for (int gpu = 0; gpu < num_gpus; ++gpu) {
    size_t free_bytes = 0, total_bytes = 0;
    if (choose(gpu) != 0 || memory(&free_bytes, &total_bytes) != 0) {
      throw MachineError("GPU ", gpu, " does not report its memory");
    }
    gpus[gpu].free_bytes = static_cast<int64_t>(free_bytes);
    gpus[gpu].total_bytes = static_cast<int64_t>(total_bytes);
    for (int peer = 0; peer < num_gpus; ++peer) {
      int yes = 0;
      if (peer != gpu && (reaches(&yes, gpu, peer) != 0 || yes == 0)) {
        gpus[gpu].unreachable.push_back(peer);
      }
    }
  }
  choose(before);
  return gpus;
}

int64_t FreeSharedMemory() {
  struct statvfs disk = {};
  if (statvfs("/dev/shm", &disk) != 0) return 0;
  return static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
}

}  // namespace

RankFacts FactsOfThisRank(int rank, const std::string& device) {
  RankFacts facts;
  facts.rank = rank;
  facts.host = HostName();
  try {
    if (OpenDevice(device).is_cuda()) facts.gpus = Gpus();
  } catch (const Error& error) {
    facts.gpu_error = error.what();
  }
  facts.versions = Versions();
  facts.libraries = LoadedLibraries();
  facts.nccl_files = LoadedFiles("libnccl");
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  facts.open_files = static_cast<int64_t>(files.rlim_cur);
  facts.shared_memory_bytes = FreeSharedMemory();
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) facts.cores = CPU_COUNT(&cores);
  return facts;
}

}  // namespace flame
