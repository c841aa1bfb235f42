// Small values that the ranks of a group tell each other. Every rank of the group makes the same
// call. A null communicator is a group of one: values stay as they are.
#ifndef FLAME_COMM_GROUP_H_
#define FLAME_COMM_GROUP_H_

#include <string>
#include <vector>

#include "comm/communicator.h"

namespace flame {

// Elementwise; `values` has the same length on every rank.
std::vector<double> SumOverRanks(Communicator* group, const std::vector<double>& values);
std::vector<double> MaxOverRanks(Communicator* group, const std::vector<double>& values);
// Rank 0's text, of any length.
std::string BroadcastText(Communicator* group, const std::string& text);
// The text of every rank, by rank; lengths may differ.
std::vector<std::string> GatherTexts(Communicator* group, const std::string& text);

}  // namespace flame

#endif  // FLAME_COMM_GROUP_H_
