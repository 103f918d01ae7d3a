#include "model/merge_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/random.h"
#include "model/tokenizer.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsInvalid;
using ::tandem::testing::IsOk;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TokenizerData ScoredTokens(
    const std::vector<std::pair<std::string, double>>& scored) {
  TokenizerData data;
  data.model = TokenizerModel::kSentencePieceBpe;
  for (const auto& [token, score] : scored) {
    data.tokens.push_back(token);
    data.scores.push_back(score);
  }
  data.types.assign(data.tokens.size(), TokenType::kNormal);
  return data;
}

std::vector<std::string> Merges(const TokenizerData& data) {
  const auto merges = MergesOf(data);
  EXPECT_THAT(merges, IsOk());
  return *merges;
}

TEST(MergeScoresTest, TheBestScoreMergesFirst) {
  EXPECT_THAT(
      Merges(ScoredTokens({{"a", 0}, {"b", 0}, {"ab", -2}, {"ba", -1}})),
      ElementsAre("b a", "a b"));
}

// "abc" may be made in two ways: the longer left token first.
TEST(MergeScoresTest, AllWaysToMakeATokenAreMerges) {
  EXPECT_THAT(Merges(ScoredTokens({{"a", 0},
                                   {"b", 0},
                                   {"c", 0},
                                   {"ab", -1},
                                   {"bc", -2},
                                   {"abc", -3},
                                   {"xyz", -4}})),
              ElementsAre("a b", "b c", "ab c", "a bc"));
}

TEST(MergeScoresTest, EqualScoresGoByLengthsThenIds) {
  EXPECT_THAT(Merges(ScoredTokens({{"a", 0},
                                   {"b", 0},
                                   {"aab", -1},
                                   {"ba", -1},
                                   {"ab", -1},
                                   {"aa", -1},
                                   {"▁é", -1},
                                   {"▁", 0},
                                   {"é", 0}})),
              ElementsAre("aa b", "a ab", "b a", "a b", "a a", "▁ é"));
}

TEST(MergeScoresTest, OnlyTextTokensMerge) {
  TokenizerData data =
      ScoredTokens({{"a", 0}, {"b", 0}, {"ab", -1}, {"ba", -2}});
  data.types[2] = TokenType::kUserDefined;
  EXPECT_THAT(Merges(data), ElementsAre("b a"));
  data.types[1] = TokenType::kControl;
  EXPECT_THAT(Merges(data), IsEmpty());
}

TEST(MergeScoresTest, MergesThatAreThereStay) {
  TokenizerData data =
      ScoredTokens({{"a", 0}, {"b", 0}, {"ab", -2}, {"ba", -1}});
  data.merges = {"a b"};
  EXPECT_THAT(Merges(data), ElementsAre("a b"));
}

TEST(MergeScoresTest, DuplicateTokensAreRefused) {
  EXPECT_THAT(MergesOf(ScoredTokens({{"a", 0}, {"a", 0}})),
              IsInvalid("both 'a'"));
}

TEST(MergeScoresTest, AScoreIsTheRankOfTheFirstMerge) {
  TokenizerData data;
  data.tokens = {"a", "b", "c", "ab", "bc", "abc"};
  data.merges = {"b c", "a b", "ab c", "a bc"};
  EXPECT_THAT(ScoresOf(data), ElementsAre(0, 0, 0, -1, 0, -2));
  data.scores = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(ScoresOf(data), data.scores);
}

// Characters "a" to "d" and tokens that two others make, each with its score.
TokenizerData RandomMerges(SeededRandom& random) {
  std::vector<std::pair<std::string, double>> scored = {
      {"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}};
  std::set<std::string> known = {"a", "b", "c", "d"};
  while (scored.size() < 40) {
    const std::string token = scored[random.Below(scored.size())].first +
                              scored[random.Below(scored.size())].first;
    if (token.size() > 8 || !known.insert(token).second) continue;
    scored.emplace_back(token, -static_cast<double>(scored.size()));
  }
  return ScoredTokens(scored);
}

std::string RandomText(SeededRandom& random) {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += static_cast<char>('a' + random.Below(4));
  }
  return text;
}

TEST(MergeScoresTest, BothFormsGiveTheSameIds) {
  SeededRandom random(3);
  for (int round = 0; round < 50; ++round) {
    TokenizerData by_score = RandomMerges(random);
    TokenizerData by_merge = by_score;
    by_merge.merges = Merges(by_score);
    by_merge.scores.clear();
    TokenizerData back = by_merge;
    back.scores = ScoresOf(by_merge);
    back.merges.clear();
    TANDEM_ASSERT_OK_AND_ASSIGN(const Tokenizer a, Tokenizer::Create(by_score));
    TANDEM_ASSERT_OK_AND_ASSIGN(const Tokenizer b, Tokenizer::Create(by_merge));
    TANDEM_ASSERT_OK_AND_ASSIGN(const Tokenizer c, Tokenizer::Create(back));
    for (int i = 0; i < 20; ++i) {
      const std::string text = RandomText(random);
      EXPECT_EQ(a.Encode(text), b.Encode(text)) << text;
      EXPECT_EQ(a.Encode(text), c.Encode(text)) << text;
    }
  }
}

}  // namespace
}  // namespace tandem
