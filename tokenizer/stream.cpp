#include "tokenizer/stream.h"

#include "tokenizer/text.h"

namespace flame {

DecodeStream::DecodeStream(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

std::string DecodeStream::Add(int32_t id) {
  if (tokenizer_.IsSpecial(id)) return "";
  ids_.push_back(id);
  if (tokenizer_.IsFallbackByte(id)) return "";
  const std::string text = tokenizer_.Decode(ids_);
  if (text.size() <= num_given_bytes_ || text.ends_with(kReplacementCharacter)) return "";
  std::string part = text.substr(num_given_bytes_);
  // The new ids become the front only if they have text of their own. Otherwise the decoder's rule
  // for the first token could still act on the next id.
  const std::vector<int32_t> front(ids_.begin() + static_cast<std::ptrdiff_t>(num_given_ids_),
                                   ids_.end());
  const std::string front_text = tokenizer_.Decode(front);
  num_given_bytes_ = text.size();
  if (!front_text.empty()) {
    ids_ = front;
    num_given_bytes_ = front_text.size();
  }
  num_given_ids_ = ids_.size();
  return part;
}

std::string DecodeStream::Finish() {
  const std::string text = tokenizer_.Decode(ids_);
  std::string part = text.substr(std::min(num_given_bytes_, text.size()));
  ids_.clear();
  num_given_ids_ = num_given_bytes_ = 0;
  return part;
}

}  // namespace flame
