#include "tokenizer/bpe_cache.h"

#include <functional>
#include <string>

namespace flame {
namespace {

// 10 MB of clinical notes have about 50,000 distinct words.
constexpr size_t kSlots = size_t{1} << 17, kProbes = 8;

size_t HashOf(std::string_view word) { return std::hash<std::string_view>()(word); }

}  // namespace

struct BpeCache::Entry {
  size_t hash;
  std::string word;
  std::vector<int32_t> ids;
};

BpeCache::BpeCache() : slots_(new Slot[kSlots]()) {}

BpeCache::~BpeCache() {
  for (size_t i = 0; i < kSlots; ++i) delete slots_[i].load(std::memory_order_relaxed);
}

bool BpeCache::Find(std::string_view word, std::vector<int32_t>* ids) const {
  const size_t hash = HashOf(word);
  for (size_t probe = 0; probe < kProbes; ++probe) {
    const Entry* entry = slots_[(hash + probe) % kSlots].load(std::memory_order_acquire);
    if (entry == nullptr) return false;
    if (entry->hash == hash && entry->word == word) {
      ids->insert(ids->end(), entry->ids.begin(), entry->ids.end());
      return true;
    }
  }
  return false;
}

void BpeCache::Add(std::string_view word, const std::vector<int32_t>& ids) {
  const size_t hash = HashOf(word);
  auto entry = std::make_unique<const Entry>(Entry{hash, std::string(word), ids});
  for (size_t probe = 0; probe < kProbes; ++probe) {
    const Entry* expected = nullptr;
    if (slots_[(hash + probe) % kSlots].compare_exchange_strong(
            expected, entry.get(), std::memory_order_release, std::memory_order_acquire)) {
      entry.release();
      return;
    }
    if (expected->hash == hash && expected->word == word) return;  // another thread added it
  }
}

}  // namespace flame
