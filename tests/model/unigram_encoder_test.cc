#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "common/random.h"
#include "model/byte_token.h"
#include "model/tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/unigram_data.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::tandem::testing::UnigramData;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Tokenizer UnigramTokenizer(TokenizerData data) {
  auto tokenizer = Tokenizer::Create(std::move(data));
  EXPECT_THAT(tokenizer, IsOk());
  return *std::move(tokenizer);
}

TEST(UnigramEncoderTest, TakesTheBestSumAndNotTheLongestToken) {
  const TokenizerData data =
      UnigramData({{"a", -1}, {"b", -1}, {"ab", -3}, {"abb", -2.5}});
  EXPECT_THAT(UnigramTokenizer(data).Encode("ab"), ElementsAre(1, 2));
  EXPECT_THAT(UnigramTokenizer(data).Encode("abb"), ElementsAre(4));
}

// The first way that was found to a place stays.
TEST(UnigramEncoderTest, OfEqualSumsTheLastTokenIsTheLongest) {
  EXPECT_THAT(
      UnigramTokenizer(UnigramData({{"a", -1}, {"aa", -1}})).Encode("aaa"),
      ElementsAre(1, 2));
}

TEST(UnigramEncoderTest, UnknownNeighboursAreOneToken) {
  TokenizerData data = UnigramData({{"a", -1}});
  EXPECT_THAT(UnigramTokenizer(data).Encode("aéßa😀"), ElementsAre(1, 0, 1, 0));
  data.fuse_unknown = false;
  EXPECT_THAT(UnigramTokenizer(data).Encode("aéßa"), ElementsAre(1, 0, 0, 1));
  data.unknown_id.reset();
  EXPECT_THAT(UnigramTokenizer(data).Encode("aéßa"), ElementsAre(1, 1));
}

// The worst is <unk> itself, with 0.
TEST(UnigramEncoderTest, AnUnknownCharacterCostsTenMoreThanTheWorstToken) {
  EXPECT_THAT(
      UnigramTokenizer(UnigramData({{"a", 10.5}, {"ab", 1}})).Encode("ab"),
      ElementsAre(2));
  EXPECT_THAT(
      UnigramTokenizer(UnigramData({{"a", 11.5}, {"ab", 1}})).Encode("ab"),
      ElementsAre(1, 0));
}

TEST(UnigramEncoderTest, BytesStandForUnknownCharacters) {
  TokenizerData data = UnigramData({{"a", -1}});
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(ByteTokenText(static_cast<unsigned char>(byte)));
    data.types.push_back(TokenType::kByte);
    data.scores.push_back(0);
  }
  data.byte_fallback = true;
  const Tokenizer tokenizer = UnigramTokenizer(data);
  EXPECT_THAT(tokenizer.Encode("aé"), ElementsAre(1, 2 + 0xC3, 2 + 0xA9));
  // The text of such a token is text.
  EXPECT_EQ(tokenizer.Encode("<0xC3>").size(), 6);
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode("<0xC3>")), "<0xC3>");
}

TEST(UnigramEncoderTest, NoTokenReachesAcrossASpaceWhereTextIsSplit) {
  TokenizerData data =
      UnigramData({{"▁", -1}, {"a", -1}, {"▁a", -1}, {"a▁a", -1}});
  EXPECT_THAT(UnigramTokenizer(data).Encode("a a"), ElementsAre(4));
  data.split_at_spaces = true;
  EXPECT_THAT(UnigramTokenizer(data).Encode("a a"), ElementsAre(2, 3));
  data.space_prefix = SpacePrefix::kEveryPartUnlessSpaceFirst;
  EXPECT_THAT(UnigramTokenizer(data).Encode("a a"), ElementsAre(3, 3));
  EXPECT_THAT(UnigramTokenizer(data).Encode(" a"), ElementsAre(3));
  EXPECT_THAT(UnigramTokenizer(data).Encode(""), IsEmpty());
}

TEST(UnigramEncoderTest, NeedsScores) {
  TokenizerData data = UnigramData({{"a", -1}});
  data.scores.clear();
  EXPECT_THAT(Tokenizer::Create(data), IsInvalid("no scores"));
}

// The best sum of all segmentations, tried one by one.
double BestSum(const TokenizerData& data, std::string_view text) {
  if (text.empty()) return 0;
  double best = -std::numeric_limits<double>::infinity();
  for (size_t id = 1; id < data.tokens.size(); ++id) {
    if (!text.starts_with(data.tokens[id])) continue;
    const std::string_view rest = text.substr(data.tokens[id].size());
    best = std::max(best, data.scores[id] + BestSum(data, rest));
  }
  return best;
}

double SumOf(const TokenizerData& data, const std::vector<int32_t>& ids) {
  double sum = 0;
  for (const int32_t id : ids) sum += data.scores[id];
  return sum;
}

TokenizerData RandomUnigram(SeededRandom& random) {
  std::vector<std::pair<std::string, double>> scored = {{"a", -5}, {"b", -5}};
  for (const char* token : {"aa", "ab", "ba", "aab", "bab", "abba", "bbbb"}) {
    scored.emplace_back(token, -static_cast<double>(random.Below(20)) - 0.5);
  }
  return UnigramData(scored);
}

TEST(UnigramEncoderTest, NoSegmentationIsBetter) {
  SeededRandom random(4);
  for (int round = 0; round < 200; ++round) {
    const TokenizerData data = RandomUnigram(random);
    const Tokenizer tokenizer = UnigramTokenizer(data);
    std::string text;
    for (int i = 0; i < 12; ++i) text += random.Below(2) == 0 ? 'a' : 'b';
    const std::vector<int32_t> ids = tokenizer.Encode(text);
    EXPECT_EQ(tokenizer.Decode(ids), text);
    EXPECT_DOUBLE_EQ(SumOf(data, ids), BestSum(data, text)) << text;
  }
}

}  // namespace
}  // namespace tandem
