// Reads the input lines of `tokenize`, `generate` and `score`. Each of these commands reads stdin
// line by line and answers each line on stdout before it reads the next. On a line that it does not
// understand it throws DataError with the line's number.
#ifndef FLAME_LAUNCH_COMMAND_QUESTIONS_H_
#define FLAME_LAUNCH_COMMAND_QUESTIONS_H_

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "launch/cli/parse_options.h"
#include "model/policy.h"

namespace flame {

// The text of {"text"} or {"bytes_base64"}. Throws DataError.
std::string TextOf(const nlohmann::json& question);

// Token ids from 0 to below `end`. `what` names them in messages. Throws DataError.
std::vector<int32_t> IdsBelow(const nlohmann::json& ids, int64_t end, const std::string& what);

// Token ids that `policy` knows, slots included; at least one. Throws DataError.
std::vector<int32_t> IdsOf(const nlohmann::json& ids, const Policy& policy,
                           const std::string& what);

// The policy that --model, --adapter, --dtype, --device and --quantize ask for.
Policy PolicyOf(const ParsedOptions& options);

}  // namespace flame

#endif  // FLAME_LAUNCH_COMMAND_QUESTIONS_H_
