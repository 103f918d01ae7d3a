#include "model/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "model/byte_alphabet.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int32_t kFirstByte = 5;

// Ids 0 to 4: control tokens, a user-defined one; 5 to 260: the bytes; then
// "th", "the", " the".
TokenizerData SmallData() {
  TokenizerData data;
  data.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im", "é é"};
  data.types = {TokenType::kControl, TokenType::kControl, TokenType::kControl,
                TokenType::kControl, TokenType::kUserDefined};
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(PrintableByte(byte));
  }
  for (const char* word : {"th", "the", "Ġthe"}) data.tokens.push_back(word);
  data.types.resize(data.tokens.size(), TokenType::kNormal);
  data.merges = {"t h", "th e", "Ġ the"};
  data.pre_tokenizer = "smollm";
  data.eos_id = 2;
  return data;
}

constexpr int32_t kThe = kFirstByte + 256 + 1;
constexpr int32_t kSpaceThe = kThe + 1;

Tokenizer MakeTokenizer(TokenizerData data = SmallData()) {
  auto tokenizer = Tokenizer::Create(std::move(data));
  EXPECT_THAT(tokenizer, IsOk());
  return *tokenizer;
}

int32_t Byte(unsigned char byte) { return kFirstByte + byte; }

TEST(TokenizerTest, MergesWithinPieces) {
  const Tokenizer tokenizer = MakeTokenizer();
  EXPECT_EQ(tokenizer.vocabulary_size(), 264);
  EXPECT_THAT(tokenizer.Encode("the the"), ElementsAre(kThe, kSpaceThe));
  EXPECT_THAT(tokenizer.Encode("t\nhe"),
              ElementsAre(Byte('t'), Byte('\n'), Byte('h'), Byte('e')));
  EXPECT_THAT(tokenizer.Encode(""), IsEmpty());
}

TEST(TokenizerTest, ParsesControlTokensOnlyWhenAsked) {
  const Tokenizer tokenizer = MakeTokenizer();
  const std::string text = "<|im_start|>the<|im_end|>";
  EXPECT_THAT(tokenizer.Encode(text, true), ElementsAre(1, kThe, 2));
  const std::vector<int32_t> plain = tokenizer.Encode(text);
  for (int32_t id : plain) EXPECT_GE(id, kFirstByte);
  EXPECT_EQ(tokenizer.Decode(plain), text);
}

TEST(TokenizerTest, TheLongestControlTokenCounts) {
  const Tokenizer tokenizer = MakeTokenizer();
  EXPECT_THAT(tokenizer.Encode("<|im<|im_end|><|im", true),
              ElementsAre(3, 2, 3));
  EXPECT_THAT(
      tokenizer.Encode("<|im_end|", true),
      ElementsAre(3, Byte('_'), Byte('e'), Byte('n'), Byte('d'), Byte('|')));
}

TEST(TokenizerTest, AlwaysParsesUserDefinedTokens) {
  const Tokenizer tokenizer = MakeTokenizer();
  EXPECT_THAT(tokenizer.Encode("the"
                               "é é"
                               "the"),
              ElementsAre(kThe, 4, kThe));
  EXPECT_EQ(tokenizer.Decode({4}), "é é");
}

TEST(TokenizerTest, ReplacesInvalidBytes) {
  const Tokenizer tokenizer = MakeTokenizer();
  EXPECT_EQ(tokenizer.Encode("the\xFF"), tokenizer.Encode("the\uFFFD"));
  EXPECT_EQ(tokenizer.Encode("\xE2\x82<|im_end|>", true),
            tokenizer.Encode("\uFFFD<|im_end|>", true));
}

TEST(TokenizerTest, LeavesOutBytesThatHaveNoToken) {
  TokenizerData data = SmallData();
  data.tokens[Byte(4)] = "unused";
  const Tokenizer tokenizer = MakeTokenizer(data);
  EXPECT_THAT(tokenizer.Encode("!\x04!"), ElementsAre(Byte('!'), Byte('!')));
}

TEST(TokenizerTest, DecodeLeavesControlTokensOutUnlessAsked) {
  const Tokenizer tokenizer = MakeTokenizer();
  EXPECT_EQ(tokenizer.Decode({1, kThe, 2}), "the");
  EXPECT_EQ(tokenizer.Decode({1, kThe, 2}, true), "<|im_start|>the<|im_end|>");
  EXPECT_EQ(tokenizer.Decode({-1, kThe, 264, 1 << 30}, true), "the");
}

TEST(TokenizerTest, DecodeUndoesEncodeOnRandomText) {
  const Tokenizer tokenizer = MakeTokenizer();
  SeededRandom random(1);
  const std::vector<std::string> parts = {
      "the",  " ",      "  ",     "\n",
      "\r\n", "\t",     "7",      "é",
      "é é",  "😀",     "\u200D", "<|im_end|>",
      "ไ",    "\u0301", "ع",      std::string("\0", 1),
      "'ll",  "x"};
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += parts[random.Below(parts.size())];
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text, true), true), text);
  }
}

TEST(TokenizerTest, KnowsWhatEndsAReply) {
  const Tokenizer tokenizer = MakeTokenizer();
  EXPECT_TRUE(tokenizer.IsEndOfReply(0));
  EXPECT_TRUE(tokenizer.IsEndOfReply(2));
  EXPECT_FALSE(tokenizer.IsEndOfReply(1));
  EXPECT_FALSE(tokenizer.IsEndOfReply(kThe));
  EXPECT_EQ(tokenizer.end_of_text_id(), 0);
  EXPECT_EQ(tokenizer.ControlToken("<|im_start|>"), 1);
  EXPECT_EQ(tokenizer.ControlToken("the"), std::nullopt);
  EXPECT_EQ(tokenizer.ControlToken("é é"), std::nullopt);
}

TEST(TokenizerTest, EndOfTextFallsBackToEndOfSequence) {
  TokenizerData data = SmallData();
  data.tokens[0] = "<eos>";
  EXPECT_EQ(MakeTokenizer(data).end_of_text_id(), 2);
  data.eos_id.reset();
  const Tokenizer without = MakeTokenizer(data);
  EXPECT_EQ(without.end_of_text_id(), std::nullopt);
  EXPECT_FALSE(without.IsEndOfReply(0));
}

class BadTokenizerTest : public ::testing::Test {
 protected:
  void ExpectRefused(const std::string& message) {
    EXPECT_THAT(Tokenizer::Create(data_),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(message)));
  }
  TokenizerData data_ = SmallData();
};

TEST_F(BadTokenizerTest, UnknownPreTokenizer) {
  data_.pre_tokenizer = "bloom";
  ExpectRefused("unknown pre-tokenizer 'bloom'");
}

TEST_F(BadTokenizerTest, MergeOfUnknownTokens) {
  data_.merges.push_back("th ex");
  ExpectRefused("merge 3 is 'th ex', but 'ex' is no token");
}

TEST_F(BadTokenizerTest, MergeIntoAnUnknownToken) {
  data_.merges.push_back("the t");
  ExpectRefused("merge 3 is 'the t', but 'thet' is no token");
}

TEST_F(BadTokenizerTest, MergeWithoutASpace) {
  data_.merges[1] = "the";
  ExpectRefused("merge 1 is 'the', expected two tokens and a space");
}

TEST_F(BadTokenizerTest, DuplicateTokens) {
  data_.tokens[7] = "the";
  ExpectRefused("tokens 7 and 262 are both 'the'");
}

TEST_F(BadTokenizerTest, EmptyToken) {
  data_.tokens[7] = "";
  ExpectRefused("token 7 is empty");
}

TEST_F(BadTokenizerTest, NoTokens) {
  data_ = TokenizerData();
  data_.pre_tokenizer = "smollm";
  ExpectRefused("a tokenizer of 0 tokens");
}

TEST_F(BadTokenizerTest, TypesThatDoNotFit) {
  data_.types.pop_back();
  ExpectRefused("264 tokens but 263 token types");
}

TEST_F(BadTokenizerTest, IdsOutsideTheVocabulary) {
  data_.eos_id = 264;
  ExpectRefused("eos_id is 264, expected 0 to 263");
  data_.eos_id = 2;
  data_.bos_id = -1;
  ExpectRefused("bos_id is -1");
}

}  // namespace
}  // namespace tandem
