// What the stages of a tokenizer.json read alike.
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

// The pattern {"String": text} of Replace, in normalizers and decoders.
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
