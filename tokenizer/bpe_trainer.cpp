#include <nlohmann/json.hpp>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tokenizer/regex.h"
#include "tokenizer/text.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

constexpr const char* kSpecials[] = {"<|begin_of_text|>", "<|end_of_text|>"};
constexpr int32_t kNumSpecials = 2;

using Pair = std::pair<int32_t, int32_t>;

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const uint64_t left = pair.first, right = pair.second;
    const uint64_t key = (left << 32) | right;
    return (key * 0x9E3779B97F4A7C15u) >> 17;
  }
};

// A distinct word: the tokens it consists of so far and the number of its occurrences.
struct Word {
  std::vector<int32_t> ids;
  int64_t count;
};

std::vector<Word> CountWords(const std::vector<std::string>& texts) {
  const SplitPattern pattern(kGpt2Pattern, "TrainTokenizer");
  StringMap<int64_t> counts;
  for (const std::string& text : texts) {
    const std::string valid = ReplaceInvalidUtf8(text);
    pattern.Split(valid, [&](std::string_view word, bool) {
      const auto found = counts.find(word);
      if (found != counts.end()) {
        ++found->second;
      } else {
        counts.emplace(word, 1);
      }
    });
  }
  std::vector<Word> words;
  words.reserve(counts.size());
  for (const auto& [text, count] : counts) {
    Word word{{}, count};
    for (const unsigned char byte : text) word.ids.push_back(kNumSpecials + byte);
    words.push_back(std::move(word));
  }
  return words;
}

class Trainer {
 public:
  explicit Trainer(std::vector<Word> words) : words_(std::move(words)) {
    for (const char* special : kSpecials) AddToken(special);
    for (const std::string& character : ByteCharacters()) AddToken(character);
    for (size_t w = 0; w < words_.size(); ++w) {
      const std::vector<int32_t>& ids = words_[w].ids;
      for (size_t i = 0; i + 1 < ids.size(); ++i) AddPair({ids[i], ids[i + 1]}, w);
    }
    for (const auto& [pair, use] : pairs_) queue_.push({use.count, pair});
  }

  void Run(int32_t vocab_size) {
    while (static_cast<int32_t>(tokens_.size()) < vocab_size && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto found = pairs_.find(best.pair);
      if (found == pairs_.end() || found->second.count != best.count) continue;  // outdated
      if (best.count < 2) break;
      Merge(best.pair);
    }
  }

  nlohmann::json vocab() const { return nlohmann::json(ids_); }
  const nlohmann::json& merges() const { return merges_; }

 private:
  struct Use {
    int64_t count = 0;
    std::unordered_set<size_t> words;  // words that held the pair at some time
  };
  struct Candidate {
    int64_t count;
    Pair pair;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  // Returns the token's id. Two merges may spell the same token, which keeps its first id.
  int32_t AddToken(const std::string& token) {
    const auto [place, added] = ids_.emplace(token, static_cast<int32_t>(tokens_.size()));
    if (added) tokens_.push_back(token);
    return place->second;
  }

  void AddPair(const Pair& pair, size_t word) {
    Use& use = pairs_[pair];
    use.count += words_[word].count;
    use.words.insert(word);
  }

  void Merge(const Pair& pair) {
    const int32_t merged = AddToken(tokens_[pair.first] + tokens_[pair.second]);
    merges_.push_back({tokens_[pair.first], tokens_[pair.second]});
    const std::unordered_set<size_t> holders = std::move(pairs_[pair].words);
    std::unordered_set<Pair, PairHash> changed;
    for (const size_t word : holders) MergeInWord(word, pair, merged, &changed);
    for (const Pair& one : changed) {
      const auto found = pairs_.find(one);
      if (found->second.count == 0) {
        pairs_.erase(found);
      } else {
        queue_.push({found->second.count, one});
      }
    }
  }

  // Subtracts a word's pairs from the counts, merges from the left and adds its new pairs.
  void MergeInWord(size_t word, const Pair& pair, int32_t merged,
                   std::unordered_set<Pair, PairHash>* changed) {
    std::vector<int32_t>& ids = words_[word].ids;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      pairs_[{ids[i], ids[i + 1]}].count -= words_[word].count;
      changed->insert({ids[i], ids[i + 1]});
    }
    size_t size = 0;
    for (size_t i = 0; i < ids.size(); ++i) {
      const bool match = i + 1 < ids.size() && ids[i] == pair.first && ids[i + 1] == pair.second;
      ids[size++] = match ? merged : ids[i];
      i += match;
    }
    ids.resize(size);
    for (size_t i = 0; i + 1 < size; ++i) {
      AddPair({ids[i], ids[i + 1]}, word);
      changed->insert({ids[i], ids[i + 1]});
    }
  }

  std::vector<Word> words_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<Pair, Use, PairHash> pairs_;
  std::priority_queue<Candidate> queue_;
  nlohmann::json merges_ = nlohmann::json::array();
};

nlohmann::json ByteLevel() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", true}};
}

// Every text begins with <|begin_of_text|>.
nlohmann::json BeginOfText() {
  const char* begin = kSpecials[0];
  const auto text = [](const char* name) {
    return nlohmann::json{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  const nlohmann::json token = {{"SpecialToken", {{"id", begin}, {"type_id", 0}}}};
  return {{"type", "TemplateProcessing"},
          {"single", nlohmann::json::array({token, text("A")})},
          {"pair", nlohmann::json::array({token, text("A"), text("B")})},
          {"special_tokens",
           {{begin,
             {{"id", begin},
              {"ids", nlohmann::json::array({0})},
              {"tokens", nlohmann::json::array({begin})}}}}}};
}

nlohmann::json AddedTokens() {
  nlohmann::json tokens = nlohmann::json::array();
  for (int32_t id = 0; id < kNumSpecials; ++id) {
    tokens.push_back({{"id", id},
                      {"content", kSpecials[id]},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", true}});
  }
  return tokens;
}

}  // namespace

void TrainTokenizer(const std::vector<std::string>& texts, int32_t vocab_size,
                    const std::filesystem::path& tokenizer_json) {
  if (vocab_size < kNumSpecials + 256) {
    throw UsageError("a byte-level vocabulary of ", vocab_size,
                     " tokens was asked for; expected at least ", kNumSpecials + 256);
  }
  Trainer trainer(CountWords(texts));
  trainer.Run(vocab_size);
  const nlohmann::json file = {{"version", "1.0"},
                               {"truncation", nullptr},
                               {"padding", nullptr},
                               {"added_tokens", AddedTokens()},
                               {"normalizer", nullptr},
                               {"pre_tokenizer", ByteLevel()},
                               {"post_processor", BeginOfText()},
                               {"decoder", ByteLevel()},
                               {"model",
                                {{"type", "BPE"},
                                 {"dropout", nullptr},
                                 {"unk_token", nullptr},
                                 {"continuing_subword_prefix", nullptr},
                                 {"end_of_word_suffix", nullptr},
                                 {"fuse_unk", false},
                                 {"byte_fallback", false},
                                 {"ignore_merges", false},
                                 {"vocab", trainer.vocab()},
                                 {"merges", trainer.merges()}}}};
  WriteFileAtomically(tokenizer_json, file.dump(1) + "\n");
}

}  // namespace flame
