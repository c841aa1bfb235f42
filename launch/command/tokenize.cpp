// flame tokenize: text to token ids and back.
#include <nlohmann/json.hpp>

#include "launch/cli/json_lines.h"
#include "launch/command/command.h"
#include "launch/command/questions.h"
#include "tokenizer/stream.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

using nlohmann::json;

// The text of token ids, and what each of them completed of it.
json DecodeIds(const Tokenizer& tokenizer, const json& values) {
  const std::vector<int32_t> ids = IdsBelow(values, tokenizer.size(), "'ids'");
  DecodeStream stream(tokenizer);
  json pieces = json::array();
  for (const int32_t id : ids) pieces.push_back(stream.Add(id));
  pieces.push_back(stream.Finish());
  return {{"text", tokenizer.Decode(ids)}, {"pieces", pieces}};
}

}  // namespace

int RunTokenize(const ParsedOptions& options) {
  const Tokenizer tokenizer = Tokenizer::Load(options.Required("tokenizer"));
  const bool special = !options.Has("no-special-tokens");
  AnswerLines([&](const json& question) {
    CheckOneOf(question, {"ids", "text", "bytes_base64"});
    if (question.contains("ids")) return DecodeIds(tokenizer, question["ids"]);
    return json{{"ids", tokenizer.Encode(TextOf(question), special)}};
  });
  return 0;
}

}  // namespace flame
