#include "model/generator.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <map>

#include "common/random.h"
#include "model/evaluation.h"
#include "tests/testing/plain_decoder.h"
#include "tests/testing/tiny_checkpoint.h"

namespace tandem {
namespace {

using ::testing::ElementsAreArray;

const std::vector<int32_t> kPrompt = {5, 17, 200, 42};

struct Tiny {
  Checkpoint checkpoint = testing::TinyCheckpoint();
  Decoder model = Decoder::Create(checkpoint, at::kFloat).value();
};

// The plain decoder over the whole text, once per token.
std::vector<int32_t> PlainGreedy(const Checkpoint& checkpoint,
                                 std::vector<int32_t> ids, int count) {
  const size_t prompt = ids.size();
  for (int i = 0; i < count; ++i) {
    const at::Tensor tokens = at::tensor(ids).to(at::kLong);
    const at::Tensor logits =
        testing::PlainDecoder(checkpoint, nullptr).Logits(tokens);
    ids.push_back(logits[-1].argmax().item<int32_t>());
  }
  return {ids.begin() + prompt, ids.end()};
}

TEST(Generate, GreedyIsTheArgmaxOfTheWholeText) {
  const Tiny tiny;
  std::vector<int32_t> seen;
  const auto ids = Generate(tiny.model, nullptr, kPrompt, 12, {}, {},
                            [&](int32_t id) { seen.push_back(id); });
  EXPECT_THAT(ids, ElementsAreArray(PlainGreedy(tiny.checkpoint, kPrompt, 12)));
  EXPECT_EQ(seen, ids);
}

TEST(Generate, EndsBeforeTheStopToken) {
  const Tiny tiny;
  const auto all = Generate(tiny.model, nullptr, kPrompt, 12, {}, {});
  const int32_t stop = all[5];
  const size_t first = std::find(all.begin(), all.end(), stop) - all.begin();
  const auto ids = Generate(tiny.model, nullptr, kPrompt, 12, {},
                            [&](int32_t id) { return id == stop; });
  EXPECT_THAT(ids, ElementsAreArray(all.begin(), all.begin() + first));
}

TEST(Generate, EndsWhereTheContextIsFull) {
  Tiny tiny;
  tiny.checkpoint.config.context_length = 6;
  const Decoder model = Decoder::Create(tiny.checkpoint, at::kFloat).value();
  // Tokens 5 and 6 are read back in; the one after 6 is still predicted.
  EXPECT_EQ(Generate(model, nullptr, kPrompt, 12, {}, {}).size(), 3);
  const std::vector<int32_t> longer(7, 1);
  EXPECT_THROW(Generate(model, nullptr, longer, 1, {}, {}),
               std::invalid_argument);
  EXPECT_THROW(Generate(model, nullptr, {}, 1, {}, {}), std::invalid_argument);
}

TEST(Generate, SamplingRepeatsForASeed) {
  const Tiny tiny;
  const SamplingOptions one{1.0, 0.9, 1}, two{1.0, 0.9, 2};
  const auto a = Generate(tiny.model, nullptr, kPrompt, 20, one, {});
  EXPECT_EQ(a, Generate(tiny.model, nullptr, kPrompt, 20, one, {}));
  EXPECT_NE(a, Generate(tiny.model, nullptr, kPrompt, 20, two, {}));
}

// Relative frequencies of 20,000 draws from softmax(log p / T).
std::map<int32_t, double> Frequencies(const std::vector<double>& p,
                                      const SamplingOptions& options) {
  SeededRandom random(11);
  const at::Tensor logits = at::tensor(p, at::kDouble).log().to(at::kFloat);
  std::map<int32_t, double> counts;
  for (int i = 0; i < 20000; ++i)
    counts[SampleToken(logits, options, random)] += 1.0 / 20000;
  return counts;
}

// Four standard deviations of a frequency over 20,000 draws, at most.
constexpr double kTolerance = 0.015;

TEST(SampleToken, FollowsTheDistribution) {
  const auto f = Frequencies({0.1, 0.5, 0.15, 0.25}, {1, 1, 0});
  EXPECT_NEAR(f.at(0), 0.1, kTolerance);
  EXPECT_NEAR(f.at(1), 0.5, kTolerance);
  EXPECT_NEAR(f.at(2), 0.15, kTolerance);
  EXPECT_NEAR(f.at(3), 0.25, kTolerance);
}

TEST(SampleToken, TopPKeepsTheSmallestSetThatReachesIt) {
  const auto f = Frequencies({0.1, 0.5, 0.15, 0.25}, {1, 0.7, 0});
  EXPECT_EQ(f.size(), 2);
  EXPECT_NEAR(f.at(1), 0.5 / 0.75, kTolerance);
  EXPECT_NEAR(f.at(3), 0.25 / 0.75, kTolerance);
  EXPECT_EQ(Frequencies({0.1, 0.5, 0.4}, {1, 0, 0}).size(), 1);
}

TEST(SampleToken, TemperatureSharpens) {
  const auto f = Frequencies({0.2, 0.8}, {0.5, 1, 0});
  EXPECT_NEAR(f.at(1), 0.64 / 0.68, kTolerance);
  SeededRandom random(1);
  EXPECT_EQ(SampleToken(at::tensor({0.1f, 3.0f, 2.0f}), {}, random), 1);
}

TEST(Evaluate, SumsTheTargetsLossesInBothUnits) {
  const Tiny tiny;
  std::vector<TokenizedExample> examples;
  SeededRandom random(2);
  double expected = 0;
  for (int e = 0; e < 7; ++e) {  // more than one batch of 1024 tokens
    TokenizedExample example;
    for (int i = 0; i < 300; ++i)
      example.tokens.push_back(static_cast<int32_t>(random.Below(261)));
    example.is_target.assign(300, 0);
    example.is_target[10 + e] = example.is_target[299] = 1;
    example.target_bytes = 5;
    const at::Tensor tokens = at::tensor(example.tokens).to(at::kLong);
    const at::Tensor log_p = testing::PlainDecoder(tiny.checkpoint, nullptr)
                                 .Logits(tokens)
                                 .log_softmax(-1);
    for (const int i : {10 + e, 299})
      expected -= log_p[i - 1][example.tokens[i]].item<double>();
    examples.push_back(example);
  }
  std::vector<int64_t> progress;
  const EvaluationResult result =
      Evaluate(tiny.model, nullptr, examples, [&](int64_t done, int64_t total) {
        EXPECT_EQ(total, 7);
        progress.push_back(done);
      });
  EXPECT_NEAR(result.loss_nats, expected, 1e-3);
  EXPECT_EQ(result.target_tokens, 14);
  EXPECT_EQ(result.target_bytes, 35);
  EXPECT_EQ(result.examples, 7);
  EXPECT_THAT(progress, ::testing::ElementsAre(3, 6, 7));
  EXPECT_NEAR(result.Perplexity(), std::exp(expected / 14), 1e-2);
  EXPECT_NEAR(result.BitsPerByte(), expected / 35 / std::log(2), 1e-4);
}

}  // namespace
}  // namespace tandem
