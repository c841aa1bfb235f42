// `flame doctor` in a Slurm allocation, outside its steps: starts itself on every rank, and reports
// even if no step over all ranks can run.
#ifndef FLAME_LAUNCH_DOCTOR_ALLOCATION_H_
#define FLAME_LAUNCH_DOCTOR_ALLOCATION_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace flame {

// True in a batch file or a shell of salloc, if the job has more than one rank. Throws UsageError
// in one of several tasks that srun started without --mpi=pmix: such tasks do not know of each
// other.
bool InAllocationOfSeveral();

// Runs `flame doctor WORDS` by srun on all ranks of the allocation and returns its report
// (DoctorJson). If there is no report, returns one whose only check, "ranks", names the hosts on
// which no step starts.
nlohmann::json ReportOfAllocation(const std::vector<std::string>& words);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_ALLOCATION_H_
