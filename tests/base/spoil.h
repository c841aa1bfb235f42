// Spoils texts by seed, to see that what reads them gives a result or an error in words.
#ifndef FLAME_TESTS_BASE_SPOIL_H_
#define FLAME_TESTS_BASE_SPOIL_H_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>

namespace flame {

using Random = std::mt19937_64;

inline size_t Below(Random& random, size_t n) { return n == 0 ? 0 : random() % n; }

// Changes, drops, doubles or moves a piece of the text, or puts one that often matters into it.
inline std::string SpoiledText(Random& random, std::string text) {
  static const std::string kPieces[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"",
                                        ":",
                                        "\n",
                                        "\t",
                                        "\r",
                                        "\\",
                                        "\xff",
                                        "\xc3",
                                        "\u00e9",
                                        "\U0001f600",
                                        "-1",
                                        "1e999",
                                        "null",
                                        "true",
                                        "''",
                                        "&a",
                                        "*a",
                                        "\ufeff",
                                        std::string(1, '\0'),
                                        std::string(300, 'x')};
  const size_t at = Below(random, text.size() + 1), size = Below(random, 12);
  switch (Below(random, 6)) {
    case 0:
      return text.erase(std::min(at, text.size()), size);
    case 1:
      return text.insert(at, text.substr(Below(random, text.size() + 1), size));
    case 2:
      if (at < text.size()) text[at] = static_cast<char>(Below(random, 256));
      return text;
    case 3:
      return text.substr(0, at);
    default:
      return text.insert(at, kPieces[Below(random, std::size(kPieces))]);
  }
}

// Returns a member or item of the value, of any depth.
inline nlohmann::json* AnyPart(Random& random, nlohmann::json* value) {
  while (value->is_structured() && !value->empty() && Below(random, 4) > 0) {
    value = &*std::next(value->begin(), static_cast<int64_t>(Below(random, value->size())));
  }
  return value;
}

// Replaces, drops or doubles a part of the value, so that the text stays JSON.
inline nlohmann::json SpoiledJson(Random& random, nlohmann::json value) {
  using nlohmann::json;
  static const json kValues[] = {nullptr,
                                 true,
                                 -1,
                                 0,
                                 1.5,
                                 4294967296,
                                 1e300,
                                 "",
                                 "x",
                                 json::array(),
                                 json::object(),
                                 json::array({1}),
                                 "\u00e9",
                                 std::string(300, 'x')};
  json* part = AnyPart(random, &value);
  const bool drops = part->is_structured() && !part->empty() && Below(random, 3) == 0;
  if (drops) {
    part->erase(std::next(part->begin(), static_cast<int64_t>(Below(random, part->size()))));
  } else if (part->is_array() && !part->empty() && Below(random, 2) == 0) {
    part->push_back((*part)[Below(random, part->size())]);
  } else if (Below(random, 3) == 0) {
    json copy = *AnyPart(random, &value);  // it may hold `part`
    *part = std::move(copy);
  } else {
    *part = kValues[Below(random, std::size(kValues))];
  }
  return value;
}

}  // namespace flame

#endif  // FLAME_TESTS_BASE_SPOIL_H_
