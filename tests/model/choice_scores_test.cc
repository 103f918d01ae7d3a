#include "model/choice_scores.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "common/random.h"
#include "model/aten.h"
#include "model/token_trie.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using testing::TinyCheckpoint;

TEST(TokenTrie, KeepsSharedBeginningsOnce) {
  TokenTrie trie;
  EXPECT_THAT(trie.Insert({5, 6, 7}), ElementsAre(0, 1, 2));
  EXPECT_THAT(trie.Insert({5, 6, 8, 7}), ElementsAre(0, 1, 3, 4));
  EXPECT_THAT(trie.Insert({7}), ElementsAre(5));
  EXPECT_THAT(trie.tokens(), ElementsAre(5, 6, 7, 8, 7, 7));
  EXPECT_THAT(trie.parents(), ElementsAre(-1, 0, 1, 1, 3, -1));
  EXPECT_THAT(trie.positions(), ElementsAre(0, 1, 2, 2, 3, 0));
  EXPECT_EQ(trie.SharedWith({5, 6, 9}), 2);
  EXPECT_EQ(trie.SharedWith({9}), 0);
}

class ChoiceScoresTest : public ::testing::Test {
 protected:
  // log p of the continuation by itself, in one plain forward pass.
  double AloneNats(const Choice& choice, int64_t max_tokens) const {
    const TokenizedChoice t =
        TokenizeChoice(tokenizer_, choice, max_tokens).value();
    const int64_t n = std::ssize(t.tokens);
    const at::Tensor tokens = at::tensor(t.tokens, at::kLong);
    const at::Tensor log_probabilities = at::log_softmax(
        model_.Logits(model_.Forward(tokens, {0, n}, nullptr)), -1);
    double nats = 0;
    for (int64_t i = t.first_target; i < n; ++i)
      nats += log_probabilities[i - 1][t.tokens[i]].item<double>();
    return nats;
  }

  const Checkpoint checkpoint_ = TinyCheckpoint();
  const Decoder model_ = Decoder::Create(checkpoint_, at::kFloat).value();
  const Tokenizer tokenizer_ = Tokenizer::Create(checkpoint_.tokenizer).value();
};

// Items with a question of their own, with examples in common, with contexts
// that differ between choices, and too many for one pass.
std::vector<ChoiceItem> Items() {
  std::vector<ChoiceItem> items;
  const std::string examples(90, 'x');
  for (int i = 0; i < 24; ++i) {
    const std::string n = std::to_string(i);
    items.push_back(
        {i, {{"Is it " + n, " yes"}, {"Is it " + n, " no"}}, i % 2});
    items.push_back(
        {100 + i, {{examples + n, " yes"}, {examples + n, " the other"}}, 0});
    items.push_back({200 + i, {{"the " + n, " is"}, {"any " + n, " is"}}, 1});
  }
  return items;
}

TEST_F(ChoiceScoresTest, AreThoseOfEachChoiceAlone) {
  const std::vector<ChoiceItem> items = Items();
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto scores,
                              ScoreChoices(model_, nullptr, tokenizer_, items));
  ASSERT_EQ(scores.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i)
    for (size_t c = 0; c < items[i].choices.size(); ++c)
      EXPECT_NEAR(scores[i].log_likelihoods[c],
                  AloneNats(items[i].choices[c], 512), 1e-4)
          << items[i].id << " " << c;
}

TEST_F(ChoiceScoresTest, CutsContextsToTheModels) {
  const std::vector<ChoiceItem> items = {
      {0, {{std::string(600, 'a'), " b"}, {std::string(600, 'a'), " c"}}, 0}};
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto scores,
                              ScoreChoices(model_, nullptr, tokenizer_, items));
  EXPECT_NEAR(scores[0].log_likelihoods[1], AloneNats(items[0].choices[1], 512),
              1e-4);
}

TEST_F(ChoiceScoresTest, NormaliseByCharactersAndBytes) {
  // Characters: 1, 2 and 4; bytes: 1, 4 and 4.
  const std::vector<ChoiceItem> items = {
      {0, {{"Q", " a"}, {"Q", " éé"}, {"Q", " abcd"}}, 1}};
  TANDEM_ASSERT_OK_AND_ASSIGN(const auto scores,
                              ScoreChoices(model_, nullptr, tokenizer_, items));
  const std::vector<double>& nats = scores[0].log_likelihoods;
  const auto best = [&](std::vector<double> lengths) {
    size_t best = 0;
    for (size_t i = 1; i < 3; ++i)
      if (nats[i] / lengths[i] > nats[best] / lengths[best]) best = i;
    return static_cast<int64_t>(best);
  };
  EXPECT_EQ(scores[0].likeliest, best({1, 1, 1}));
  EXPECT_EQ(scores[0].likeliest_per_character, best({1, 2, 4}));
  EXPECT_EQ(scores[0].likeliest_per_byte, best({1, 4, 4}));
  EXPECT_NEAR(scores[0].bits_per_byte, -nats[1] / std::numbers::ln2 / 5, 1e-9);
}

TEST(ChoiceMetrics, AreMeansWithStandardErrors) {
  std::vector<ChoiceItem> items(4);
  std::vector<ChoiceScores> scores(4);
  for (int i = 0; i < 4; ++i) {
    items[i].gold = 1;
    scores[i].likeliest = i == 0 ? 0 : 1;
    scores[i].likeliest_per_byte = 1;
    scores[i].bits_per_byte = i;
  }
  const ChoiceMetrics metrics = MetricsOf(items, scores);
  EXPECT_DOUBLE_EQ(metrics.accuracy.mean, 0.75);
  EXPECT_NEAR(metrics.accuracy.standard_error, std::sqrt(0.75 * 0.25 / 3),
              1e-12);
  EXPECT_DOUBLE_EQ(metrics.accuracy_per_byte.mean, 1);
  EXPECT_DOUBLE_EQ(metrics.accuracy_per_byte.standard_error, 0);
  EXPECT_DOUBLE_EQ(metrics.bits_per_byte.mean, 1.5);
  EXPECT_NEAR(metrics.bits_per_byte.standard_error, std::sqrt(5.0 / 3 / 4),
              1e-12);
}

}  // namespace
}  // namespace tandem
