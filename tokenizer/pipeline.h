// The stages around the model of a tokenizer.json. Each is built from its JSON object (null: none)
// and throws DataError, which begins with `where`, naming what it does not support.
#ifndef FLAME_TOKENIZER_PIPELINE_H_
#define FLAME_TOKENIZER_PIPELINE_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// Sequence, Prepend, Replace (of a string), NFC, NFD, NFKC, NFKD.
class Normalizer {
 public:
  Normalizer(const nlohmann::json& json, const std::string& where);
  bool empty() const { return steps_.empty(); }  // Apply changes nothing
  std::string Apply(std::string text) const;

 private:
  std::vector<std::function<void(std::string*)>> steps_;
};

// A stretch of text between added tokens.
struct Piece {
  std::string_view text;
  bool at_start;  // of the whole text
};

// Sequence, ByteLevel, Split, Digits, Metaspace.
class PreTokenizer {
 public:
  using Sink = std::function<void(const Piece&)>;
  using Step = std::function<void(const Piece&, const Sink&)>;
  PreTokenizer(const nlohmann::json& json, const std::string& where);
  // Gives `sink` the words of a piece, one after the other; none is empty. A word's text is there
  // during the call only.
  void Apply(const Piece& piece, const Sink& sink) const { ApplyFrom(0, piece, sink); }
  // The last step is ByteLevel: words are bytes still, to be written in GPT-2's alphabet.
  bool gives_bytes() const { return gives_bytes_; }

 private:
  void Add(const nlohmann::json& json, const std::string& where);
  void ApplyFrom(size_t step, const Piece& piece, const Sink& sink) const;
  std::vector<Step> steps_;
  bool gives_bytes_ = false;
};

// Sequence, ByteLevel, Replace (of a string), ByteFallback, Fuse, Strip, Metaspace.
class TokenDecoder {
 public:
  TokenDecoder(const nlohmann::json& json, const std::string& where);
  std::string Decode(std::vector<std::string> tokens) const;
  // What one token contributes in the middle of a text: Strip and the first token's rules left out.
  std::string BytesOf(const std::string& token) const;
  bool IsFallbackByte(const std::string& token) const;  // a byte token of ByteFallback

 private:
  void Add(const nlohmann::json& json, const std::string& where);
  // `drop_in_first`: the first token loses `from` instead.
  void AddReplacement(const std::string& from, const std::string& to, bool drop_in_first);
  std::vector<std::function<void(std::vector<std::string>*)>> steps_;
  std::vector<std::function<void(std::string*)>> byte_steps_;
  bool byte_fallback_ = false;
};

// Sequence, TemplateProcessing, ByteLevel (which moves offsets only): the special tokens that
// encode(add_special_tokens=True) puts around a text.
struct PostProcessor {
  PostProcessor(const nlohmann::json& json, const std::string& where);
  std::vector<int32_t> before, after;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_PIPELINE_H_
