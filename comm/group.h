// Exchanges small values between the ranks of a group. Every rank of the group must make the same
// call. A null communicator means a group of one rank, whose values stay as they are.
#ifndef FLAME_COMM_GROUP_H_
#define FLAME_COMM_GROUP_H_

#include <string>
#include <vector>

#include "comm/communicator.h"

namespace flame {

// Return the elementwise sum or maximum over ranks; `values` has the same length on every rank.
std::vector<double> SumOverRanks(Communicator* group, const std::vector<double>& values);
std::vector<double> MaxOverRanks(Communicator* group, const std::vector<double>& values);
// Returns rank 0's text, of any length.
std::string BroadcastText(Communicator* group, const std::string& text);
// Returns the text of every rank, by rank; lengths may differ.
std::vector<std::string> GatherTexts(Communicator* group, const std::string& text);

}  // namespace flame

#endif  // FLAME_COMM_GROUP_H_
