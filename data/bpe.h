// The BPE model of a tokenizer.json: words to ids by ranked merges.
#ifndef FLAME_DATA_BPE_H_
#define FLAME_DATA_BPE_H_

#include <array>
#include <cstdint>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer_text.h"

namespace flame {

class BpeModel {
 public:
  // `model` is the file's "model" object: vocab, merges ("a b" or ["a", "b"]), unk_token,
  // fuse_unk, byte_fallback ("<0xE2>" tokens), ignore_merges. Throws DataError, which begins with
  // `where`, on another model type, dropout, affixes, or a merge whose parts or result are not in
  // vocab.
  BpeModel(const nlohmann::json& model, const std::string& where);

  // Appends the ids of one word, the smallest rank merged first, the leftmost of equals. A
  // character outside vocab gives its byte tokens, else unk, else nothing. Safe from several
  // threads.
  void EncodeWord(std::string_view word, std::vector<int32_t>* ids) const;

  int32_t IdOf(std::string_view token) const;                         // -1: no such token
  const std::vector<std::string>& tokens() const { return tokens_; }  // by id; "" where none
  int32_t num_tokens() const { return static_cast<int32_t>(vocab_.size()); }

 private:
  struct Merge {
    int32_t rank, id;
  };
  struct PairHash {
    size_t operator()(uint64_t pair) const { return (pair * 0x9E3779B97F4A7C15u) >> 17; }
  };
  struct Symbol;
  static uint64_t Pair(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(left) << 32) | static_cast<uint32_t>(right);
  }
  const Merge* FindMerge(int32_t left, int32_t right) const;
  void ReadVocab(const nlohmann::json& vocab, const std::string& where);
  void ReadMerges(const nlohmann::json& merges, const std::string& where);
  void AddMerge(const std::string& left, const std::string& right, int32_t rank,
                const std::string& where);
  bool AppendBytes(std::string_view character, std::vector<Symbol>* symbols) const;
  std::vector<Symbol> Characters(std::string_view word) const;
  void MergeSymbols(std::vector<Symbol>* symbols) const;

  StringMap<int32_t> vocab_;
  std::vector<std::string> tokens_;
  std::unordered_map<uint64_t, Merge, PairHash> merges_;
  std::array<int32_t, 256> byte_ids_;
  int32_t unk_id_ = -1;
  bool fuse_unk_ = false, byte_fallback_ = false, ignore_merges_ = false;

  mutable std::mutex cache_mutex_;
  mutable StringMap<std::vector<int32_t>> cache_;
};

}  // namespace flame

#endif  // FLAME_DATA_BPE_H_
