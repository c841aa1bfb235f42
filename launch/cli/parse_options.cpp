#include "launch/cli/parse_options.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>

#include "base/config.h"
#include "base/error.h"

namespace flame {
namespace {

namespace po = boost::program_options;

const OptionDeclaration* Find(const std::vector<OptionDeclaration>& options,
                              const std::string& name) {
  for (const OptionDeclaration& option : options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    text += (i == 0 ? "" : i + 1 < words.size() ? ", " : " or ") + words[i];
  }
  return text;
}

std::string SeeHelp(const Declaration& declaration) {
  return StrCat("; see flame ", declaration.name, " --help");
}

[[noreturn]] void RefuseUnknown(const Declaration& declaration, std::string name) {
  name = name.substr(0, name.find('='));
  std::vector<std::string> names;
  for (const OptionDeclaration& option : AllOptions(declaration)) names.push_back(option.name);
  const std::string nearest = NearestWord(name.substr(name.find_first_not_of('-')), names);
  throw UsageError(name, " is no option of flame ", declaration.name,
                   nearest.empty() ? "" : "; nearest is --" + nearest, SeeHelp(declaration));
}

po::options_description Describe(const std::vector<OptionDeclaration>& options) {
  po::options_description described;
  for (const OptionDeclaration& option : options) {
    const std::string name = option.name == "help"     ? "help,h"
                             : option.name == "config" ? "config,c"
                                                       : option.name;
    if (option.value.empty()) {
      described.add_options()(name.c_str(), "");
    } else {
      described.add_options()(name.c_str(), po::value<std::string>(), "");
    }
  }
  described.add_options()("words", po::value<std::vector<std::string>>(), "");
  return described;
}

po::variables_map Parse(const Declaration& declaration, const Arguments& arguments) {
  namespace style = po::command_line_style;
  po::positional_options_description positional;
  positional.add("words", -1);
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments)
                  .options(Describe(AllOptions(declaration)))
                  .positional(positional)
                  // A prefix of a name would change its meaning with the next option.
                  .style(style::unix_style & ~style::allow_guessing & ~style::allow_sticky)
                  .run(),
              values);
  } catch (const po::unknown_option& error) {
    RefuseUnknown(declaration, error.get_option_name());
  } catch (const po::invalid_command_line_syntax& error) {
    const bool missing = error.kind() == po::invalid_syntax::missing_parameter;
    const std::string name = error.get_option_name();
    throw UsageError(missing ? name + " has no value" : error.what(), SeeHelp(declaration));
  } catch (const po::multiple_occurrences& error) {
    throw UsageError(error.get_option_name(), " is given more than once; expected it once",
                     SeeHelp(declaration));
  } catch (const po::error& error) {
    throw UsageError(error.what(), SeeHelp(declaration));
  }
  return values;
}

void CheckChoice(const std::string& name, const std::string& value,
                 const std::vector<std::string>& choices) {
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  throw UsageError(name, " is '", value, "'; expected ", Joined(choices));
}

void CheckWords(const Declaration& declaration, const std::vector<std::string>& words) {
  const WordsDeclaration& expected = declaration.words;
  if (words.size() > expected.most) {
    const std::string overrides = declaration.takes_config ? "key=value" : "";
    const std::string both = expected.most > 0 && !overrides.empty() ? " and " : "";
    const std::string all = (expected.most > 0 ? expected.name : "") + both + overrides;
    throw UsageError("argument '", words[expected.most], "' is not understood; expected ",
                     all.empty() ? "options alone" : all, SeeHelp(declaration));
  }
  if (words.size() < expected.least) {
    const std::string choices =
        expected.choices.empty() ? "" : StrCat("; expected ", Joined(expected.choices));
    throw UsageError("no ", expected.name, " is given", choices, SeeHelp(declaration));
  }
  if (!words.empty()) {
    CheckChoice(StrCat("flame ", declaration.name, ": ", expected.name), words[0],
                expected.choices);
  }
}

template <class T>
bool Whole(const std::string& text, T* value) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end;
}

}  // namespace

ParsedOptions ParseOptions(const Declaration& declaration, const Arguments& arguments) {
  const po::variables_map values = Parse(declaration, arguments);
  ParsedOptions parsed;
  parsed.declaration_ = &declaration;
  parsed.arguments = arguments;
  parsed.help = values.count("help") != 0;
  if (parsed.help) return parsed;
  const std::vector<OptionDeclaration> options = AllOptions(declaration);
  for (const auto& [name, value] : values) {
    if (name == "words") continue;
    const OptionDeclaration& option = *Find(options, name);
    parsed.values_[name] = option.value.empty() ? "" : value.as<std::string>();
    if (!option.value.empty()) CheckChoice("--" + name, parsed.values_[name], option.choices);
  }
  if (values.count("words") != 0) {
    for (const std::string& word : values["words"].as<std::vector<std::string>>()) {
      const bool overrides = declaration.takes_config && word.find('=') != std::string::npos;
      (overrides ? parsed.overrides : parsed.words).push_back(word);
    }
  }
  CheckWords(declaration, parsed.words);
  return parsed;
}

std::vector<std::string> ParsedOptions::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : values_) names.push_back(name);
  return names;
}

std::string ParsedOptions::Text(const std::string& name, const std::string& otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second;
}

std::string ParsedOptions::Required(const std::string& name) const {
  if (Has(name)) return Text(name);
  throw UsageError("--", name, " is missing: ", Find(declaration_->options, name)->help,
                   SeeHelp(*declaration_));
}

int64_t ParsedOptions::Count(const std::string& name, int64_t otherwise, int64_t low,
                             int64_t high) const {
  if (!Has(name)) return otherwise;
  int64_t value = 0;
  if (Whole(Text(name), &value) && value >= low && value <= high) return value;
  throw UsageError("--", name, " is '", Text(name), "'; expected a whole number from ", low, " to ",
                   high);
}

double ParsedOptions::Number(const std::string& name, double otherwise) const {
  if (!Has(name)) return otherwise;
  double value = 0;
  if (Whole(Text(name), &value) && std::isfinite(value)) return value;
  throw UsageError("--", name, " is '", Text(name), "'; expected a number");
}

}  // namespace flame
