#include "data/bpe.h"

#include <nlohmann/json.hpp>
#include <queue>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

// Longer words hardly repeat; a cache of this many words covers a corpus of prompts.
constexpr size_t kMaxCachedWord = 256, kMaxCachedWords = 100000;

// tokenizer.json writes an absent option as null or leaves it out.
template <class T>
T OptionOr(const nlohmann::json& object, const char* name, T otherwise) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? otherwise : found->get<T>();
}

}  // namespace

struct BpeModel::Symbol {
  explicit Symbol(int32_t token) : id(token) {}
  int32_t id;
  int32_t previous = -1, next = -1;  // -1: none
  bool merged = false;               // into a symbol to its left
};

BpeModel::BpeModel(const nlohmann::json& model, const std::string& where) {
  const auto type = OptionOr<std::string>(model, "type", "BPE");
  if (type != "BPE") throw DataError(where, ": model '", type, "' is not supported; only BPE is");
  if (OptionOr(model, "dropout", 0.0) != 0) {
    throw DataError(where, ": model.dropout is not supported");
  }
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!OptionOr<std::string>(model, affix, "").empty()) {
      throw DataError(where, ": model.", affix, " is not supported");
    }
  }
  fuse_unk_ = OptionOr(model, "fuse_unk", false);
  byte_fallback_ = OptionOr(model, "byte_fallback", false);
  ignore_merges_ = OptionOr(model, "ignore_merges", false);
  ReadVocab(model.at("vocab"), where);
  ReadMerges(model.at("merges"), where);
  const auto unk = OptionOr<std::string>(model, "unk_token", "");
  unk_id_ = unk.empty() ? -1 : IdOf(unk);
  if (!unk.empty() && unk_id_ < 0) {
    throw DataError(where, ": model.unk_token '", unk, "' is not in model.vocab");
  }
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    snprintf(name, sizeof(name), "<0x%02X>", byte);
    byte_ids_[byte] = IdOf(name);
  }
}

void BpeModel::ReadVocab(const nlohmann::json& vocab, const std::string& where) {
  vocab_.reserve(vocab.size());
  for (const auto& [token, value] : vocab.items()) {
    const auto id = value.get<int64_t>();
    if (id < 0 || id > (1 << 30)) {
      throw DataError(where, ": token '", token, "' has id ", id, "; expected 0 to 2^30");
    }
    vocab_.emplace(token, static_cast<int32_t>(id));
    if (static_cast<size_t>(id) >= tokens_.size()) tokens_.resize(id + 1);
    tokens_[id] = token;
  }
}

void BpeModel::ReadMerges(const nlohmann::json& merges, const std::string& where) {
  merges_.reserve(merges.size());
  int32_t rank = 0;
  for (const auto& merge : merges) {
    if (merge.is_array() && merge.size() == 2) {
      AddMerge(merge[0].get<std::string>(), merge[1].get<std::string>(), rank, where);
    } else {
      const auto text = merge.get<std::string>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        throw DataError(where, ": merge ", rank, " is '", text, "'; expected two tokens");
      }
      AddMerge(text.substr(0, space), text.substr(space + 1), rank, where);
    }
    ++rank;
  }
}

void BpeModel::AddMerge(const std::string& left, const std::string& right, int32_t rank,
                        const std::string& where) {
  for (const std::string& token : {left, right, left + right}) {
    if (IdOf(token) < 0) {
      throw DataError(where, ": merge ", rank, " ('", left, "', '", right, "'): '", token,
                      "' is not in model.vocab");
    }
  }
  merges_[Pair(IdOf(left), IdOf(right))] = {rank, IdOf(left + right)};
}

int32_t BpeModel::IdOf(std::string_view token) const {
  const auto found = vocab_.find(token);
  return found == vocab_.end() ? -1 : found->second;
}

const BpeModel::Merge* BpeModel::FindMerge(int32_t left, int32_t right) const {
  const auto found = merges_.find(Pair(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

bool BpeModel::AppendBytes(std::string_view character, std::vector<Symbol>* symbols) const {
  for (const char c : character) {
    if (byte_ids_[static_cast<unsigned char>(c)] < 0) return false;
  }
  for (const char c : character) symbols->emplace_back(byte_ids_[static_cast<unsigned char>(c)]);
  return true;
}

std::vector<BpeModel::Symbol> BpeModel::Characters(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  bool unk_pending = false;  // as `tokenizers`: an unk is written before the next known character
  for (size_t i = 0, size; i < word.size(); i += size) {
    size = Utf8Size(word[i]);
    const std::string_view character = word.substr(i, size);
    const int32_t id = IdOf(character);
    if (id >= 0) {
      if (unk_pending) symbols.emplace_back(unk_id_);
      unk_pending = false;
      symbols.emplace_back(id);
    } else if (!(byte_fallback_ && AppendBytes(character, &symbols)) && unk_id_ >= 0) {
      if (unk_pending && !fuse_unk_) symbols.emplace_back(unk_id_);
      unk_pending = true;
    }
  }
  if (unk_pending) symbols.emplace_back(unk_id_);
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 1; i < count; ++i) {
    symbols[i].previous = i - 1;
    symbols[i - 1].next = i;
  }
  return symbols;
}

void BpeModel::MergeSymbols(std::vector<Symbol>* symbols_out) const {
  struct Candidate {
    int32_t rank, position, id;
    bool operator>(const Candidate& other) const {
      return std::pair(rank, position) > std::pair(other.rank, other.position);
    }
  };
  std::vector<Symbol>& symbols = *symbols_out;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](int32_t position) {
    if (position < 0 || symbols[position].next < 0) return;
    const Merge* merge = FindMerge(symbols[position].id, symbols[symbols[position].next].id);
    if (merge != nullptr) queue.push({merge->rank, position, merge->id});
  };
  for (size_t i = 0; i < symbols.size(); ++i) consider(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.position];
    if (left.merged || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    const Merge* merge = FindMerge(left.id, right.id);
    if (merge == nullptr || merge->id != top.id) continue;  // the pair has changed since
    left.id = top.id;
    left.next = right.next;
    right.merged = true;
    if (left.next >= 0) symbols[left.next].previous = top.position;
    consider(left.previous);
    consider(top.position);
  }
}

void BpeModel::EncodeWord(std::string_view word, std::vector<int32_t>* ids) const {
  if (ignore_merges_) {
    if (const int32_t id = IdOf(word); id >= 0) return ids->push_back(id);
  }
  const bool cached = word.size() < kMaxCachedWord;
  if (cached) {
    const std::lock_guard lock(cache_mutex_);
    if (const auto found = cache_.find(word); found != cache_.end()) {
      ids->insert(ids->end(), found->second.begin(), found->second.end());
      return;
    }
  }
  std::vector<Symbol> symbols = Characters(word);
  MergeSymbols(&symbols);
  std::vector<int32_t> word_ids;
  for (const Symbol& symbol : symbols) {
    if (!symbol.merged) word_ids.push_back(symbol.id);
  }
  ids->insert(ids->end(), word_ids.begin(), word_ids.end());
  if (cached) {
    const std::lock_guard lock(cache_mutex_);
    if (cache_.size() < kMaxCachedWords) cache_.emplace(word, std::move(word_ids));
  }
}

}  // namespace flame
