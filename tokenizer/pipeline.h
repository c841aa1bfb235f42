// The stages around the model of a tokenizer.json. Each is built from its JSON object (null: no
// such stage). The constructors throw DataError, which begins with `where`, naming what is not
// supported.
#ifndef FLAME_TOKENIZER_PIPELINE_H_
#define FLAME_TOKENIZER_PIPELINE_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// Supports Sequence, Prepend, Replace (of a string), NFC, NFD, NFKC, NFKD.
class Normalizer {
 public:
  Normalizer(const nlohmann::json& json, const std::string& where);
  bool empty() const { return steps_.empty(); }  // true if Apply changes nothing
  std::string Apply(std::string text) const;

 private:
  std::vector<std::function<void(std::string*)>> steps_;
};

// A stretch of text between added tokens.
struct Piece {
  std::string_view text;
  bool at_start;  // true at the start of the whole text
};

// Supports Sequence, ByteLevel, Split, Digits, Metaspace.
class PreTokenizer {
 public:
  using Sink = std::function<void(const Piece&)>;
  using Step = std::function<void(const Piece&, const Sink&)>;
  PreTokenizer(const nlohmann::json& json, const std::string& where);
  // Gives `sink` the words of a piece, one after the other; none is empty. A word's text is valid
  // only during the call.
  void Apply(const Piece& piece, const Sink& sink) const { ApplyFrom(0, piece, sink); }
  // True if the last step is ByteLevel. Words are then bytes, still to be written in GPT-2's
  // alphabet.
  bool gives_bytes() const { return gives_bytes_; }

 private:
  void Add(const nlohmann::json& json, const std::string& where);
  void ApplyFrom(size_t step, const Piece& piece, const Sink& sink) const;
  std::vector<Step> steps_;
  bool gives_bytes_ = false;
};

// Supports Sequence, ByteLevel, Replace (of a string), ByteFallback, Fuse, Strip, Metaspace.
class TokenDecoder {
 public:
  TokenDecoder(const nlohmann::json& json, const std::string& where);
  std::string Decode(std::vector<std::string> tokens) const;
  // Returns the bytes of one token in the middle of a text: without Strip and without the rules for
  // the first token.
  std::string BytesOf(const std::string& token) const;
  bool IsFallbackByte(const std::string& token) const;  // true for a byte token of ByteFallback

 private:
  void Add(const nlohmann::json& json, const std::string& where);
  // With `drop_in_first`, the first token loses `from` instead.
  void AddReplacement(const std::string& from, const std::string& to, bool drop_in_first);
  std::vector<std::function<void(std::vector<std::string>*)>> steps_;
  std::vector<std::function<void(std::string*)>> byte_steps_;
  bool byte_fallback_ = false;
};

// The special tokens that encode(add_special_tokens=True) puts around a text. Supports Sequence,
// TemplateProcessing, ByteLevel (which moves offsets only).
struct PostProcessor {
  PostProcessor(const nlohmann::json& json, const std::string& where);
  std::vector<int32_t> before, after;
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_PIPELINE_H_
