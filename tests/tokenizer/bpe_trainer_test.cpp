#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

json Train(const std::vector<std::string>& texts, int32_t vocab_size) {
  const TemporaryFolder folder;
  TrainTokenizer(texts, vocab_size, folder / "tokenizer.json");
  return json::parse(ReadWholeFile(folder / "tokenizer.json"));
}

TEST(TrainTokenizer, SmallCorpus_MergesAsByHand) {
  // The texts hold the words "low" 5 times, " low" 2 times and "est" 3 times. The pairs l o and o w
  // occur 7 times each; l o, the lower pair of ids, is merged first. Then come lo w (7), e s (3, as
  // s t), es t (3) and Ġ low (2).
  const std::vector<std::string> texts = {"low",     "low", "low", "low low",
                                          "low low", "est", "est", "est"};
  const json model = Train(texts, 1000)["model"];
  EXPECT_THAT(model["merges"], ElementsAre(json{"l", "o"}, json{"lo", "w"}, json{"e", "s"},
                                           json{"es", "t"}, json{"Ġ", "low"}));
  EXPECT_EQ(model["vocab"].size(), 258 + 5);
  EXPECT_EQ(model["vocab"]["<|begin_of_text|>"], 0);
  EXPECT_EQ(model["vocab"]["<|end_of_text|>"], 1);
  EXPECT_EQ(model["vocab"]["a"], 2 + 'a');
  EXPECT_EQ(model["vocab"]["lo"], 258);
  EXPECT_EQ(model["vocab"]["Ġlow"], 262);
}

TEST(TrainTokenizer, OverlappingPairs_CountFromTheLeft) {
  // The word "aaaa" holds the pair a a three times; merged from the left it becomes aa aa.
  EXPECT_THAT(Train({"aaaa", "aaaa"}, 1000)["model"]["merges"],
              ElementsAre(json{"a", "a"}, json{"aa", "aa"}));
}

TEST(TrainTokenizer, VocabularySize_IsALimit) {
  EXPECT_EQ(Train({"low low low"}, 259)["model"]["vocab"].size(), 259);
  EXPECT_EQ(Train({"low low low"}, 258)["model"]["merges"].size(), 0);
  EXPECT_EQ(Train({}, 300)["model"]["vocab"].size(), 258);
  EXPECT_THROW(Train({"low"}, 257), UsageError);
}

TEST(TrainTokenizer, SameTexts_SameFile) {
  std::vector<std::string> texts;
  for (int i = 0; i < 300; ++i) {
    texts.push_back("Visit " + std::to_string(i * 7919 % 1000) + ": Metoprolol, Furosemide " +
                    std::string(1, static_cast<char>('a' + i % 26)) + "ine\n");
  }
  const TemporaryFolder folder;
  TrainTokenizer(texts, 500, folder / "1.json");
  std::vector<std::string> reversed(texts.rbegin(), texts.rend());
  TrainTokenizer(reversed, 500, folder / "2.json");
  EXPECT_EQ(ReadWholeFile(folder / "1.json"), ReadWholeFile(folder / "2.json"));

  const Tokenizer tokenizer = Tokenizer::Load(folder / "1.json");
  EXPECT_EQ(tokenizer.bos_id(), 0);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  for (const std::string& text : texts) {
    const auto ids = tokenizer.Encode(text);
    EXPECT_EQ(tokenizer.Decode(ids), text);
    EXPECT_LT(ids.size(), text.size() / 2);
  }
}

}  // namespace
}  // namespace flame
