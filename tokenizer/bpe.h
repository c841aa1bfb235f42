// The BPE model of a tokenizer.json, which turns words into ids by ranked merges.
#ifndef FLAME_TOKENIZER_BPE_H_
#define FLAME_TOKENIZER_BPE_H_

#include <array>
#include <bitset>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe_cache.h"
#include "tokenizer/bpe_merges.h"
#include "tokenizer/text.h"

namespace flame {

class BpeModel {
 public:
  // `model` is the file's "model" object: vocab, merges ("a b" or ["a", "b"]), unk_token,
  // fuse_unk, byte_fallback ("<0xE2>" tokens), ignore_merges. With `byte_words`, words come as
  // bytes and vocab is in GPT-2's alphabet. Throws DataError, which begins with `where`, on another
  // model type, dropout, affixes, or a merge whose parts or result are not in vocab.
  BpeModel(const nlohmann::json& model, bool byte_words, const std::string& where);

  // Appends the ids of one word. The pair of smallest rank is merged first, of equals the leftmost.
  // A character outside vocab gives its byte tokens, else unk, else nothing. Takes n log n time for
  // n bytes. Safe from several threads.
  void EncodeWord(std::string_view word, std::vector<int32_t>* ids) const;

  int32_t IdOf(std::string_view token) const;                         // -1: no such token
  const std::vector<std::string>& tokens() const { return tokens_; }  // by id; "" if unused
  int32_t num_tokens() const { return static_cast<int32_t>(vocab_.size()); }

 private:
  struct Symbol;
  void ReadVocab(const nlohmann::json& vocab, const std::string& where);
  void ReadMerges(const nlohmann::json& merges, const std::string& where);
  void AddMerge(std::string_view left, std::string_view right, int32_t rank,
                const std::string& where);
  int32_t CharacterId(std::string_view character) const;
  void EncodePart(std::string_view part, std::vector<int32_t>* ids) const;
  std::vector<int32_t> EncodeNew(std::string_view part) const;
  bool AppendBytes(std::string_view character, std::vector<Symbol>* symbols) const;
  std::vector<Symbol> Characters(std::string_view word) const;
  void MergeSymbols(std::vector<Symbol>* symbols) const;

  StringMap<int32_t> vocab_;
  std::vector<std::string> tokens_;
  BpeMerges merges_;
  std::array<int32_t, 256> byte_ids_;
  std::array<int32_t, 128> ascii_ids_;
  int32_t unk_id_ = -1;
  bool byte_words_;
  bool fuse_unk_ = false, byte_fallback_ = false, ignore_merges_ = false;
  // Hashes of the pairs of characters that some merge joins. A word may be cut between any other
  // two characters, so a text that no pre-tokenizer has split (Llama 2's) becomes short parts,
  // which the cache knows.
  std::bitset<size_t{1} << 16> joined_;
  mutable BpeCache cache_;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_BPE_H_
