#include "model/sampler.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

namespace tandem {
namespace {

using ::testing::ElementsAre;

std::vector<float> LogitsOf(const std::vector<double>& p) {
  std::vector<float> logits;
  for (const double value : p)
    logits.push_back(static_cast<float>(std::log(value)));
  return logits;
}

// The ids that are kept, in their order.
std::vector<int32_t> Kept(const std::vector<double>& p,
                          const SamplingOptions& options,
                          const std::vector<int32_t>& seen = {}) {
  std::vector<int32_t> ids;
  double sum = 0;
  for (const auto& [id, probability] :
       TokenDistribution(LogitsOf(p), seen, options)) {
    ids.push_back(id);
    sum += probability;
  }
  EXPECT_NEAR(sum, 1, 1e-12);
  std::sort(ids.begin(), ids.end());
  return ids;
}

const std::vector<double> kFour = {0.1, 0.5, 0.15, 0.25};

TEST(TokenDistribution, GreedyIsTheFirstOfTheLargest) {
  EXPECT_THAT(Kept(kFour, {}), ElementsAre(1));
  EXPECT_THAT(Kept({0.2, 0.4, 0.4}, {}), ElementsAre(1));
}

TEST(TokenDistribution, TopKKeepsEquals) {
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .top_k = 2}), ElementsAre(1, 3));
  EXPECT_THAT(Kept({0.2, 0.4, 0.2, 0.2}, {.temperature = 1, .top_k = 2}),
              ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .top_k = 9}),
              ElementsAre(0, 1, 2, 3));
}

TEST(TokenDistribution, TopPKeepsTheSmallestSetThatReachesIt) {
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .top_p = 0.7}), ElementsAre(1, 3));
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .top_p = 0.8}),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .top_p = 1e-6}), ElementsAre(1));
  // Of what top-k left: 0.5 / 0.75 < 0.7.
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .top_k = 2, .top_p = 0.66}),
              ElementsAre(1));
}

TEST(TokenDistribution, MinPIsAShareOfTheLargest) {
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .min_p = 0.29}),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(Kept(kFour, {.temperature = 1, .min_p = 1}), ElementsAre(1));
}

TEST(TokenDistribution, PenaltyMovesSeenTokensDownOnce) {
  const std::vector<float> logits = {2, -1, 1.5};
  const SamplingOptions options{.temperature = 1, .repetition_penalty = 2};
  const std::vector<int32_t> seen = {1, 0, 0, 1};
  std::map<int32_t, double> p;
  for (const auto& [id, probability] : TokenDistribution(logits, seen, options))
    p[id] = probability;
  const double sum = std::exp(1) + std::exp(-2) + std::exp(1.5);
  EXPECT_NEAR(p[0], std::exp(1) / sum, 1e-12);
  EXPECT_NEAR(p[1], std::exp(-2) / sum, 1e-12);
  EXPECT_NEAR(p[2], std::exp(1.5) / sum, 1e-12);
  EXPECT_EQ(TokenDistribution(logits, seen, {.repetition_penalty = 2})[0].id,
            2);
}

// Relative frequencies of 20,000 draws from softmax(log p / T).
std::map<int32_t, double> Frequencies(const std::vector<double>& p,
                                      const SamplingOptions& options) {
  SeededRandom random(11);
  const std::vector<float> logits = LogitsOf(p);
  std::map<int32_t, double> counts;
  for (int i = 0; i < 20000; ++i)
    counts[SampleToken(logits, {}, options, random)] += 1.0 / 20000;
  return counts;
}

// Four standard deviations of a frequency over 20,000 draws, at most.
constexpr double kTolerance = 0.015;

TEST(SampleToken, FollowsTheDistribution) {
  const auto f = Frequencies(kFour, {.temperature = 1});
  for (size_t i = 0; i < kFour.size(); ++i)
    EXPECT_NEAR(f.at(static_cast<int32_t>(i)), kFour[i], kTolerance);
}

TEST(SampleToken, DrawsFromWhatIsKept) {
  const auto f = Frequencies(kFour, {.temperature = 1, .top_p = 0.7});
  EXPECT_EQ(f.size(), 2);
  EXPECT_NEAR(f.at(1), 0.5 / 0.75, kTolerance);
  EXPECT_NEAR(f.at(3), 0.25 / 0.75, kTolerance);
}

TEST(SampleToken, TemperatureSharpens) {
  const auto f = Frequencies({0.2, 0.8}, {.temperature = 0.5});
  EXPECT_NEAR(f.at(1), 0.64 / 0.68, kTolerance);
}

}  // namespace
}  // namespace tandem
