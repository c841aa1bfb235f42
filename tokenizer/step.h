// Helpers that several stages of a tokenizer.json share.
#ifndef FLAME_TOKENIZER_STEP_H_
#define FLAME_TOKENIZER_STEP_H_

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"

namespace flame {

[[noreturn]] inline void RefuseStep(const std::string& where, const std::string& part,
                                    const nlohmann::json& found, const char* supported) {
  throw DataError(where, ": ", part, " ", found.dump(),
                  " is not supported; supported: ", supported);
}

// Returns the text of Replace's pattern {"String": text}, in normalizers and decoders. Throws
// DataError on any other pattern.
inline std::string StringPattern(const nlohmann::json& step, const std::string& where,
                                 const std::string& part) {
  const nlohmann::json& pattern = step.at("pattern");
  if (!pattern.contains("String") || pattern["String"] == "") {
    RefuseStep(where, part + ".pattern", pattern, "a String that is not empty");
  }
  return pattern["String"];
}

}  // namespace flame

#endif  // FLAME_TOKENIZER_STEP_H_
