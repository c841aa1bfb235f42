// What ranks try with each other for `flame doctor`: rank 0 asks, the others answer. Nothing but
// messages with deadlines, so that a rank that is not there becomes a line of the report.
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

// What one rank saw of the run folder.
struct FolderFacts {
  int rank = 0;
  std::string error;        // why it could not write there; empty: it could
  std::vector<int> unseen;  // ranks whose file it does not see
};

struct LinkFacts {
  int from = 0, to = 0;         // ranks
  std::string error;            // empty: it was measured
  double latency_seconds = 0;   // one way, of 8 bytes
  double bytes_per_second = 0;  // one way, of 8 MB
};

struct Findings {
  int num_ranks = 0;
  std::vector<int> silent;             // gave no answer within the deadline
  std::map<int, std::string> unknown;  // by rank: why it could not collect its facts
  std::vector<RankFacts> ranks;        // of the others, in order
  std::vector<FolderFacts> folder;     // by rank
  std::vector<LinkFacts> links;  // a ring over the first rank of each host, and one within a host
  std::map<int, double> clock_ahead;  // by rank: seconds ahead of rank 0's clock
};

// Rank 0 of `world` (null: a process alone) returns the findings, every other rank nullopt.
// `folder`: run.dir, made where it is not there. `deadline`: what any one answer may take.
std::optional<Findings> Probe(Communicator* world, const std::filesystem::path& folder,
                              const std::string& device, std::chrono::milliseconds deadline);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_PROBE_H_
