// The text of ids that arrive one by one.
#ifndef FLAME_TOKENIZER_STREAM_H_
#define FLAME_TOKENIZER_STREAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace flame {

// What Add and at last Finish return makes, put together, Tokenizer::Decode of all ids. Each part
// is valid UTF-8. Held back until later ids decide: the bytes of an unfinished character, a run of
// byte-fallback tokens (one stray byte changes how Decode reads the whole run), and U+FFFD at the
// end.
class DecodeStream {
 public:
  explicit DecodeStream(const Tokenizer& tokenizer);  // outlives this object
  std::string Add(int32_t id);                        // special tokens give no text
  std::string Finish();                               // U+FFFD for what never became a character

 private:
  const Tokenizer& tokenizer_;
  // The ids since some that are given out already; these stay in front, since a decoder treats the
  // first token of a text differently.
  std::vector<int32_t> ids_;
  size_t num_given_ids_ = 0, num_given_bytes_ = 0;  // of ids_ and of their text
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_STREAM_H_
