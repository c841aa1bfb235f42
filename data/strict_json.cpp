#include "data/strict_json.h"

#include <set>
#include <vector>

#include "base/error.h"
#include "data/tables/csv_scanner.h"

namespace flame {

using nlohmann::json;

json ParseJsonObject(const std::string& text) {
  if (!IsUtf8(text)) throw DataError("is not UTF-8; expected a JSON object in UTF-8");
  std::vector<std::set<std::string>> names;
  std::string twice;
  bool zero = false;
  const auto see = [&](int, json::parse_event_t event, const json& value) {
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end) names.pop_back();
    if (event == json::parse_event_t::key && !names.back().insert(value).second) twice = value;
    if (event == json::parse_event_t::key || value.is_string()) {
      zero |= value.get_ref<const std::string&>().find('\0') != std::string::npos;
    }
    return true;
  };
  json object = json::parse(text, see, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    throw DataError("expected a JSON object, found '", text.substr(0, 80), "'");
  }
  if (!twice.empty()) throw DataError("'", twice, "' is there twice; expected it once");
  if (zero) throw DataError("a text holds a zero byte (\\u0000); expected text without it");
  return object;
}

std::string ShownJson(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 80);
}

}  // namespace flame
