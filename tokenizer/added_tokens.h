// The added tokens of a tokenizer.json, which are found in a text before the model sees it.
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
  // lstrip, rstrip: the token takes the white space before, after it. single_word: it matches only
  // if no word character touches it. special: it is left out of decoded text.
  bool lstrip = false, rstrip = false, single_word = false, special = false;
  bool normalized = false;  // its normalized form is looked for in the normalized text
};

// Finds added tokens in one pass over a text: the leftmost match first, of several the longest.
class AddedTokenMatcher {
 public:
  // Looks for `pattern`, which must not be empty. `token` must outlive this object.
  void Add(const std::string& pattern, const AddedToken* token);

  struct Part {
    std::string_view text;
    const AddedToken* token;  // null: text between tokens
  };
  // Splits `text` at the tokens. The parts are views into `text`.
  std::vector<Part> Split(std::string_view text) const;

 private:
  const AddedToken* LongestAt(std::string_view text, size_t* size) const;
  StringMap<const AddedToken*> tokens_;
  std::bitset<256> first_bytes_;
  std::set<size_t, std::greater<>> sizes_;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_ADDED_TOKENS_H_
