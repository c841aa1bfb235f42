#include "base/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <iomanip>
#include <numeric>
#include <sstream>
#include <utility>

#include "base/config_source.h"
#include "base/error.h"
#include "base/text_wrap.h"

namespace flame {
namespace {

using Strings = std::vector<std::string>;

std::string RangeText(const Range& range) {
  const bool low = std::isfinite(range.low), high = std::isfinite(range.high);
  if (low && high) {
    return StrCat("in ", range.low_open ? "(" : "[", NumberText(range.low), ", ",
                  NumberText(range.high), range.high_open ? ")" : "]");
  }
  if (low) return StrCat(range.low_open ? "> " : ">= ", NumberText(range.low));
  if (high) return StrCat(range.high_open ? "< " : "<= ", NumberText(range.high));
  return "";
}

std::string Expected(const std::string& what, const Range& range) {
  const std::string text = RangeText(range);
  return text.empty() ? what : what + " " + text;
}

bool Inside(const Range& range, double value) {
  return std::isfinite(value) && (range.low_open ? value > range.low : value >= range.low) &&
         (range.high_open ? value < range.high : value <= range.high);
}

// Parses the whole of `text` as a T. False if it is no T or lies outside `range`.
template <class T>
bool Parse(const std::string& text, const Range& range, T* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end &&
         Inside(range, static_cast<double>(*value));
}

// Returns a YAML scalar that reads back as `text`, quoted unless it is clearly safe without quotes.
std::string Quoted(const std::string& text) {
  const auto plain = [](unsigned char c) {
    return c < 128 && (std::isalnum(c) || c == '/' || c == '_' || c == '.' || c == '-');
  };
  const bool starts_well =
      !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '/');
  const bool null = text == "null" || text == "Null" || text == "NULL";
  if (starts_well && !null && std::all_of(text.begin(), text.end(), plain)) return text;
  std::ostringstream out;
  out << '"' << std::hex << std::setfill('0');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out << '\\' << c;
    } else if (static_cast<unsigned char>(c) < 32) {
      out << "\\x" << std::setw(2) << static_cast<int>(c);
    } else {
      out << c;
    }
  }
  out << '"';
  return out.str();
}

std::string Joined(const Strings& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

template <class Items, class ToText>
std::string FlowList(const Items& items, ToText to_text) {
  Strings texts;
  for (const auto& item : items) texts.push_back(to_text(item));
  return "[" + Joined(texts) + "]";
}

bool Matches(const std::string& value, const std::string& choice) {
  if (choice.empty() || choice.back() != ':') return value == choice;
  return value.size() > choice.size() && value.compare(0, choice.size(), choice) == 0;
}

bool HasPrefix(const std::string& name, const std::string& prefix) {
  return prefix.empty() || name == prefix || name.compare(0, prefix.size() + 1, prefix + ".") == 0;
}

std::string LastPart(const std::string& name) { return name.substr(name.rfind('.') + 1); }

// Returns the Levenshtein distance.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

// Suggests the nearest name, or else one that differs only in its section. "" if neither exists.
std::string Suggestion(const std::string& name, const Strings& names) {
  std::string nearest = NearestWord(name, names);
  for (size_t i = 0; nearest.empty() && i < names.size(); ++i) {
    if (LastPart(names[i]) == LastPart(name)) nearest = names[i];
  }
  return nearest.empty() ? "" : "; nearest is '" + nearest + "'";
}

// Returns the lines that open those sections of `name` that `previous` is not in.
std::string SectionHeads(const std::string& previous, const std::string& name) {
  std::string lines, indent;
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    const std::string section = name.substr(0, dot);
    if (!HasPrefix(previous, section)) lines += indent + LastPart(section) + ":\n";
    indent += "  ";
  }
  return lines;
}

}  // namespace

void ConfigSchema::Int(const std::string& name, int64_t* field, Range range,
                       const std::string& help) {
  Key key;
  key.type = "integer";
  key.range = RangeText(range);
  key.help = help;
  key.get = [field] { return std::to_string(*field); };
  key.set = [field, range](const std::string& text) {
    int64_t value = 0;
    if (!Parse(text, range, &value)) return Expected("an integer", range);
    *field = value;
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::Number(const std::string& name, double* field, Range range,
                          const std::string& help) {
  Key key;
  key.type = "number";
  key.range = RangeText(range);
  key.help = help;
  key.get = [field] { return NumberText(*field); };
  key.set = [field, range](const std::string& text) {
    double value = 0;
    if (!Parse(text, range, &value)) return Expected("a number", range);
    *field = value;
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::Bool(const std::string& name, bool* field, const std::string& help) {
  Key key;
  key.type = "true or false";
  key.help = help;
  key.get = [field] { return *field ? "true" : "false"; };
  key.set = [field](const std::string& text) {
    if (text != "true" && text != "false") return std::string("true or false");
    *field = text == "true";
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::Text(const std::string& name, std::string* field, const std::string& help) {
  Key key;
  key.type = "text";
  key.help = help;
  key.get = [field] { return Quoted(*field); };
  key.set = [field](const std::string& text) {
    *field = text;
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::Path(const std::string& name, std::filesystem::path* field,
                        const std::string& help) {
  Key key;
  key.type = "path";
  key.help = help;
  key.get = [field] { return Quoted(field->string()); };
  key.set = [field](const std::string& text) {
    *field = text;
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::Choice(const std::string& name, std::string* field, Strings choices,
                          const std::string& help) {
  ChoiceOf(
      name, choices, [field] { return *field; },
      [field](const std::string& text) { *field = text; }, help);
}

void ConfigSchema::ChoiceOf(const std::string& name, const Strings& choices,
                            std::function<std::string()> get,
                            std::function<void(const std::string&)> set, const std::string& help) {
  Key key;
  key.type = "choice";
  key.range = "one of " + Joined(choices);
  key.help = help;
  key.get = [get = std::move(get)] { return Quoted(get()); };
  key.set = [choices, set = std::move(set), expected = key.range](const std::string& text) {
    const auto matches = [&](const std::string& choice) { return Matches(text, choice); };
    if (std::none_of(choices.begin(), choices.end(), matches)) return expected;
    set(text);
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::TextList(const std::string& name, Strings* field, const std::string& help) {
  Key key;
  key.type = "list of texts";
  key.help = help;
  key.get = [field] { return FlowList(*field, Quoted); };
  key.set_list = [field](const Strings& items) {
    *field = items;
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::IntList(const std::string& name, std::vector<int64_t>* field, Range range,
                           const std::string& help) {
  Key key;
  key.type = "list of integers";
  key.range = RangeText(range);
  key.help = help;
  key.get = [field] { return FlowList(*field, [](int64_t item) { return std::to_string(item); }); };
  key.set_list = [field, range](const Strings& items) {
    std::vector<int64_t> values(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      if (!Parse(items[i], range, &values[i])) return Expected("a list of integers", range);
    }
    *field = values;
    return std::string();
  };
  Add(name, std::move(key));
}

void ConfigSchema::Add(const std::string& name, Key key) {
  key.default_text = key.get();
  keys_[name] = std::move(key);
}

std::string ConfigSchema::Apply(const ConfigValue& value) {
  const auto found = keys_.find(value.name);
  if (found == keys_.end()) {
    Strings names;
    bool section = false;
    for (const auto& [name, key] : keys_) {
      names.push_back(name);
      section = section || HasPrefix(name, value.name);
    }
    if (section && value.empty) return "";  // a section whose lines are all commented out
    if (section) return "'" + value.name + "' is a section; expected keys below it";
    return "unknown key '" + value.name + "'" + Suggestion(value.name, names);
  }
  const Key& key = found->second;
  const ConfigValue::Kind kind = key.set ? ConfigValue::Kind::kScalar : ConfigValue::Kind::kList;
  std::string expected;
  if (value.kind == kind) {
    expected = key.set ? key.set(value.items[0]) : key.set_list(value.items);
  } else {
    expected = key.set ? "one " + key.type + " value" : "a " + key.type + " such as [a, b]";
  }
  if (expected.empty()) return "";
  return value.name + " is " + value.shown + "; expected " + expected;
}

Strings ConfigSchema::Set(const std::vector<ConfigValue>& values) {
  Strings faults;
  for (const ConfigValue& value : values) {
    const std::string fault = Apply(value);
    if (!fault.empty()) faults.push_back(value.place + ": " + fault);
  }
  return faults;
}

void ConfigSchema::Load(const std::filesystem::path& file, const Strings& overrides) {
  Strings faults;
  std::vector<ConfigValue> values;
  if (!file.empty()) values = ReadConfigFile(file, &faults);
  for (ConfigValue& value : ReadConfigOverrides(overrides, &faults)) {
    values.push_back(std::move(value));
  }
  for (std::string& fault : Set(values)) faults.push_back(std::move(fault));
  if (faults.empty()) return;
  std::string message;
  for (const std::string& fault : faults) message += (message.empty() ? "" : "\n") + fault;
  throw UsageError(message);
}

std::string ConfigSchema::ResolvedYaml() const {
  std::string text, previous;
  for (const auto& [name, key] : keys_) {
    text += SectionHeads(previous, name);
    const auto depth = static_cast<size_t>(std::count(name.begin(), name.end(), '.'));
    const std::string indent(2 * depth, ' ');
    const std::string range = key.range.empty() ? "" : " (" + key.range + ")";
    text += indent + "# " + key.help + range + "\n";
    text += indent + LastPart(name) + ": " + key.get() + "\n";
    previous = name;
  }
  return text;
}

std::string ConfigSchema::Canonical(const Strings& prefixes) const {
  std::map<std::string, std::string> lines;
  for (const std::string& prefix : prefixes) {
    const size_t before = lines.size();
    for (const auto& [name, key] : keys_) {
      if (HasPrefix(name, prefix)) lines[name] = key.get();
    }
    if (lines.size() == before) throw UsageError("'", prefix, "' covers no further config key");
  }
  std::string text;
  for (const auto& [name, value] : lines) text += name + "=" + value + "\n";
  return text;
}

std::string ConfigSchema::Help(size_t width) const {
  constexpr size_t kMargin = 2, kIndent = 6;
  std::string text;
  for (const auto& [name, key] : keys_) {
    // A default wider than the terminal goes on below its key.
    const std::string head = name + " = ";
    const bool fits = kMargin + head.size() + key.default_text.size() <= width;
    text += fits ? std::string(kMargin, ' ') + head + key.default_text + "\n"
                 : std::string(kMargin, ' ') + name + " =\n" +
                       WrapText(key.default_text, width, kIndent);
    text += WrapText(key.help + " (" + (key.range.empty() ? key.type : key.range) + ")", width,
                     kIndent);
  }
  return text;
}

std::string ConfigSchema::Markdown() const {
  // A bar would end the cell.
  const auto cell = [](std::string text) {
    for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) {
      text.insert(at, "\\");
    }
    return text;
  };
  std::string text, section;
  for (const auto& [name, key] : keys_) {
    const std::string own = name.substr(0, name.find('.'));
    if (own != section) {
      section = own;
      text += "\n## " + section +
              "\n\n| key | default | values | meaning |\n| --- | --- | --- | "
              "--- |\n";
    }
    text += "| `" + name + "` | `" + cell(key.default_text) + "` | " +
            cell(key.range.empty() ? key.type : key.range) + " | " + cell(key.help) + " |\n";
  }
  return text;
}

Strings ConfigSchema::Names() const {
  Strings names;
  for (const auto& [name, key] : keys_) names.push_back(name);
  return names;
}

std::string NumberText(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

std::string NearestWord(const std::string& word, const Strings& candidates) {
  std::string nearest;
  size_t least = std::max<size_t>(2, word.size() / 4) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < least && distance < word.size()) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace flame
