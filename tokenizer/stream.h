// Decodes ids that arrive one by one.
#ifndef FLAME_TOKENIZER_STREAM_H_
#define FLAME_TOKENIZER_STREAM_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace flame {

// The parts that Add and finally Finish return, joined, equal Tokenizer::Decode of all ids. Each
// part is valid UTF-8. Some text is held back until later ids decide it: the bytes of an unfinished
// character, a run of byte-fallback tokens (one stray byte changes how Decode reads the whole run),
// and U+FFFD at the end.
class DecodeStream {
 public:
  explicit DecodeStream(const Tokenizer& tokenizer);  // `tokenizer` must outlive this object
  std::string Add(int32_t id);                        // special tokens give no text
  std::string Finish();                               // U+FFFD for an unfinished character

 private:
  const Tokenizer& tokenizer_;
  // The pending ids, after some whose text was returned already. Those stay in front because a
  // decoder treats the first token of a text differently.
  std::vector<int32_t> ids_;
  // The number of ids_, and of bytes of their text, that were returned already.
  size_t num_given_ids_ = 0, num_given_bytes_ = 0;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_STREAM_H_
