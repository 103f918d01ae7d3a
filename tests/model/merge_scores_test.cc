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

// Tokens of text and their merges.
TokenizerData MergedTokens(std::vector<std::string> tokens,
                           std::vector<std::string> merges) {
  TokenizerData data;
  data.model = TokenizerModel::kSentencePieceBpe;
  data.tokens = std::move(tokens);
  data.types.assign(data.tokens.size(), TokenType::kNormal);
  data.merges = std::move(merges);
  return data;
}

// "bc" is made first, so that "ab c" never is.
TEST(MergeScoresTest, AScoreIsTheRankOfTheMergeThatMakesTheToken) {
  TokenizerData data = MergedTokens({"a", "b", "c", "ab", "bc", "abc"},
                                    {"b c", "a b", "ab c", "a bc"});
  TANDEM_ASSERT_OK_AND_ASSIGN(const std::vector<double> scores, ScoresOf(data));
  EXPECT_THAT(scores, ElementsAre(0, 0, 0, -1, 0, -3));
  data.scores = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(ScoresOf(data).value(), data.scores);
}

TEST(MergeScoresTest, APairThatNeverMeetsNeedsNoMerge) {
  EXPECT_THAT(ScoresOf(MergedTokens({"a", "b", "c", "ab", "bc", "abc"},
                                    {"b c", "a b", "a bc"})),
              IsOk());
  EXPECT_THAT(ScoresOf(MergedTokens({"a", "b", "c", "ab", "bc", "abc"},
                                    {"b c", "a b", "ab c"})),
              IsInvalid("none makes token 5, 'abc', of 'a' and 'bc'"));
}

// By scores they merge, as their join is a token; by merges they cannot.
TEST(MergeScoresTest, CharactersWithoutTokenMakeNone) {
  EXPECT_THAT(ScoresOf(MergedTokens({"a", "aé"}, {})),
              IsInvalid("token 1, 'aé', of 'a' and 'é'"));
}

TEST(MergeScoresTest, MergesMakeText) {
  TokenizerData data = MergedTokens({"a", "b", "ab"}, {"a b"});
  data.types[2] = TokenType::kControl;
  EXPECT_THAT(ScoresOf(data), IsInvalid("token 2, 'ab', which is no text"));
  data.types[2] = TokenType::kUserDefined;  // found before
  EXPECT_THAT(ScoresOf(data), IsOk());
  data.merges.clear();
  EXPECT_THAT(ScoresOf(data), IsOk());
  data.tokens = {"▁", "b", "▁b"};  // not found: text has a space
  EXPECT_THAT(ScoresOf(data), IsInvalid("none makes token 2"));
}

TEST(MergeScoresTest, MergesOfUnknownTokensAreRefused) {
  EXPECT_THAT(ScoresOf(MergedTokens({"a"}, {"a b"})), IsInvalid("is no token"));
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
    TANDEM_ASSERT_OK_AND_ASSIGN(back.scores, ScoresOf(by_merge));
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

// A few tokens whose merges come in any order, often one too few.
TokenizerData ShuffledMerges(SeededRandom& random) {
  TokenizerData data = RandomMerges(random);
  data.tokens.resize(10);
  data.types.resize(10);
  data.scores.resize(10);
  const std::vector<std::string> merges = Merges(data);
  data.scores.clear();
  const size_t count = merges.size() - random.Below(2);
  for (const int64_t i :
       random.Permutation(static_cast<int64_t>(merges.size()))) {
    if (data.merges.size() < count) data.merges.push_back(merges[i]);
  }
  return data;
}

TEST(MergeScoresTest, ScoresAreFaithfulOrRefused) {
  SeededRandom random(4);
  int faithful = 0;
  for (int round = 0; round < 1000; ++round) {
    const TokenizerData by_merge = ShuffledMerges(random);
    TokenizerData by_score = by_merge;
    by_score.merges.clear();
    const auto scores = ScoresOf(by_merge);
    if (!scores.ok()) continue;
    ++faithful;
    by_score.scores = *scores;
    TANDEM_ASSERT_OK_AND_ASSIGN(const Tokenizer a, Tokenizer::Create(by_merge));
    TANDEM_ASSERT_OK_AND_ASSIGN(const Tokenizer b, Tokenizer::Create(by_score));
    for (int i = 0; i < 10; ++i) {
      const std::string text = RandomText(random);
      ASSERT_EQ(a.Encode(text), b.Encode(text)) << text;
    }
  }
  EXPECT_GT(faithful, 100);
  EXPECT_LT(faithful, 900);
}

}  // namespace
}  // namespace tandem
