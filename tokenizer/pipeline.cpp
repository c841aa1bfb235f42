#include "tokenizer/pipeline.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "tokenizer/regex.h"
#include "tokenizer/step.h"
#include "tokenizer/text.h"

namespace flame {
namespace {

using nlohmann::json;

// Gives `sink` the words of Metaspace: each replacement character begins a word.
void SplitBefore(std::string_view mark, const Piece& piece, const PreTokenizer::Sink& sink) {
  size_t begin = 0;
  while (begin < piece.text.size()) {
    const size_t end = std::min(piece.text.find(mark, begin + 1), piece.text.size());
    sink({piece.text.substr(begin, end - begin), piece.at_start && begin == 0});
    begin = end;
  }
}

// Returns Metaspace's prepend_scheme. Older files have add_prefix_space instead.
std::string PrependScheme(const json& step, const std::string& where) {
  if (step.contains("prepend_scheme")) {
    const json& scheme = step["prepend_scheme"];
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      RefuseStep(where, "Metaspace.prepend_scheme", scheme, "always, first, never");
    }
    return scheme;
  }
  return step.value("add_prefix_space", true) ? "always" : "never";
}

PreTokenizer::Step MetaspaceStep(const json& step, const std::string& where) {
  const std::string mark = step.at("replacement"), scheme = PrependScheme(step, where);
  const bool split = step.value("split", true);
  return [=](const Piece& piece, const PreTokenizer::Sink& sink) {
    std::string text(piece.text);
    ReplaceAll(" ", mark, &text);
    const bool wanted = scheme == "always" || (scheme == "first" && piece.at_start);
    if (wanted && !text.starts_with(mark)) text.insert(0, mark);
    const Piece marked{text, piece.at_start};
    split ? SplitBefore(mark, marked, sink) : sink(marked);
  };
}

// Returns the step that gives ByteLevel's words, as bytes.
PreTokenizer::Step ByteLevelStep(const json& step, const std::string& where) {
  const bool prefix = step.value("add_prefix_space", true);
  std::optional<SplitPattern> pattern;
  if (step.value("use_regex", true)) pattern.emplace(kGpt2Pattern, where);
  return [=](const Piece& piece, const PreTokenizer::Sink& sink) {
    std::string prefixed;
    std::string_view text = piece.text;
    if (prefix && !text.starts_with(' ')) text = prefixed = " " + std::string(text);
    const auto give = [&](std::string_view word, bool) {
      sink({word, piece.at_start && word.data() == text.data()});
    };
    pattern ? pattern->Split(text, std::ref(give)) : give(text, true);
  };
}

// The treatment of the matches of a Split.
enum class Behavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior BehaviorOf(const json& step, const std::string& where) {
  const json& name = step.at("behavior");
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  RefuseStep(where, "pre_tokenizer Split.behavior", name,
             "Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
}

struct Part {
  std::string_view text;
  bool is_match;
};

// Joins neighbouring parts into words. The parts lie one after the other in memory.
std::vector<std::string_view> Merged(const std::vector<Part>& parts, Behavior behavior) {
  std::vector<std::string_view> words;
  bool open = false;  // the last word takes the next part
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool match = parts[i].is_match, before = i > 0 && parts[i - 1].is_match;
    bool joins = open;
    if (behavior == Behavior::kMergedWithPrevious) joins = i > 0 && match && !before;
    if (behavior == Behavior::kContiguous) joins = i > 0 && match == before;
    if (joins) {
      words.back() = {words.back().data(), words.back().size() + parts[i].text.size()};
    } else {
      words.push_back(parts[i].text);
    }
    const bool next_matches = i + 1 < parts.size() && parts[i + 1].is_match;
    open = behavior == Behavior::kMergedWithNext && match && !next_matches;
  }
  return words;
}

PreTokenizer::Step SplitBy(const SplitPattern& pattern, Behavior behavior, bool invert) {
  return [=](const Piece& piece, const PreTokenizer::Sink& sink) {
    const auto give = [&](std::string_view word) {
      sink({word, piece.at_start && word.data() == piece.text.data()});
    };
    if (behavior == Behavior::kIsolated || behavior == Behavior::kRemoved) {
      // `invert` exchanges matches and gaps.
      const auto give_part = [&](std::string_view word, bool is_match) {
        if (behavior == Behavior::kIsolated || is_match == invert) give(word);
      };
      pattern.Split(piece.text, std::ref(give_part));
      return;
    }
    std::vector<Part> parts;
    const auto add = [&](std::string_view word, bool is_match) {
      parts.push_back({word, is_match != invert});
    };
    pattern.Split(piece.text, std::ref(add));
    for (const std::string_view word : Merged(parts, behavior)) give(word);
  };
}

PreTokenizer::Step SplitStep(const json& step, const std::string& where) {
  const json& pattern = step.at("pattern");
  const bool regex = pattern.contains("Regex");
  if (!regex && (!pattern.contains("String") || pattern["String"] == "")) {
    RefuseStep(where, "pre_tokenizer Split.pattern", pattern,
               "a Regex or String that is not empty");
  }
  const std::string text = regex ? pattern["Regex"].get<std::string>()
                                 : LiteralPattern(pattern["String"].get<std::string>());
  return SplitBy(SplitPattern(text, where + ": pre_tokenizer Split"), BehaviorOf(step, where),
                 step.value("invert", false));
}

// Returns the step that makes each digit, or each run of digits, of any script a word.
PreTokenizer::Step DigitsStep(const json& step, const std::string& where) {
  const bool single = step.value("individual_digits", false);
  return SplitBy(SplitPattern(single ? "\\p{N}" : "\\p{N}+", where), Behavior::kIsolated, false);
}

bool IsByteToken(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>') &&
         isxdigit(static_cast<unsigned char>(token[3])) &&
         isxdigit(static_cast<unsigned char>(token[4]));
}

char ByteOf(const std::string& byte_token) {
  return static_cast<char>(std::stoi(byte_token.substr(3, 2), nullptr, 16));
}

// Replaces each run of byte tokens by its text, or by one U+FFFD a byte if it is not UTF-8.
void DecodeByteTokens(std::vector<std::string>* tokens) {
  std::vector<std::string> out;
  std::string run;
  const auto flush = [&] {
    if (IsValidUtf8(run)) {
      if (!run.empty()) out.push_back(run);
    } else {
      out.insert(out.end(), run.size(), std::string(kReplacementCharacter));
    }
    run.clear();
  };
  for (std::string& token : *tokens) {
    if (IsByteToken(token)) {
      run += ByteOf(token);
    } else {
      flush();
      out.push_back(std::move(token));
    }
  }
  flush();
  *tokens = std::move(out);
}

void JoinTokens(std::vector<std::string>* tokens) {
  std::string text;
  for (const std::string& token : *tokens) text += token;
  *tokens = {std::move(text)};
}

void DecodeByteLevel(std::vector<std::string>* tokens) {
  std::string bytes;
  for (const std::string& token : *tokens) bytes += BytesOfCharacters(token).value_or(token);
  *tokens = {ReplaceInvalidUtf8(bytes)};
}

void StripToken(const std::string& content, size_t start, size_t stop, std::string* token) {
  for (size_t i = 0; i < start && token->starts_with(content); ++i) token->erase(0, content.size());
  for (size_t i = 0; i < stop && token->ends_with(content); ++i) {
    token->resize(token->size() - content.size());
  }
}

}  // namespace

PreTokenizer::PreTokenizer(const json& json, const std::string& where) {
  if (!json.is_null()) Add(json, where);
}

void PreTokenizer::Add(const json& json, const std::string& where) {
  const std::string type = json.at("type");
  if (type != "Sequence" && gives_bytes_) {
    steps_.push_back([](const Piece& piece, const Sink& sink) {
      std::string text;
      AppendByteCharacters(piece.text, &text);
      sink({text, piece.at_start});
    });
  }
  if (type != "Sequence") gives_bytes_ = type == "ByteLevel";
  if (type == "Sequence") {
    for (const auto& step : json.at("pretokenizers")) Add(step, where);
  } else if (type == "ByteLevel") {
    steps_.push_back(ByteLevelStep(json, where));
  } else if (type == "Split") {
    steps_.push_back(SplitStep(json, where));
  } else if (type == "Digits") {
    steps_.push_back(DigitsStep(json, where));
  } else if (type == "Metaspace") {
    steps_.push_back(MetaspaceStep(json, where));
  } else {
    RefuseStep(where, "pre_tokenizer", json, "Sequence, ByteLevel, Split, Digits, Metaspace");
  }
}

void PreTokenizer::ApplyFrom(size_t step, const Piece& piece, const Sink& sink) const {
  if (step == steps_.size()) return sink(piece);
  const auto next = [&, step](const Piece& part) { ApplyFrom(step + 1, part, sink); };
  steps_[step](piece, std::ref(next));  // by reference: a std::function copies without allocating
}

TokenDecoder::TokenDecoder(const json& json, const std::string& where) {
  if (!json.is_null()) {
    Add(json, where);
    return;
  }
  steps_.push_back([](std::vector<std::string>* tokens) {
    for (size_t i = 1; i < tokens->size(); ++i) (*tokens)[i].insert(0, " ");
  });
}

void TokenDecoder::Add(const json& json, const std::string& where) {
  const std::string type = json.at("type");
  if (type == "Sequence") {
    for (const auto& step : json.at("decoders")) Add(step, where);
  } else if (type == "ByteLevel") {
    steps_.push_back(DecodeByteLevel);
    byte_steps_.push_back(
        [](std::string* token) { *token = BytesOfCharacters(*token).value_or(*token); });
  } else if (type == "Replace") {
    const std::string from = StringPattern(json, where, "decoder Replace");
    AddReplacement(from, json.at("content"), /*drop_in_first=*/false);
  } else if (type == "Metaspace") {
    AddReplacement(json.at("replacement"), " ", PrependScheme(json, where) != "never");
  } else if (type == "ByteFallback") {
    byte_fallback_ = true;
    steps_.push_back(DecodeByteTokens);
    byte_steps_.push_back([](std::string* token) {
      if (IsByteToken(*token)) *token = std::string(1, ByteOf(*token));
    });
  } else if (type == "Fuse") {
    steps_.push_back(JoinTokens);
  } else if (type == "Strip") {
    const std::string content = json.at("content");
    const size_t start = json.at("start"), stop = json.at("stop");
    steps_.push_back([=](std::vector<std::string>* tokens) {
      for (std::string& token : *tokens) StripToken(content, start, stop, &token);
    });
  } else {
    RefuseStep(where, "decoder", json,
               "Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace");
  }
}

void TokenDecoder::AddReplacement(const std::string& from, const std::string& to,
                                  bool drop_in_first) {
  steps_.push_back([=](std::vector<std::string>* tokens) {
    for (size_t i = 0; i < tokens->size(); ++i) {
      ReplaceAll(from, i == 0 && drop_in_first ? "" : to, &(*tokens)[i]);
    }
  });
  byte_steps_.push_back([=](std::string* token) { ReplaceAll(from, to, token); });
}

std::string TokenDecoder::Decode(std::vector<std::string> tokens) const {
  for (const auto& step : steps_) step(&tokens);
  JoinTokens(&tokens);
  return std::move(tokens.front());
}

std::string TokenDecoder::BytesOf(const std::string& token) const {
  std::string bytes = token;
  for (const auto& step : byte_steps_) step(&bytes);
  return bytes;
}

bool TokenDecoder::IsFallbackByte(const std::string& token) const {
  return byte_fallback_ && IsByteToken(token);
}

PostProcessor::PostProcessor(const json& json, const std::string& where) {
  if (json.is_null()) return;
  const std::string type = json.at("type");
  if (type == "Sequence") {
    for (const auto& step : json.at("processors")) {
      const PostProcessor inner(step, where);
      before.insert(before.begin(), inner.before.begin(), inner.before.end());
      after.insert(after.end(), inner.after.begin(), inner.after.end());
    }
  } else if (type == "TemplateProcessing") {
    std::vector<int32_t>* side = &before;
    for (const auto& item : json.at("single")) {
      if (item.contains("Sequence")) {
        side = &after;
        continue;
      }
      const std::string name = item.at("SpecialToken").at("id");
      for (const auto& id : json.at("special_tokens").at(name).at("ids")) {
        side->push_back(id.get<int32_t>());
      }
    }
  } else if (type != "ByteLevel") {
    RefuseStep(where, "post_processor", json, "Sequence, TemplateProcessing, ByteLevel");
  }
}

}  // namespace flame
