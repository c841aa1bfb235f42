#include "tokenizer/tokenizer.h"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pair.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/text.h"

namespace flame {
namespace {

using nlohmann::json;

json ParseFile(const std::filesystem::path& path) {
  try {
    return json::parse(ReadWholeFile(path));
  } catch (const json::exception& error) {
    throw DataError(path.string(), ": expected JSON: ", error.what());
  }
}

std::filesystem::path FileOf(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return path;
  for (const char* name : {"tokenizer.json", "encoder.json"}) {
    if (std::filesystem::exists(path / name)) return path / name;
  }
  throw DataError(path.string(), ": expected tokenizer.json, or encoder.json and vocab.bpe, in it");
}

// Warns if the file has `part`, "truncation" or "padding". They cut or pad the ids of a batch,
// which transformers does only if asked to.
void WarnOf(const json& file, const char* part, const std::string& where) {
  if (!file.contains(part) || file[part].is_null()) return;
  LogWarning(where, ": ", part, " is left out: texts are encoded whole");
}

json MemberOrNull(const json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? json() : *found;
}

AddedToken ReadAddedToken(const json& entry) {
  AddedToken token;
  token.id = entry.at("id");
  token.content = entry.at("content");
  token.lstrip = entry.value("lstrip", false);
  token.rstrip = entry.value("rstrip", false);
  token.single_word = entry.value("single_word", false);
  token.normalized = entry.value("normalized", true);
  token.special = entry.value("special", false);
  return token;
}

json WriteAddedToken(const AddedToken& token) {
  return {{"id", token.id},
          {"content", token.content},
          {"lstrip", token.lstrip},
          {"rstrip", token.rstrip},
          {"single_word", token.single_word},
          {"normalized", token.normalized},
          {"special", token.special}};
}

}  // namespace

struct Tokenizer::State {
  State(json file, const std::string& path);

  void AddToken(AddedToken token);
  int32_t NextId() const;
  int32_t IdOf(std::string_view token) const;
  // Returns the token as the decoder sees it; null if there is no such id.
  const std::string* TextOf(int32_t id) const;
  void ReadTokenBytes();
  void FindEnds(const std::filesystem::path& folder);
  int32_t EndOf(const json& config, const char* key,
                std::initializer_list<const char*> names) const;
  void EncodePiece(Piece piece, std::vector<int32_t>* ids) const;

  std::string where;   // the file, for messages
  std::string source;  // the file without added_tokens, as JSON text
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeModel model;
  TokenDecoder decoder;
  PostProcessor post_processor;
  std::map<int32_t, AddedToken> added;
  std::map<int32_t, std::string> added_text;  // contents, normalized if the token asks for it
  StringMap<int32_t> added_ids;
  AddedTokenMatcher raw_matcher, normalized_matcher;
  std::vector<std::string> token_bytes;
  int32_t bos = -1, eos = -1;
};

Tokenizer::State::State(json file, const std::string& path)
    : where(path),
      normalizer(MemberOrNull(file, "normalizer"), path),
      pre_tokenizer(MemberOrNull(file, "pre_tokenizer"), path),
      model(file.at("model"), pre_tokenizer.gives_bytes(), path),
      decoder(MemberOrNull(file, "decoder"), path),
      post_processor(MemberOrNull(file, "post_processor"), path) {
  WarnOf(file, "truncation", path);
  WarnOf(file, "padding", path);
  for (const auto& entry : MemberOrNull(file, "added_tokens")) {
    AddedToken token = ReadAddedToken(entry);
    const int32_t known = IdOf(token.content), expected = known >= 0 ? known : NextId();
    if (token.id != expected || token.content.empty()) {
      throw DataError(path, ": added token '", token.content, "' has id ", token.id, "; expected ",
                      expected);
    }
    AddToken(std::move(token));
  }
  ReadTokenBytes();
  file.erase("added_tokens");
  source = file.dump();
}

void Tokenizer::State::AddToken(AddedToken token) {
  const int32_t id = token.id;
  added_ids[token.content] = id;
  const AddedToken& kept = added[id] = std::move(token);
  added_text[id] = kept.normalized ? normalizer.Apply(kept.content) : kept.content;
  (kept.normalized ? normalized_matcher : raw_matcher).Add(added_text[id], &kept);
}

// Returns the id that `tokenizers` would give to the next added token.
int32_t Tokenizer::State::NextId() const {
  const int32_t after_added = added.empty() ? 0 : added.rbegin()->first + 1;
  return std::max(model.num_tokens(), after_added);
}

int32_t Tokenizer::State::IdOf(std::string_view token) const {
  const auto found = added_ids.find(token);
  return found == added_ids.end() ? model.IdOf(token) : found->second;
}

const std::string* Tokenizer::State::TextOf(int32_t id) const {
  if (const auto found = added_text.find(id); found != added_text.end()) return &found->second;
  if (id < 0 || static_cast<size_t>(id) >= model.tokens().size()) return nullptr;
  const std::string& token = model.tokens()[id];
  return token.empty() ? nullptr : &token;
}

void Tokenizer::State::ReadTokenBytes() {
  const size_t first = token_bytes.size();
  token_bytes.resize(std::max(model.tokens().size(), static_cast<size_t>(NextId())));
  for (size_t id = first; id < token_bytes.size(); ++id) {
    const auto found = added.find(static_cast<int32_t>(id));
    if (found != added.end() && found->second.special) continue;
    const std::string* text = TextOf(static_cast<int32_t>(id));
    if (text != nullptr) token_bytes[id] = decoder.BytesOf(*text);
  }
}

int32_t Tokenizer::State::EndOf(const json& config, const char* key,
                                std::initializer_list<const char*> names) const {
  json token = MemberOrNull(config, key);
  if (token.is_object()) token = MemberOrNull(token, "content");
  if (token.is_string()) {
    const int32_t id = IdOf(token.get<std::string>());
    if (id < 0) {
      throw DataError(where, ": no token ", token, ", the ", key,
                      " of tokenizer_config.json or special_tokens_map.json");
    }
    return id;
  }
  for (const char* name : names) {
    if (const int32_t id = IdOf(name); id >= 0) return id;
  }
  return -1;
}

void Tokenizer::State::FindEnds(const std::filesystem::path& folder) {
  json config = json::object();
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {
    if (!std::filesystem::exists(folder / name)) continue;
    const json more = ParseFile(folder / name);
    for (const char* key : {"bos_token", "eos_token"}) {
      if (more.is_object() && more.contains(key) && !more[key].is_null()) config[key] = more[key];
    }
  }
  bos = EndOf(config, "bos_token", {"<|begin_of_text|>", "<s>", "<|start_story|>"});
  eos = EndOf(config, "eos_token", {"<|end_of_text|>", "</s>", "<|end_story|>", "<|endoftext|>"});
}

void Tokenizer::State::EncodePiece(Piece piece, std::vector<int32_t>* ids) const {
  std::string normalized;
  if (!normalizer.empty()) {
    piece.text = normalized = normalizer.Apply(std::string(piece.text));
  }
  const auto encode = [&](const Piece& word) { model.EncodeWord(word.text, ids); };
  for (const auto& part : normalized_matcher.Split(piece.text)) {
    if (part.token != nullptr) {
      ids->push_back(part.token->id);
    } else {
      const bool at_start = piece.at_start && part.text.data() == piece.text.data();
      pre_tokenizer.Apply({part.text, at_start}, encode);
    }
  }
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Tokenizer Tokenizer::Load(const std::filesystem::path& path) {
  const std::filesystem::path file = FileOf(path);
  json parts = file.filename() == "encoder.json" ? ReadTokenizerPair(file) : ParseFile(file);
  std::unique_ptr<State> state;
  try {
    state = std::make_unique<State>(std::move(parts), file.string());
  } catch (const json::exception& error) {
    throw DataError(file.string(), ": not a tokenizer.json: ", error.what());
  }
  state->FindEnds(file.parent_path());
  return Tokenizer(std::move(state));
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool add_special_tokens) const {
  const State& state = *state_;
  std::string replaced;
  if (!IsValidUtf8(text)) text = replaced = ReplaceInvalidUtf8(text);
  std::vector<int32_t> ids;
  if (add_special_tokens) ids = state.post_processor.before;
  for (const auto& part : state.raw_matcher.Split(text)) {
    if (part.token != nullptr) {
      ids.push_back(part.token->id);
    } else {
      state.EncodePiece({part.text, part.text.data() == text.data()}, &ids);
    }
  }
  if (add_special_tokens) {
    const auto& after = state.post_processor.after;
    ids.insert(ids.end(), after.begin(), after.end());
  }
  return ids;
}

std::string Tokenizer::Decode(const std::vector<int32_t>& ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const int32_t id : ids) {
    const std::string* text = state_->TextOf(id);
    if (text == nullptr || (skip_special_tokens && IsSpecial(id))) continue;
    tokens.push_back(*text);
  }
  return state_->decoder.Decode(std::move(tokens));
}

const std::string& Tokenizer::TokenBytes(int32_t id) const {
  if (id < 0 || id >= size()) {
    throw DataError(state_->where, ": no token ", id, "; expected 0 to ", size() - 1);
  }
  return state_->token_bytes[id];
}

bool Tokenizer::IsSpecial(int32_t id) const {
  const auto found = state_->added.find(id);
  return found != state_->added.end() && found->second.special;
}

bool Tokenizer::IsFallbackByte(int32_t id) const {
  const std::string* text = state_->TextOf(id);
  return text != nullptr && state_->decoder.IsFallbackByte(*text);
}

const std::vector<int32_t>& Tokenizer::prefix_ids() const { return state_->post_processor.before; }
int32_t Tokenizer::size() const { return static_cast<int32_t>(state_->token_bytes.size()); }
int32_t Tokenizer::IdOf(std::string_view token) const { return state_->IdOf(token); }
int32_t Tokenizer::eos_id() const { return state_->eos; }
int32_t Tokenizer::bos_id() const { return state_->bos; }

int32_t Tokenizer::AddSpecialTokens(const std::vector<std::string>& names) {
  const int32_t first = state_->NextId();
  if (first != size()) {
    throw DataError(state_->where, ": token ids are not dense: ", state_->model.num_tokens(),
                    " tokens, the highest id is ", size() - 1);
  }
  for (const std::string& name : names) {
    if (name.empty() || IdOf(name) >= 0) {
      throw DataError(state_->where, ": special token '", name, "' is empty or already there, id ",
                      IdOf(name));
    }
    AddedToken token;
    token.id = state_->NextId();
    token.content = name;
    token.special = true;
    state_->AddToken(std::move(token));
  }
  state_->ReadTokenBytes();
  return first;
}

void Tokenizer::Save(const std::filesystem::path& folder) const {
  json file = json::parse(state_->source);
  file["added_tokens"] = json::array();
  for (const auto& [id, token] : state_->added) {
    file["added_tokens"].push_back(WriteAddedToken(token));
  }
  WriteFileAtomically(folder / "tokenizer.json", file.dump(1) + "\n");

  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  const auto name_of = [&](int32_t id) {
    const auto found = state_->added.find(id);
    return found == state_->added.end() ? state_->model.tokens()[id] : found->second.content;
  };
  json special = json::object();
  if (bos_id() >= 0) special["bos_token"] = name_of(bos_id());
  if (eos_id() >= 0) special["eos_token"] = name_of(eos_id());
  WriteFileAtomically(folder / "special_tokens_map.json", special.dump(1) + "\n");

  config.update(special);
  config["added_tokens_decoder"] = json::object();
  for (const auto& [id, token] : state_->added) {
    json entry = WriteAddedToken(token);
    entry.erase("id");
    config["added_tokens_decoder"][std::to_string(id)] = entry;
  }
  std::string prefix;
  for (const int32_t id : prefix_ids()) prefix += name_of(id);
  config["chat_template"] = "{{ " + json(prefix).dump() +
                            " }}{% for message in messages %}{{ message['content'] }}{% endfor %}";
  WriteFileAtomically(folder / "tokenizer_config.json", config.dump(1) + "\n");
}

}  // namespace flame
