#include "model/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "model/byte_token.h"
#include "model/tokenizer.h"
#include "model/tokenizer_json.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"
#include "tests/testing/tiny_checkpoint.h"
#include "tests/testing/unigram_data.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::tandem::testing::TempFolder;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using testing::TokenScores;
using testing::UnigramData;

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

// Ids: <unk> 0, then the tokens, and <x> last, which is user-defined.
TokenizerData UnigramTokens(const TokenScores& scored) {
  TokenizerData data = UnigramData(scored);
  data.tokens.push_back("<x>");
  data.scores.push_back(0);
  data.types.push_back(TokenType::kUserDefined);
  data.types.front() = TokenType::kControl;
  return data;
}

TokenizerData SmallUnigram() {
  return UnigramTokens({{"▁", -2},
                        {"a", -3.25},
                        {"b", -3.5},
                        {"ab", -4},
                        {"▁ab", -4.5},
                        {"é", -6},
                        {"ba", -5}});
}

TEST(GgufTokenizer, UnigramSurvives) {
  TokenizerData data = SmallUnigram();
  ExpectSurvives(data);
  data.split_at_spaces = true;
  ExpectSurvives(data);
  data.split_at_spaces = false;
  data.space_prefix = SpacePrefix::kEveryPartUnlessAllSpaces;
  ExpectSurvives(data);
  data.collapse_spaces = true;
  ExpectSurvives(data);
}

TEST(GgufTokenizer, UnigramScoresAreFloatsAndNotTheirDecimals) {
  TokenizerData data = SmallUnigram();
  data.scores[3] = static_cast<double>(-3.1f);
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData read, WrittenAndRead(data));
  EXPECT_EQ(read.scores, data.scores);
  data.scores[3] = -3.1;
  ExpectNoForm(data, "token 3 has the score -3.1");
}

// Else those of the rows without a token would make unknown characters dear: of
// "xaß", -31 for "xa" and the unknown one are more than -40 for "x" and "aß".
TEST(GgufTokenizer, UnusedTokensAreNotTheWorst) {
  const TokenizerData data =
      UnigramTokens({{"xa", -1}, {"x", -20}, {"a", -20}, {"aß", -20}});
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData read,
                              WrittenAndRead(data, /*padding=*/3));
  EXPECT_EQ(read.tokens.size(), data.tokens.size() + 3);
  EXPECT_EQ(read.types.back(), TokenType::kUnused);
  EXPECT_THAT(TokenizerFrom(data).Encode("xaß"), ElementsAre(1, 0));
  EXPECT_THAT(TokenizerFrom(read).Encode("xaß"), ElementsAre(1, 0));
}

TEST(GgufTokenizer, UnigramRefusals) {
  const auto refused = [](const std::function<void(TokenizerData&)>& change,
                          const char* message) {
    TokenizerData data = SmallUnigram();
    change(data);
    ExpectNoForm(data, message);
  };
  refused([](auto& d) { d.byte_fallback = true; }, "byte_fallback = true");
  refused([](auto& d) { d.as_sentence_piece = true; }, "single precision");
  refused([](auto& d) { d.normalize_nfc = true; }, "NFC before");
  refused([](auto& d) { d.unknown_id.reset(); }, "without a control token");
  refused([](auto& d) { d.unknown_id = 3; }, "without a control token");
  refused([](auto& d) { d.fuse_unknown = false; }, "one for neighbours");
  refused([](auto& d) { d.space_prefix = SpacePrefix::kEveryPart; },
          "with a space before other texts");
  refused([](auto& d) { d.space_prefix = SpacePrefix::kTextUnlessSpaceFirst; },
          "with a space before other texts");
  refused([](auto& d) { d.collapse_spaces = true; }, "that drops spaces");
  refused([](auto& d) { d.scores[0] = -7; }, "token 0, '<unk>', has the score");
  refused([](auto& d) { d.tokens[8] = "a▁", d.scores[8] = -1; },
          "token 8, 'a▁', has the score -1");
  refused([](auto& d) { d.scores.pop_back(); }, "8 scores for 9 tokens");
}

TEST(GgufTokenizer, UnigramThatIsSplitNeedsWholeWordsAndAMark) {
  TokenizerData data = SmallUnigram();
  data.split_at_spaces = true;
  data.tokens[4] = "a▁b";
  ExpectNoForm(data, "token 4, 'a▁b'");
  data = SmallUnigram();
  data.split_at_spaces = true;
  data.tokens[1] = "c";
  ExpectNoForm(data, "'▁' is no token");
}

GgufWriter T5Writer() {
  GgufWriter writer;
  writer.AddText("tokenizer.ggml.model", "t5");
  writer.AddTexts("tokenizer.ggml.tokens",
                  {"<pad>", "</s>", "<unk>", "▁", "a", "▁a", "<x>"});
  writer.AddInt32s("tokenizer.ggml.token_type", {3, 3, 2, 1, 1, 1, 4});
  writer.AddFloat32s("tokenizer.ggml.scores", {-9, 0, 0, -2, -3, -4.5, -1});
  return writer;
}

TEST(GgufTokenizer, ReadsUnigramWithTheDefaultsOfLlamaCpp) {
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data,
                              WriteAndRead(T5Writer()));
  EXPECT_EQ(data.model, TokenizerModel::kUnigram);
  EXPECT_THAT(data.scores, ElementsAre(0, 0, 0, -2, -3, -4.5, 0));
  EXPECT_EQ(data.unknown_id, 2);
  EXPECT_FALSE(data.add_bos);
  EXPECT_FALSE(data.byte_fallback);
  EXPECT_FALSE(data.collapse_spaces);
  EXPECT_EQ(data.space_prefix, SpacePrefix::kNone);
  EXPECT_THAT(TokenizerFrom(data).Encode("a <x>ac"),
              ElementsAre(4, 3, 6, 4, 2));
}

TEST(GgufTokenizer, UnigramPutsASpaceBeforeAllTextsButSpaces) {
  GgufWriter writer = T5Writer();
  writer.AddBool("tokenizer.ggml.add_space_prefix", true);
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data, WriteAndRead(writer));
  const Tokenizer tokenizer = TokenizerFrom(data);
  EXPECT_THAT(tokenizer.Encode("a<x>a"), ElementsAre(5, 6, 5));
  EXPECT_THAT(tokenizer.Encode(" a "), ElementsAre(3, 5, 3));
  EXPECT_THAT(tokenizer.Encode("  "), ElementsAre(3, 3));
  EXPECT_THAT(FormatTokenizerJson(data), IsInvalid("but those of spaces"));
}

// Its own marks stay, other than SentencePiece's.
TEST(GgufTokenizer, UnigramThatDropsSpacesPutsOneBeforeEveryWord) {
  GgufWriter writer = T5Writer();
  writer.AddBool("tokenizer.ggml.remove_extra_whitespaces", true);
  TANDEM_ASSERT_OK_AND_ASSIGN(const TokenizerData data, WriteAndRead(writer));
  const Tokenizer tokenizer = TokenizerFrom(data);
  EXPECT_THAT(tokenizer.Encode("  a   a  "), ElementsAre(5, 5));
  EXPECT_THAT(tokenizer.Encode("a▁ "), ElementsAre(5, 3));
  EXPECT_THAT(tokenizer.Encode("  "), IsEmpty());
}

TEST(GgufTokenizer, AnEmptyCharsmapIsNone) {
  GgufWriter writer = T5Writer();
  writer.AddInt32s("tokenizer.ggml.precompiled_charsmap", {});
  EXPECT_THAT(WriteAndRead(writer), IsOk());
}

TEST(GgufTokenizer, ACharsmapIsRefused) {
  GgufWriter writer = T5Writer();
  writer.AddInt32s("tokenizer.ggml.precompiled_charsmap", {1, 2, 3});
  EXPECT_THAT(WriteAndRead(writer),
              IsInvalid("precompiled_charsmap' has 3 bytes"));
}

TEST(GgufTokenizer, UnigramNeedsAScoreForEachToken) {
  GgufWriter writer;
  writer.AddText("tokenizer.ggml.model", "t5");
  writer.AddTexts("tokenizer.ggml.tokens", {"<unk>", "a"});
  EXPECT_THAT(WriteAndRead(writer), IsInvalid("scores' is missing"));
  writer.AddFloat32s("tokenizer.ggml.scores", {0});
  EXPECT_THAT(WriteAndRead(writer), IsInvalid("has 1 values"));
}

TEST(GgufTokenizer, OtherModelsAreRefusedByName) {
  GgufWriter writer;
  writer.AddText("tokenizer.ggml.model", "bert");
  writer.AddTexts("tokenizer.ggml.tokens", {"a"});
  EXPECT_THAT(WriteAndRead(writer), IsInvalid("is 'bert', only 'gpt2'"));
}

// llama.cpp would put a token of its own at the end of every prompt.
TEST(GgufTokenizer, UnigramAddsNoEnd) {
  GgufWriter writer;
  ASSERT_THAT(AddTokenizer(SmallUnigram(), 9, writer), IsOk());
  const TempFolder folder;
  ASSERT_THAT(writer.Write(folder / "t.gguf"), IsOk());
  TANDEM_ASSERT_OK_AND_ASSIGN(const GgufFile file, ReadGguf(folder / "t.gguf"));
  EXPECT_FALSE(file.Flag("tokenizer.ggml.add_eos_token", true).value());
}

TEST(GgufTokenizer, UnusedTokensOfAUnigramHaveNoJson) {
  TokenizerData data = SmallUnigram();
  EXPECT_THAT(FormatTokenizerJson(data), IsOk());
  data.types[6] = TokenType::kUnused;
  EXPECT_THAT(FormatTokenizerJson(data), IsInvalid("token 6, 'é', is unused"));
}

}  // namespace
}  // namespace tandem
