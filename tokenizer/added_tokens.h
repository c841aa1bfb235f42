// Added tokens of a tokenizer.json: found in a text before the model sees it.
#ifndef FLAME_TOKENIZER_ADDED_TOKENS_H_
#define FLAME_TOKENIZER_ADDED_TOKENS_H_

#include <bitset>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/text.h"

namespace flame {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  // Takes the white space before / after it; only where no word character touches it; special: not
  // part of a decoded text.
  bool lstrip = false, rstrip = false, single_word = false, special = false;
  bool normalized = false;  // looked for, in its own normalized form, in the normalized text
};

// The patterns of one pass over a text, the leftmost and longest match first.
class AddedTokenMatcher {
 public:
  // `pattern`: what is looked for, not empty. `token` must outlive this object.
  void Add(const std::string& pattern, const AddedToken* token);

  struct Part {
    std::string_view text;
    const AddedToken* token;  // null: text between tokens
  };
  // Views into `text`.
  std::vector<Part> Split(std::string_view text) const;

 private:
  const AddedToken* LongestAt(std::string_view text, size_t* size) const;
  StringMap<const AddedToken*> tokens_;
  std::bitset<256> first_bytes_;
  std::set<size_t, std::greater<>> sizes_;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_ADDED_TOKENS_H_
