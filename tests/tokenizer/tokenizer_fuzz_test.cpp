// Texts of any bytes and spoiled tokenizer files, by seed: ids and text that agree, or an error in
// words that names the file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/spoil.h"
#include "tests/base/temporary_folder.h"
#include "tests/tokenizer/small_tokenizers.h"
#include "tokenizer/stream.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

using testing::HasSubstr;

class TokenizerFuzzTest : public testing::Test {
 protected:
  Tokenizer Load(const std::string& text) const {
    WriteFileAtomically(file_, text);
    return Tokenizer::Load(file_);
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_ / "tokenizer.json";
};

std::string AnyText(Random& random) {
  static const std::string kPieces[] = {"a",          "b",
                                        "abc",        " ",
                                        "  ",         "\n",
                                        "he",         " h",
                                        "\u00e9",     "\u2581",
                                        "\U0001f600", "<s>",
                                        "</s>",       "<|end_of_text|>",
                                        "<0x41>",     "\xff",
                                        "\xc3",       "\xe2\x96",
                                        "'s",         "12",
                                        "\u0301",     std::string(1, '\0')};
  std::string text;
  for (size_t i = Below(random, 20); i > 0; --i) text += kPieces[Below(random, std::size(kPieces))];
  return text;
}

TEST_F(TokenizerFuzzTest, AnyText_KnownIdsWhoseBytesAreTheText) {
  for (const nlohmann::json& kind : {Plain(), Marked(), ByteLevel()}) {
    const Tokenizer tokenizer = Load(kind.dump());
    const bool keeps_all = kind.at("decoder").at("type") == "ByteLevel";
    Random random(3);
    for (int round = 0; round < 2000; ++round) {
      const std::string text = AnyText(random);
      const std::vector<int32_t> ids = tokenizer.Encode(text);
      EXPECT_EQ(tokenizer.Encode(text), ids);
      for (const int32_t id : ids) {
        ASSERT_GE(id, 0);
        ASSERT_LT(id, tokenizer.size());
      }
      const std::string decoded = tokenizer.Decode(ids, /*skip_special_tokens=*/false);
      // Invalid bytes have become U+FFFD, which is itself from then on.
      if (keeps_all) {
        EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(decoded), false), decoded);
        EXPECT_EQ(tokenizer.Encode(decoded), ids) << testing::PrintToString(text);
      }
    }
  }
}

TEST_F(TokenizerFuzzTest, SpoiledFile_IsReadOrNamed) {
  const std::string texts[] = {"", "abc he h", "\u00e9\xff<s> a", std::string(5000, 'b')};
  Random random(5);
  for (const nlohmann::json& kind : {Plain(), Marked(), ByteLevel()}) {
    for (int round = 0; round < 700; ++round) {
      const std::string spoiled =
          round % 2 == 0 ? SpoiledJson(random, kind)
                               .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                         : SpoiledText(random, kind.dump());
      try {
        const Tokenizer tokenizer = Load(spoiled);
        for (const std::string& text : texts) tokenizer.Decode(tokenizer.Encode(text));
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("tokenizer")) << spoiled.substr(0, 400);
      } catch (const std::exception& error) {
        ADD_FAILURE() << error.what() << ": " << spoiled.substr(0, 400);
      }
    }
  }
}

}  // namespace
}  // namespace flame
