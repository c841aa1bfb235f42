// The trials of ranks with each other for `flame doctor`: rank 0 asks, the others answer. All
// messages have deadlines, so that a missing rank becomes a line of the report.
#ifndef FLAME_LAUNCH_DOCTOR_PROBE_H_
#define FLAME_LAUNCH_DOCTOR_PROBE_H_

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "launch/doctor/facts.h"

namespace flame {

// One rank's view of the run folder.
struct FolderFacts {
  int rank = 0;
  std::string error;        // why the rank could not write there; empty: it could
  std::vector<int> unseen;  // ranks whose files this rank does not see
};

struct LinkFacts {
  int from = 0, to = 0;         // ranks
  std::string error;            // empty: the link was measured
  double latency_seconds = 0;   // one way, for 8 bytes
  double bytes_per_second = 0;  // one way, for messages of 8 MiB
};

struct Findings {
  int num_ranks = 0;
  std::vector<int> silent;             // ranks that gave no answer within the deadline
  std::map<int, std::string> unknown;  // rank -> why it could not collect its facts
  std::vector<RankFacts> ranks;        // facts of all other ranks, in rank order
  std::vector<FolderFacts> folder;     // in rank order
  std::vector<LinkFacts> links;  // a ring over the first ranks of all hosts, and one link per host
  std::map<int, double> clock_ahead;  // rank -> seconds that its clock is ahead of rank 0's
};

// Returns the findings on rank 0 of `world` (null means a process alone), nullopt on other ranks.
// `folder` is run.dir; it is made if it does not exist. `deadline` is the longest time for one
// answer.
std::optional<Findings> Probe(Communicator* world, const std::filesystem::path& folder,
                              const std::string& device, std::chrono::milliseconds deadline);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_PROBE_H_
