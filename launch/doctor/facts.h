// The facts that one rank of a job finds on its machine, for `flame doctor`.
#ifndef FLAME_LAUNCH_DOCTOR_FACTS_H_
#define FLAME_LAUNCH_DOCTOR_FACTS_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace flame {

struct GpuFacts {
  int64_t free_bytes = 0, total_bytes = 0;
  std::vector<int> unreachable;  // other GPUs whose memory this GPU cannot access directly
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(GpuFacts, free_bytes, total_bytes, unreachable)

struct RankFacts {
  int rank = 0;
  std::string host;
  // Versions of libraries as loaded at run time, by library; `flame` is the program's SHA-256.
  std::map<std::string, std::string> versions;
  std::map<std::string, std::string> libraries;  // LoadedLibraries()
  std::vector<std::string> nccl_files;           // paths of the NCCL libraries that are loaded
  int64_t open_files = 0;                        // soft limit of file descriptors
  int64_t shared_memory_bytes = 0;               // free bytes in /dev/shm
  int64_t cores = 0;                             // number of cores that the process may use
  bool start_has_barrier = true;                 // StartHasBarrier(); true for a process alone
  std::vector<GpuFacts> gpus;                    // the machine's GPUs, if model.device is cuda
  std::string gpu_error;                         // why the GPUs cannot be used; empty: no error
};
// Missing fields get defaults, because another build of the program may report other facts.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(RankFacts, rank, host, versions, libraries,
                                                nccl_files, open_files, shared_memory_bytes, cores,
                                                start_has_barrier, gpus, gpu_error)

// Collects the facts. `device` is model.device; cuda opens the GPU's libraries (OpenDevice).
RankFacts FactsOfThisRank(int rank, const std::string& device);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_FACTS_H_
