// JSON lines that people and programs wrote.
#ifndef FLAME_DATA_STRICT_JSON_H_
#define FLAME_DATA_STRICT_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

namespace flame {

// Parses a JSON object in UTF-8 (RFC 8259). Throws DataError on anything else, on an object with
// two members of one name, of which a parser would take the second in silence, and on a zero byte
// in a text, which files of this program cannot hold.
nlohmann::json ParseJsonObject(const std::string& text);

// Returns the value as it is written, cut to 80 bytes, for messages.
std::string ShownJson(const nlohmann::json& value);

}  // namespace flame

#endif  // FLAME_DATA_STRICT_JSON_H_
