// A cache of the ids of words that a BPE model has encoded. Neither readers nor writers wait: a
// stored word stays, and a word that finds no free place is not stored.
#ifndef FLAME_TOKENIZER_BPE_CACHE_H_
#define FLAME_TOKENIZER_BPE_CACHE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace flame {

class BpeCache {
 public:
  BpeCache();
  ~BpeCache();
  BpeCache(const BpeCache&) = delete;
  BpeCache& operator=(const BpeCache&) = delete;

  // Both are safe from several threads at once. Find appends to `ids`; false if the word is
  // unknown.
  bool Find(std::string_view word, std::vector<int32_t>* ids) const;
  void Add(std::string_view word, const std::vector<int32_t>& ids);

 private:
  struct Entry;
  using Slot = std::atomic<const Entry*>;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_BPE_CACHE_H_
