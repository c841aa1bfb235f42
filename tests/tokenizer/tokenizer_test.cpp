#include "tokenizer/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "paths.h"
#include "tests/base/temporary_folder.h"
#include "tests/tokenizer/small_tokenizers.h"
#include "tokenizer/stream.h"
#include "tokenizer/text.h"

namespace flame {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TokenizerTest : public ::testing::Test {
 protected:
  Tokenizer Make(const json& file) {
    WriteFileAtomically(folder_ / "tokenizer.json", file.dump());
    return Tokenizer::Load(folder_ / "tokenizer.json");
  }
  // Returns the message with which loading `file` fails, "loaded" if it does not.
  std::string Refusal(const json& file) {
    try {
      Make(file);
    } catch (const DataError& error) {
      return error.what();
    }
    return "loaded";
  }
  TemporaryFolder folder_;
};

TEST_F(TokenizerTest, Merges_LowestRankFirst) {
  const Tokenizer tokenizer = Make(Plain());
  EXPECT_THAT(tokenizer.Encode("abc"), ElementsAre(7));  // b c, then a bc
  EXPECT_THAT(tokenizer.Encode("abab"), ElementsAre(5, 5));
  EXPECT_THAT(tokenizer.Encode("abbc"), ElementsAre(5, 6));
  EXPECT_THAT(tokenizer.Encode("cab c"), ElementsAre(3, 5, 4, 3));
  EXPECT_THAT(tokenizer.Encode(""), IsEmpty());
}

TEST_F(TokenizerTest, Merges_ReadAsPairsOrLines) {
  json pairs = Plain();
  pairs["model"]["merges"] = json::parse(R"([["b", "c"], ["a", "b"], ["a", "bc"]])");
  EXPECT_THAT(Make(pairs).Encode("abcab"), ElementsAre(7, 5));
}

TEST_F(TokenizerTest, IgnoreMerges_TakesAWholeWordOfTheVocabulary) {
  json file = Plain();
  file["model"]["merges"] = {"b c"};  // abc cannot be reached by merges
  EXPECT_THAT(Make(file).Encode("abc"), ElementsAre(1, 6));
  file["model"]["ignore_merges"] = true;
  EXPECT_THAT(Make(file).Encode("abc"), ElementsAre(7));
}

TEST_F(TokenizerTest, UnknownCharacters_FusedOnlyWhenAsked) {
  json file = Plain();
  EXPECT_THAT(Make(file).Encode("axyzb"), ElementsAre(1, 0, 0, 0, 2));
  file["model"]["fuse_unk"] = true;
  EXPECT_THAT(Make(file).Encode("axyzb"), ElementsAre(1, 0, 2));
  file["model"]["unk_token"] = nullptr;
  EXPECT_THAT(Make(file).Encode("axyzc"), ElementsAre(1, 3));
}

TEST_F(TokenizerTest, Prepend_AppliesToEachPieceBetweenAddedTokens) {
  const Tokenizer tokenizer = Make(Marked());
  EXPECT_THAT(tokenizer.Encode("ab a"), ElementsAre(7, 6));
  EXPECT_THAT(tokenizer.Encode("ab</s>ab"), ElementsAre(7, 2, 7));
  EXPECT_THAT(tokenizer.Encode("ab", /*add_special_tokens=*/true), ElementsAre(1, 7));
  EXPECT_THAT(tokenizer.Encode("", true), ElementsAre(1));
}

TEST_F(TokenizerTest, NormalizedAddedToken_IsLookedForInNormalizedText) {
  json file = Marked();
  file["added_tokens"][2]["normalized"] = true;  // so "▁</s>" is looked for
  const Tokenizer tokenizer = Make(file);
  EXPECT_THAT(tokenizer.Encode("ab </s>ab"), ElementsAre(7, 2, 4, 5));
  EXPECT_EQ(tokenizer.Encode("ab</s>")[1], 8 + '<');
}

TEST_F(TokenizerTest, ByteFallback_RoundTripsAnyText) {
  const Tokenizer tokenizer = Make(Marked());
  EXPECT_THAT(tokenizer.Encode("é"), ElementsAre(3, 8 + 0xC3, 8 + 0xA9));
  for (const char* text : {"ab 😀 ä", "a", "", "中文\n a"}) {
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
  }
  EXPECT_EQ(tokenizer.Decode({4, 8 + 0xC3, 4}), "a\uFFFDa");  // a broken byte run
}

TEST_F(TokenizerTest, ByteLevel_SplitsWordsThenMergesBytes) {
  const Tokenizer tokenizer = Make(ByteLevel());
  EXPECT_THAT(tokenizer.Encode("he he"), ElementsAre(256, ' ', 256));
  // The pattern gives the last of several spaces to the word after them.
  EXPECT_THAT(tokenizer.Encode("  h"), ElementsAre(' ', 257));
  EXPECT_THAT(tokenizer.Encode("\xC3\xA9"), ElementsAre(0xC3, 0xA9));
  const std::string text = "he said: \u00e9\n\t x ";
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
}

TEST_F(TokenizerTest, InvalidUtf8_BecomesOneReplacementForEachMaximalSubpart) {
  const Tokenizer tokenizer = Make(ByteLevel());
  // Table 3-11 of The Unicode Standard 15: 61, F1 80 80, E1 80, C2, 62, 80, 63, 80, BF, 64.
  const std::string broken = "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64";
  const std::string expected = "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd";
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(broken)), expected);
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\xAF"), "\uFFFD\uFFFD");            // overlong
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), "\uFFFD");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98\x80"), "\U0001F600");
}

TEST_F(TokenizerTest, AddedTokens_LongestMatchAndStripping) {
  json file = Plain();
  file["added_tokens"] = {Added(8, "<d>"), Added(9, "<d>b", false), Added(10, "<l>", false),
                          Added(11, "<w>", false)};
  file["added_tokens"][2]["lstrip"] = file["added_tokens"][2]["rstrip"] = true;
  file["added_tokens"][3]["single_word"] = true;
  file["model"]["unk_token"] = nullptr;
  const Tokenizer tokenizer = Make(file);
  EXPECT_THAT(tokenizer.Encode("a<d>ba<d>c"), ElementsAre(1, 9, 1, 8, 3));
  EXPECT_THAT(tokenizer.Encode("a  <l>  b"), ElementsAre(1, 10, 2));
  EXPECT_THAT(tokenizer.Encode("a <w> b"), ElementsAre(1, 4, 11, 4, 2));
  EXPECT_THAT(tokenizer.Encode("a<w> b"), ElementsAre(1, 4, 2));  // touches a word: plain text
}

TEST_F(TokenizerTest, Decode_SkipsSpecialTokensOnly) {
  json file = Plain();
  file["added_tokens"] = {Added(8, "<d>"), Added(9, "<n>", false)};
  const Tokenizer tokenizer = Make(file);
  EXPECT_EQ(tokenizer.Decode({7, 8, 9, 1}), "abc<n>a");
  EXPECT_EQ(tokenizer.Decode({7, 8, 9, 1}, /*skip_special_tokens=*/false), "abc<d><n>a");
}

TEST_F(TokenizerTest, TokenBytes_ConcatenateToTheText) {
  for (const json& file : {ByteLevel(), Marked()}) {
    const Tokenizer tokenizer = Make(file);
    std::string text;
    for (const int32_t id : tokenizer.Encode("he ab 😀 ä")) text += tokenizer.TokenBytes(id);
    if (text.starts_with(' ')) text.erase(0, 1);
    EXPECT_EQ(text, "he ab 😀 ä");
  }
  const Tokenizer tokenizer = Make(ByteLevel());
  EXPECT_EQ(tokenizer.TokenBytes(258), "");
  EXPECT_THROW(tokenizer.TokenBytes(259), DataError);
}

TEST_F(TokenizerTest, Ends_FromTheConfigElseFromWellKnownNames) {
  EXPECT_EQ(Make(Marked()).bos_id(), 1);
  EXPECT_EQ(Make(Marked()).eos_id(), 2);
  EXPECT_EQ(Make(Plain()).eos_id(), -1);
  WriteFileAtomically(folder_ / "tokenizer_config.json",
                      R"({"bos_token": {"content": "a"}, "eos_token": "bc"})");
  EXPECT_EQ(Make(Plain()).bos_id(), 1);
  EXPECT_EQ(Make(Plain()).eos_id(), 6);
  WriteFileAtomically(folder_ / "tokenizer_config.json", R"({"eos_token": "<none>"})");
  EXPECT_THAT(Refusal(Plain()), HasSubstr("<none>"));
}

TEST_F(TokenizerTest, AddSpecialTokens_TakeTheNextIdsAndSurviveSaving) {
  Tokenizer tokenizer = Make(ByteLevel());
  EXPECT_EQ(tokenizer.size(), 259);
  EXPECT_EQ(tokenizer.AddSpecialTokens({"<DrugEmb-1>", "<DrugEmb-10>"}), 259);
  EXPECT_EQ(tokenizer.size(), 261);
  EXPECT_EQ(tokenizer.IdOf("<DrugEmb-10>"), 260);
  EXPECT_THROW(tokenizer.AddSpecialTokens({"<DrugEmb-1>"}), DataError);
  tokenizer.Save(folder_ / "saved");
  const Tokenizer saved = Tokenizer::Load(folder_ / "saved" / "tokenizer.json");
  for (const Tokenizer* one : {static_cast<const Tokenizer*>(&tokenizer), &saved}) {
    EXPECT_THAT(one->Encode("he<DrugEmb-10><DrugEmb-1> ha"), ElementsAre(256, 260, 259, 257, 'a'));
    EXPECT_EQ(one->Decode({256, 260, 259, 257, 'a'}), "he ha");
    EXPECT_EQ(one->eos_id(), 258);
  }
}

TEST_F(TokenizerTest, Unsupported_IsRefusedByName) {
  const auto with = [](json file, const char* part, const json& value) {
    file[json::json_pointer(part)] = value;
    return file;
  };
  const std::vector<std::pair<json, std::string>> cases = {
      {with(Plain(), "/model/type", "Unigram"), "Unigram"},
      {with(Plain(), "/model/dropout", 0.1), "dropout"},
      {with(Plain(), "/model/end_of_word_suffix", "</w>"), "end_of_word_suffix"},
      {with(Plain(), "/normalizer", {{"type", "BertNormalizer"}}), "BertNormalizer"},
      {with(Plain(), "/pre_tokenizer", {{"type", "Whitespace"}}), "Whitespace"},
      {with(Plain(), "/decoder", {{"type", "WordPiece"}}), "WordPiece"},
      {with(Plain(), "/post_processor", {{"type", "BertProcessing"}}), "BertProcessing"},
      {with(Plain(), "/model/vocab/far", 1 << 28), "expected 0 to 65"},
      {with(Plain(), "/model/merges", {"a d"}), "'d'"},
      {with(Plain(), "/model/merges", {"a b c"}), "a b c"},
      {with(Plain(), "/model/unk_token", "<u>"), "<u>"},
      {with(Plain(), "/added_tokens", json::array({Added(12, "<x>")})), "<x>"},
      {json::object({{"added_tokens", json::array()}}), "model"},
  };
  for (const auto& [file, word] : cases) {
    EXPECT_THAT(Refusal(file), HasSubstr(word));
    EXPECT_THAT(Refusal(file), HasSubstr((folder_ / "tokenizer.json").string()));
  }
}

TEST_F(TokenizerTest, SplitPattern_RefusesWhatOnigurumaReadsOtherwise) {
  for (const char* pattern : {R"(\w+)",         R"(\p{Han}+)",
                              R"(\p{N}{1,3}+)", R"(a*)",
                              R"((a)",          R"(a\)",
                              R"([a&&b])",      R"([\p{L}&&[^x-z]]+|.)",
                              R"([a[b]])",      R"([[:alpha:]]+)",
                              R"([]a])",        R"([^]a])",
                              R"((?m:.)+)",     R"((?s:.)+)",
                              R"((?x: a))",     R"(a(?i)b|c)",
                              R"((?im:a))",     R"(a{2}?)",
                              R"(a{,2}+)",      R"((?<=a)\Kb)",
                              R"((?#x)a)",      R"(a(*SKIP)b|.)",
                              R"(\p{Cn})",      R"([\p{Mn}])",
                              R"((?i:ss))",     R"((?i:f(?:i|o)))",
                              R"((?i)x|sT)",    R"((?i:[\p{Lu}]))",
                              R"((?i:é))",      R"((?i:[à-ÿ]))",
                              R"([\P{Lu}x])"}) {
    json file = Plain();
    file["pre_tokenizer"] = {{"type", "Split"},
                             {"pattern", {{"Regex", pattern}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
    EXPECT_THAT(Refusal(file), HasSubstr("Split")) << pattern;
  }
}

TEST_F(TokenizerTest, SplitPattern_KeepsGapsAsWords) {
  json file = Plain();
  file["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "b"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  EXPECT_THAT(Make(file).Encode("abcb"), ElementsAre(1, 2, 3, 2));
}

TEST_F(TokenizerTest, LongWord_FallsApartOnlyWhereNothingJoins) {
  json file = Plain();
  file["model"]["fuse_unk"] = true;
  const Tokenizer tokenizer = Make(file);
  std::string joined, unknown = "a";
  for (int i = 0; i < 100; ++i) {
    joined += "abcb ";
    unknown += "xy";
  }
  std::vector<int32_t> expected;
  for (int i = 0; i < 100; ++i) expected.insert(expected.end(), {7, 2, 4});
  EXPECT_EQ(tokenizer.Encode(joined), expected);
  EXPECT_THAT(tokenizer.Encode(unknown + "b"), ElementsAre(1, 0, 2));  // one unk, not 200
}

// Writes the model of ByteLevel() as the two files in which Llama 3 was published.
void WritePair(const std::filesystem::path& folder, const std::string& merges) {
  const json model = ByteLevel()["model"];
  WriteFileAtomically(folder / "encoder.json", model["vocab"].dump());
  WriteFileAtomically(folder / "vocab.bpe", merges);
}

TEST_F(TokenizerTest, Pair_LoadsAsLlama3) {
  WritePair(folder_ / "pair", "h e\nĠ h\n");
  Tokenizer tokenizer = Tokenizer::Load(folder_ / "pair");
  EXPECT_EQ(tokenizer.size(), 258 + 256);
  EXPECT_EQ(tokenizer.bos_id(), 258);
  EXPECT_EQ(tokenizer.eos_id(), 259);
  EXPECT_EQ(tokenizer.IdOf("<|reserved_special_token_0|>"), 258 + 2);
  EXPECT_EQ(tokenizer.IdOf("<|start_header_id|>"), 258 + 6);
  EXPECT_EQ(tokenizer.IdOf("<|eot_id|>"), 258 + 9);
  EXPECT_EQ(tokenizer.IdOf("<|reserved_special_token_250|>"), 258 + 255);
  EXPECT_THAT(tokenizer.Encode("he<|eot_id|> ha", true), ElementsAre(258, 256, 267, 257, 'a'));
  EXPECT_EQ(tokenizer.AddSpecialTokens({"<DrugEmb-1>"}), 258 + 256);
  tokenizer.Save(folder_ / "saved");
  const Tokenizer saved = Tokenizer::Load(folder_ / "saved");
  EXPECT_THAT(saved.Encode("<DrugEmb-1>he", true), ElementsAre(258, 514, 256));
}

TEST_F(TokenizerTest, Pair_NotLlama3OrNotWhole_IsRefused) {
  EXPECT_THROW(Tokenizer::Load(folder_ / ""), DataError);  // neither file
  WritePair(folder_ / "pair", "#version: 0.2\nh e\n");
  EXPECT_THROW(Tokenizer::Load(folder_ / "pair"), DataError);
  WritePair(folder_ / "pair", "h e\nh\n");
  EXPECT_THROW(Tokenizer::Load(folder_ / "pair"), DataError);
  std::filesystem::remove(folder_ / "pair" / "vocab.bpe");
  EXPECT_THROW(Tokenizer::Load(folder_ / "pair" / "encoder.json"), DataError);
  WriteFileAtomically(folder_ / "pair" / "encoder.json", "[1]");
  EXPECT_THROW(Tokenizer::Load(folder_ / "pair"), DataError);
}

std::vector<std::string> Parts(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  DecodeStream stream(tokenizer);
  std::vector<std::string> parts;
  for (const int32_t id : ids) parts.push_back(stream.Add(id));
  parts.push_back(stream.Finish());
  return parts;
}

TEST_F(TokenizerTest, DecodeStream_HoldsBackAnUnfinishedCharacter) {
  const Tokenizer tokenizer = Make(ByteLevel());
  EXPECT_THAT(Parts(tokenizer, {256, 0xC3, 0xA9, 258, 'x'}),
              ElementsAre("he", "", "é", "", "x", ""));
  EXPECT_THAT(Parts(tokenizer, {0xE2, 'x', 0xF0, 0x9F, 0x98}),
              ElementsAre("", "\uFFFDx", "", "", "", "\uFFFD"));
}

TEST_F(TokenizerTest, DecodeStream_HoldsBackARunOfFallbackBytes) {
  const Tokenizer tokenizer = Make(Marked());
  EXPECT_THAT(Parts(tokenizer, {6, 6, 8 + 0xC3, 8 + 0xA9, 3, 4}),
              ElementsAre("a", " a", "", "", "é ", "a", ""));
  // Decode reads the whole run as invalid because of the stray byte.
  EXPECT_THAT(Parts(tokenizer, {8 + 0xC3, 8 + 0xA9, 8 + 0xC3, 4}),
              ElementsAre("", "", "", "\uFFFD\uFFFD\uFFFDa", ""));
  EXPECT_THAT(Parts(tokenizer, {4, 8 + 0xC3}), ElementsAre("a", "", "\uFFFD"));
}

TEST_F(TokenizerTest, Load_MissingOrBrokenFile_NamesIt) {
  EXPECT_THROW(Tokenizer::Load(folder_ / "none.json"), DataError);
  WriteFileAtomically(folder_ / "tokenizer.json", "{\"model\": ");
  EXPECT_THROW(Tokenizer::Load(folder_ / "tokenizer.json"), DataError);
}

TEST_F(TokenizerTest, Encode_FromSeveralThreads_GivesTheSame) {
  const Tokenizer tokenizer = Make(ByteLevel());
  std::vector<std::vector<int32_t>> ids(4);
  std::vector<std::thread> threads;
  const auto text = [](int i) { return "he he he" + std::to_string(i); };
  for (std::vector<int32_t>& mine : ids) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        for (const int32_t id : tokenizer.Encode(text(i))) mine.push_back(id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : ids) EXPECT_EQ(mine, ids[0]);
  EXPECT_EQ(tokenizer.Decode(ids[0]).substr(0, 18), "he he he0he he he1");
}

// The expected ids are from the Python package tokenizers 0.23.3.
TEST_F(TokenizerTest, TinyStories_GivesPublishedIds) {
  const std::filesystem::path path =
      std::filesystem::path(FLAME_SOURCE_DIR) / "../shared/data/tinystories-656k/tokenizer.json";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const Tokenizer tokenizer = Tokenizer::Load(path);
  EXPECT_THAT(tokenizer.Encode("hello world", true), ElementsAre(1, 80, 109, 113, 139, 410, 555));
  EXPECT_THAT(tokenizer.Encode("a<|start_story|> b"), ElementsAre(85, 208, 212, 210, 80, 54));
  EXPECT_THAT(tokenizer.Encode("x \n  y  z"), ElementsAre(80, 1841, 3, 80, 80, 87, 80, 78));
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.Decode({1, 80, 109, 113, 139, 410, 555, 2}), "hello world");
}

}  // namespace
}  // namespace flame
