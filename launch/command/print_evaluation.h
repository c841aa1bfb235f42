// The results that evaluate and pipeline print at their end.
#ifndef FLAME_LAUNCH_COMMAND_PRINT_EVALUATION_H_
#define FLAME_LAUNCH_COMMAND_PRINT_EVALUATION_H_

#include "launch/config/config.h"

namespace flame {

// Prints the run's evaluation.json, as it is or as a table. Throws DataError if it is no JSON
// object.
void PrintEvaluation(const Config& config, bool as_json);

}  // namespace flame

#endif  // FLAME_LAUNCH_COMMAND_PRINT_EVALUATION_H_
