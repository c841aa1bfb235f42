#include "tokenizer/bpe.h"

#include <nlohmann/json.hpp>
#include <queue>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

constexpr size_t kMaxCachedWord = 64;  // bytes; longer words hardly repeat

// tokenizer.json writes an absent option as null or leaves it out.
template <class T>
T OptionOr(const nlohmann::json& object, const char* name, T otherwise) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? otherwise : found->get<T>();
}

size_t JoinHash(int32_t left, int32_t right) {
  return (static_cast<uint32_t>(left) * 0x9E3779B1u ^ static_cast<uint32_t>(right) * 0x85EBCA77u) >>
         16;
}

}  // namespace

struct BpeModel::Symbol {
  explicit Symbol(int32_t token) : id(token) {}
  int32_t id;
  int32_t previous = -1, next = -1;  // -1: none
  bool merged = false;               // into a symbol to its left
};

BpeModel::BpeModel(const nlohmann::json& model, bool byte_words, const std::string& where)
    : byte_words_(byte_words) {
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
  for (int c = 0; c < 128; ++c) ascii_ids_[c] = IdOf(std::string(1, static_cast<char>(c)));
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
  // Gaps are rare. An id far beyond the vocabulary's size would only make tokens_ large.
  const auto most = static_cast<int64_t>(4 * vocab.size() + 65536);
  for (const auto& [token, value] : vocab.items()) {
    const auto id = value.get<int64_t>();
    if (id < 0 || id > most) {
      throw DataError(where, ": token '", token, "' has id ", id, "; expected 0 to ", most,
                      " in a vocabulary of ", vocab.size());
    }
    vocab_.emplace(token, static_cast<int32_t>(id));
    if (static_cast<size_t>(id) >= tokens_.size()) tokens_.resize(id + 1);
    tokens_[id] = token;
  }
}

void BpeModel::ReadMerges(const nlohmann::json& merges, const std::string& where) {
  using String = const std::string&;
  merges_.Reset(merges.size());
  int32_t rank = 0;
  for (const auto& merge : merges) {
    if (merge.is_array() && merge.size() == 2) {
      AddMerge(merge[0].get_ref<String>(), merge[1].get_ref<String>(), rank, where);
    } else {
      const std::string_view text = merge.get_ref<String>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        throw DataError(where, ": merge ", rank, " is '", text, "'; expected two tokens");
      }
      AddMerge(text.substr(0, space), text.substr(space + 1), rank, where);
    }
    ++rank;
  }
}

void BpeModel::AddMerge(std::string_view left, std::string_view right, int32_t rank,
                        const std::string& where) {
  const std::string whole = std::string(left).append(right);
  const int32_t left_id = IdOf(left), right_id = IdOf(right), id = IdOf(whole);
  if (left_id < 0 || right_id < 0 || id < 0) {
    const std::string_view missing = left_id < 0 ? left : right_id < 0 ? right : whole;
    throw DataError(where, ": merge ", rank, " ('", left, "', '", right, "'): '", missing,
                    "' is not in model.vocab");
  }
  merges_.Set(left_id, right_id, {rank, id});
  if (left.empty() || right.empty()) return;
  joined_.set(JoinHash(CharacterId(LastCharacter(left)), CharacterId(FirstCharacter(right))));
}

int32_t BpeModel::IdOf(std::string_view token) const {
  const auto found = vocab_.find(token);
  return found == vocab_.end() ? -1 : found->second;
}

int32_t BpeModel::CharacterId(std::string_view character) const {
  return character.size() == 1 ? ascii_ids_[character[0] & 0x7F] : IdOf(character);
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
  // As in `tokenizers`, an unk is written before the next known character.
  bool unk_pending = false;
  for (size_t i = 0, size; i < word.size(); i += size) {
    size = Utf8Size(word[i]);
    const std::string_view character = word.substr(i, size);
    const int32_t id = CharacterId(character);
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
    const int32_t right = symbols[position].next;
    const BpeMerge* merge = merges_.Find(symbols[position].id, symbols[right].id);
    if (merge != nullptr) queue.push({merge->rank, position, merge->id});
  };
  for (size_t i = 0; i < symbols.size(); ++i) consider(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.position];
    if (left.merged || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    const BpeMerge* merge = merges_.Find(left.id, right.id);
    if (merge == nullptr || merge->id != top.id) continue;  // the pair has changed since
    left.id = top.id;
    left.next = right.next;
    right.merged = true;
    if (left.next >= 0) symbols[left.next].previous = top.position;
    consider(left.previous);
    consider(top.position);
  }
}

std::vector<int32_t> BpeModel::EncodeNew(std::string_view part) const {
  std::string characters;
  if (byte_words_) {
    AppendByteCharacters(part, &characters);
    part = characters;
  }
  if (ignore_merges_) {
    if (const int32_t id = IdOf(part); id >= 0) return {id};
  }
  std::vector<Symbol> symbols = Characters(part);
  MergeSymbols(&symbols);
  std::vector<int32_t> ids;
  for (const Symbol& symbol : symbols) {
    if (!symbol.merged) ids.push_back(symbol.id);
  }
  return ids;
}

void BpeModel::EncodePart(std::string_view part, std::vector<int32_t>* ids) const {
  const bool cached = part.size() < kMaxCachedWord;
  if (cached && cache_.Find(part, ids)) return;
  const std::vector<int32_t> part_ids = EncodeNew(part);
  ids->insert(ids->end(), part_ids.begin(), part_ids.end());
  if (cached) cache_.Add(part, part_ids);
}

void BpeModel::EncodeWord(std::string_view word, std::vector<int32_t>* ids) const {
  const bool falls_apart = word.size() >= kMaxCachedWord && !byte_words_ && !ignore_merges_;
  if (!falls_apart) return EncodePart(word, ids);
  size_t begin = 0;
  int32_t before = -1;  // id of the last character; -1: none, or no token (it may fuse to an unk)
  for (size_t at = 0, size; at < word.size(); at += size) {
    size = Utf8Size(word[at]);
    const int32_t id = CharacterId(word.substr(at, size));
    if (before >= 0 && id >= 0 && !joined_[JoinHash(before, id)]) {
      EncodePart(word.substr(begin, at - begin), ids);
      begin = at;
    }
    before = id;
  }
  EncodePart(word.substr(begin), ids);
}

}  // namespace flame
