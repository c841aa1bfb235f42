// A tokenizer whose tokens the test chooses, and a corpus of few drugs.
#ifndef FLAME_TESTS_REWARD_REWARD_FIXTURE_H_
#define FLAME_TESTS_REWARD_REWARD_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "tokenizer/tokenizer.h"

namespace flame {

// A tokenizer in which token i is the bytes pieces[i] (ASCII). After the pieces come the
// end-of-text token and another special token without bytes.
class PieceTokenizer {
 public:
  explicit PieceTokenizer(const std::vector<std::string>& pieces)
      : pieces_(pieces), tokenizer_(Tokenizer::Load(WriteFile(pieces))) {}

  const Tokenizer& tokenizer() const { return tokenizer_; }
  int32_t end_id() const { return static_cast<int32_t>(pieces_.size()); }
  int32_t empty_id() const { return end_id() + 1; }
  // Returns the ids of the given pieces; "<end>" and "<empty>" are the special tokens.
  std::vector<int32_t> Ids(const std::vector<std::string>& wanted) const {
    std::vector<int32_t> ids;
    for (const std::string& piece : wanted) {
      if (piece == "<end>" || piece == "<empty>") {
        ids.push_back(piece == "<end>" ? end_id() : empty_id());
        continue;
      }
      const auto found = std::find(pieces_.begin(), pieces_.end(), piece);
      EXPECT_NE(found, pieces_.end()) << piece;
      ids.push_back(static_cast<int32_t>(found - pieces_.begin()));
    }
    return ids;
  }

 private:
  // Replaces bytes that are not printable by GPT-2's printable characters for them.
  static std::string ByteLevel(const std::string& piece) {
    std::string text;
    for (char c : piece) {
      if (c == ' ')
        text += "\u0120";
      else if (c == '\n')
        text += "\u010A";
      else
        text += c;
    }
    return text;
  }

  static std::filesystem::path WriteFile(const std::vector<std::string>& pieces) {
    using nlohmann::json;
    json vocab = json::object(), added = json::array();
    for (size_t i = 0; i < pieces.size(); ++i) vocab[ByteLevel(pieces[i])] = i;
    for (const char* name : {"<|end_of_text|>", "<|empty|>"}) {
      added.push_back({{"id", pieces.size() + added.size()},
                       {"content", name},
                       {"special", true},
                       {"normalized", false}});
    }
    const json file = {{"version", "1.0"},
                       {"added_tokens", added},
                       {"normalizer", nullptr},
                       {"pre_tokenizer",
                        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
                       {"decoder", {{"type", "ByteLevel"}}},
                       {"post_processor", nullptr},
                       {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}};
    const auto path = std::filesystem::temp_directory_path() /
                      ("flame-pieces-" + std::to_string(getpid()) + ".json");
    std::ofstream(path) << file.dump();
    return path;
  }

  std::vector<std::string> pieces_;
  Tokenizer tokenizer_;
};

// Returns a corpus with drugs 0..9 named "zero".."eight" and "Nine-Hundred Units"; visit v takes
// truths[v]. Harmful pairs: 0-1, 1-2, 5-9.
inline Corpus DigitCorpus(const std::vector<std::vector<int32_t>>& truths) {
  Corpus corpus;
  corpus.drugs.titles = {"zero", "one", "two",   "three", "four",
                         "five", "six", "seven", "eight", "Nine-Hundred Units"};
  for (size_t i = 0; i < corpus.drugs.titles.size(); ++i) {
    corpus.drugs.codes.push_back("DB" + std::to_string(i));
  }
  corpus.ddi = DdiGraph(corpus.drugs.size());
  corpus.ddi.Add(0, 1);
  corpus.ddi.Add(1, 2);
  corpus.ddi.Add(5, 9);
  for (const auto& truth : truths) {
    corpus.visits.emplace_back();
    corpus.visits.back().drugs = truth;
  }
  return corpus;
}

}  // namespace flame

#endif  // FLAME_TESTS_REWARD_REWARD_FIXTURE_H_
