#include "model/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/byte_token.h"
#include "model/tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::tandem::testing::TempFolder;

StatusOr<TokenizerData> WriteAndRead(const GgufWriter& writer) {
  const TempFolder folder;
  TANDEM_RETURN_IF_ERROR(writer.Write(folder / "t.gguf"));
  TANDEM_ASSIGN_OR_RETURN(const GgufFile file, ReadGguf(folder / "t.gguf"));
  return TokenizerOfGguf(file);
}

StatusOr<TokenizerData> WrittenAndRead(const TokenizerData& data,
                                       size_t padding = 0) {
  GgufWriter writer;
  TANDEM_RETURN_IF_ERROR(AddTokenizer(
      data, static_cast<int64_t>(data.tokens.size() + padding), writer));
  return WriteAndRead(writer);
}

Tokenizer TokenizerFrom(const TokenizerData& data) {
  auto tokenizer = Tokenizer::Create(data);
  EXPECT_THAT(tokenizer, IsOk());
  return *std::move(tokenizer);
}

void ExpectSameIds(const TokenizerData& a, const TokenizerData& b) {
  const Tokenizer one = TokenizerFrom(a);
  const Tokenizer other = TokenizerFrom(b);
  for (const char* text :
       {"",      " ",          "   ",      "ab",           " ab",
        "ab ",   "a  b",       "abab aab", "aba\nbb",      "é",
        "aé éb", "éé é",       "e\u0301",  "▁ab",          "a▁",
        "▁",     "<x>ab<x> a", "the 12",   "bab baab bba", "<unk>",
        "</s>a"}) {
    EXPECT_EQ(one.Encode(text), other.Encode(text)) << text;
    EXPECT_EQ(one.Encode(text, true), other.Encode(text, true)) << text;
  }
}

void ExpectSurvives(const TokenizerData& data) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData read, WrittenAndRead(data));
  EXPECT_EQ(read.model, data.model);
  EXPECT_EQ(read.tokens, data.tokens);
  EXPECT_EQ(read.types, data.types);
  EXPECT_EQ(read.add_bos, data.add_bos);
  ExpectSameIds(data, read);
}

void ExpectNoForm(const TokenizerData& data, const std::string& message) {
  EXPECT_THAT(WrittenAndRead(data), IsInvalid(message));
}

TokenizerData ByteLevelData(const std::string& name, bool ignore_merges,
                            bool nfc) {
  TokenizerData data = testing::TinyTokenizerData();
  data.pre_tokenizer = name;
  data.ignore_merges = ignore_merges;
  data.normalize_nfc = nfc;
  return data;
}

TEST(GgufTokenizer, EveryKindOfByteLevelSurvives) {
  ExpectSurvives(ByteLevelData("gpt-2", false, false));
  ExpectSurvives(ByteLevelData("olmo", false, true));
  ExpectSurvives(ByteLevelData("smollm", false, false));
  ExpectSurvives(ByteLevelData("llama-bpe", true, false));
  ExpectSurvives(ByteLevelData("qwen2", false, true));
}

TEST(GgufTokenizer, ByteLevelOptionsThatItsNameDoesNotSayAreRefused) {
  ExpectNoForm(ByteLevelData("qwen2", false, false), "'qwen2' without NFC");
  ExpectNoForm(ByteLevelData("olmo", false, false), "'olmo' without NFC");
  ExpectNoForm(ByteLevelData("llama-bpe", true, true), "'llama-bpe' with NFC");
  ExpectNoForm(ByteLevelData("smollm", false, true), "'smollm' with NFC");
  ExpectNoForm(ByteLevelData("llama-bpe", false, false),
               "ignore_merges = false");
  ExpectNoForm(ByteLevelData("qwen2", true, true), "ignore_merges = true");
}

void AddByteTokens(TokenizerData& data) {
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(ByteTokenText(static_cast<unsigned char>(byte)));
    data.types.push_back(TokenType::kByte);
  }
}

// Llama 2's kind. Ids: <unk> 0, </s> 1, ▁ 2, a 3, b 4, ab 5, ▁ab 6, ba 7.
TokenizerData MergeData() {
  TokenizerData data;
  data.model = TokenizerModel::kSentencePieceBpe;
  data.tokens = {"<unk>", "</s>", "▁", "a", "b", "ab", "▁ab", "ba"};
  data.types.assign(8, TokenType::kNormal);
  data.types[0] = data.types[1] = TokenType::kControl;
  data.merges = {"a b", "▁ ab", "b a"};
  data.unknown_id = 0;
  data.space_prefix = SpacePrefix::kEveryPart;
  data.byte_fallback = true;
  AddByteTokens(data);
  return data;
}

TEST(GgufTokenizer, SentencePieceSurvives) {
  TokenizerData data = MergeData();
  ExpectSurvives(data);
  data.space_prefix = SpacePrefix::kNone;
  data.add_bos = true;
  ExpectSurvives(data);
  data.scores.assign(data.tokens.size(), 0);
  data.scores[5] = -0.1;
  data.scores[6] = -3;
  data.scores[7] = -0.05;
  data.merges.clear();
  ExpectSurvives(data);
}

TEST(GgufTokenizer, SentencePieceWithoutByteFallbackIsRefused) {
  TokenizerData data = MergeData();
  data.byte_fallback = false;
  ExpectNoForm(data, "byte_fallback = false");
  data = MergeData();
  data.types.back() = TokenType::kNormal;
  ExpectNoForm(data, "without the byte token '<0xFF>'");
}

TEST(GgufTokenizer, SentencePieceTextThatIsChangedFirstIsRefused) {
  TokenizerData data = MergeData();
  data.normalize_nfc = true;
  ExpectNoForm(data, "NFC before a SentencePiece");
  data = MergeData();
  data.space_prefix = SpacePrefix::kEveryPartUnlessSpaceFirst;
  ExpectNoForm(data, "a Metaspace that puts a space before some texts");
}

// "a▁" would be made of both sides of a cut.
TEST(GgufTokenizer, ASplitAtSpacesIsOnlySaidByTokensThatRespectIt) {
  TokenizerData data = MergeData();
  data.split_at_spaces = true;
  ExpectSurvives(data);
  data.tokens.push_back("a▁");
  data.types.push_back(TokenType::kNormal);
  data.merges.push_back("a ▁");
  ExpectNoForm(data, "token 264, 'a▁'");
  data.types.back() = TokenType::kControl;
  data.merges.pop_back();
  ExpectSurvives(data);
}

// In "bab" the score of "ba" would come into play.
TEST(GgufTokenizer, MergesThatScoresCannotSayAreRefused) {
  TokenizerData data = MergeData();
  data.merges.pop_back();
  ExpectNoForm(data, "none makes token 7, 'ba', of 'b' and 'a'");
  data = MergeData();
  data.types[7] = TokenType::kControl;
  ExpectNoForm(data, "'b' and 'a' make token 7, 'ba', which is no text");
}

// "aba" is "ab a" whatever its other merge's rank; that one's is no score.
TEST(GgufTokenizer, AMergeThatIsNeverReachedIsNoScore) {
  TokenizerData data = MergeData();
  data.tokens.insert(data.tokens.end(), {"aba", "bb"});
  data.types.insert(data.types.end(), 2, TokenType::kNormal);
  data.merges.insert(data.merges.begin(), "a ba");
  data.merges.insert(data.merges.end(), {"b b", "ab a"});
  ExpectSurvives(data);
}

TEST(GgufTokenizer, OtherModelsAreRefusedByName) {
  GgufWriter writer;
  writer.AddText("tokenizer.ggml.model", "bert");
  writer.AddTexts("tokenizer.ggml.tokens", {"a"});
  EXPECT_THAT(WriteAndRead(writer), IsInvalid("is 'bert', only 'gpt2'"));
}

}  // namespace
}  // namespace tandem
