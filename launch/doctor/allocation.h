// `flame doctor` in an allocation of Slurm, outside its steps: starts itself on every rank, and has
// an answer where no step of all ranks comes about.
#ifndef FLAME_LAUNCH_DOCTOR_ALLOCATION_H_
#define FLAME_LAUNCH_DOCTOR_ALLOCATION_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace flame {

// True in a batch file, or a shell of salloc, of a job of more than one rank. Throws UsageError in
// one of several tasks that srun started without --mpi=pmix, which know nothing of each other.
bool InAllocationOfSeveral();

// The report (DoctorJson) of `flame doctor WORDS` on all ranks of the allocation, by srun. Where
// they give none, one whose only check, "ranks", names the hosts on which no step can be started.
nlohmann::json ReportOfAllocation(const std::vector<std::string>& words);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_ALLOCATION_H_
