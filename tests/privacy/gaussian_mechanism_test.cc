#include "privacy/gaussian_mechanism.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::testing::HasSubstr;

// 1, 2, 3, ...: shows which draw went where.
class CountingNoise : public NoiseSource {
 public:
  void FillNormal(std::span<double> out) override {
    for (double& draw : out) draw = ++last_;
  }

 private:
  double last_ = 0;
};

TEST(ReleaseNoisyMeanTest, AddsScaledNoiseAndDividesByTheFixedCount) {
  std::vector<double> sum = {10, -20, 30};
  CountingNoise noise;
  ReleaseNoisyMean(
      sum, {.clip_norm_l2 = 2, .noise_multiplier = 0.5, .expected_clients = 4},
      noise);
  EXPECT_EQ(sum, (std::vector<double>{(10 + 1) / 4.0, (-20 + 2) / 4.0,
                                      (30 + 3) / 4.0}));
}

TEST(ReleaseNoisyMeanTest, DrawsOncePerCoordinateHoweverMany) {
  std::vector<double> sum(10'001, 0);
  CountingNoise noise;
  ReleaseNoisyMean(sum, {}, noise);
  for (size_t i = 0; i < sum.size(); ++i) {
    ASSERT_EQ(sum[i], static_cast<double>(i + 1));
  }
}

TEST(ReleaseNoisyMeanTest, NoiseHasDeviationNoiseMultiplierTimesClip) {
  constexpr size_t kCount = 400'000;
  std::vector<double> sum(kCount, 0);
  const auto noise = NewSecureNoiseSource();
  ReleaseNoisyMean(
      sum, {.clip_norm_l2 = 3, .noise_multiplier = 1.5, .expected_clients = 10},
      *noise);
  double squares = 0;
  for (double value : sum) squares += value * value;
  const double variance = squares / kCount;
  const double expected = 0.45 * 0.45;
  // 6.5 standard errors: false alarms below 1e-10.
  EXPECT_NEAR(variance, expected, 6.5 * expected * std::sqrt(2.0 / kCount));
}

TEST(ClipFactorTest, BoundsTheNormAndLeavesShortUpdatesAlone) {
  EXPECT_EQ(ClipFactor(0, 1), 1);
  EXPECT_EQ(ClipFactor(0.5, 1), 1);
  EXPECT_EQ(ClipFactor(1, 1), 1);
  EXPECT_EQ(ClipFactor(4, 1), 0.25);
  EXPECT_DOUBLE_EQ(ClipFactor(1e150, 1e-150) * 1e150, 1e-150);
}

TEST(ClipFactorTest, DropsWhatHasNoNorm) {
  EXPECT_EQ(ClipFactor(std::numeric_limits<double>::infinity(), 1), 0);
  EXPECT_EQ(ClipFactor(std::nan(""), 1), 0);
}

TEST(ValidateGaussianOptionsTest, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(ValidateGaussianOptions({}), IsOk());
  for (double bad :
       {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(
        ValidateGaussianOptions({.clip_norm_l2 = bad}),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("clip_norm_l2")));
    EXPECT_THAT(
        ValidateGaussianOptions({.noise_multiplier = bad}),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("noise_multiplier")));
    EXPECT_THAT(
        ValidateGaussianOptions({.expected_clients = bad}),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("expected_clients")));
  }
}

}  // namespace
}  // namespace tandem
