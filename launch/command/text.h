// The commands that read and write JSON lines, so that anyone can compare with another program.
// Each reads stdin line by line and answers on stdout without waiting for more.
#ifndef FLAME_LAUNCH_COMMAND_TEXT_H_
#define FLAME_LAUNCH_COMMAND_TEXT_H_

#include <string>
#include <vector>

namespace flame {

// Return the exit status. Throw UsageError on arguments, and on a line that is not understood
// DataError with its number.
//
// {"text"} or {"bytes_base64"} -> {"ids"}
int RunTokenize(const std::vector<std::string>& arguments);
// {"ids"} or {"text"} -> {"ids", "text", "logprobs"} of the continuation, one log-probability a
// token, as ChooseToken's. It ends with the model's eos or at --max-tokens. --samples N answers
// each line N times. Lines that are there together are decoded together; answers keep their order,
// and a token depends on the seed, the line's place, the sample and the position only.
int RunGenerate(const std::vector<std::string>& arguments);
// {"trunk": [ids], "branches": [[ids], ...]} -> {"logprobs": [[...], ...]}, one number a branch
// token.
int RunScore(const std::vector<std::string>& arguments);

}  // namespace flame

#endif  // FLAME_LAUNCH_COMMAND_TEXT_H_
