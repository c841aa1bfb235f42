// What one rank of a job finds on its machine, for `flame doctor`.
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
  std::vector<int> unreachable;  // GPUs of the machine whose memory it cannot reach directly
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(GpuFacts, free_bytes, total_bytes, unreachable)

struct RankFacts {
  int rank = 0;
  std::string host;
  // By library, of what is loaded at run time; `flame` is the program's SHA-256.
  std::map<std::string, std::string> versions;
  std::map<std::string, std::string> libraries;  // LoadedLibraries()
  std::vector<std::string> nccl_files;           // that are loaded
  int64_t open_files = 0;                        // the soft limit, descriptors
  int64_t shared_memory_bytes = 0;               // free in /dev/shm
  int64_t cores = 0;                             // that the process may use
  bool start_has_barrier = true;                 // of ranks: StartHasBarrier()
  std::vector<GpuFacts> gpus;                    // of the machine, where model.device is cuda
  std::string gpu_error;                         // why there are none then
};
// Another build of the program may tell other facts.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(RankFacts, rank, host, versions, libraries,
                                                nccl_files, open_files, shared_memory_bytes, cores,
                                                start_has_barrier, gpus, gpu_error)

// `device`: model.device; cuda opens the GPU's libraries (OpenDevice).
RankFacts FactsOfThisRank(int rank, const std::string& device);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_FACTS_H_
