#include "model/rotary_frequencies.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numbers>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

constexpr double kTheta = 500000;
const RopeScaling kLlama31 = {.type = RopeScaling::Type::kLlama3, .factor = 8};

TEST(RotaryFrequencies, AreThePowersOfThetaUnlessScaled) {
  const std::vector<float> f = RotaryFrequencies(6, 1000, {});
  ASSERT_EQ(f.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(f[i], std::pow(1000, -2.0 * i / 6), 1e-7);
  }
}

TEST(RotaryFrequencies, LinearScalingDividesAll) {
  const RopeScaling linear = {.type = RopeScaling::Type::kLinear, .factor = 4};
  const auto f = RotaryFrequencies(8, 1000, {}),
             scaled = RotaryFrequencies(8, 1000, linear);
  for (int i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(scaled[i], f[i] / 4);
}

// Llama 3.1's definition, by wavelengths in tokens.
TEST(RotaryFrequencies, Llama3ScalingSlowsLongWavesDown) {
  const auto f = RotaryFrequencies(128, kTheta, {}),
             scaled = RotaryFrequencies(128, kTheta, kLlama31);
  int between = 0;
  for (int i = 0; i < 64; ++i) {
    const double wave = 2 * std::numbers::pi / f[i];
    double expected = f[i];
    if (wave > 8192) {
      expected = f[i] / 8;
    } else if (wave >= 8192 / 4.0) {
      const double smooth = (8192 / wave - 1) / 3;
      expected = (1 - smooth) * f[i] / 8 + smooth * f[i];
      ++between;
    }
    EXPECT_NEAR(scaled[i], expected, 1e-6 * expected) << i;
  }
  EXPECT_EQ(between, 6);
}

void ExpectRecovered(int64_t head_size, double theta, const RopeScaling& s) {
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const RopeScaling found,
      Llama3Scaling(RotaryDivisors(head_size, theta, s), head_size, theta));
  EXPECT_EQ(found.type, RopeScaling::Type::kLlama3);
  EXPECT_EQ(found.factor, s.factor);
  EXPECT_EQ(found.low_frequency_factor, 1);
  EXPECT_EQ(found.high_frequency_factor,
            s.high_frequency_factor / s.low_frequency_factor);
  EXPECT_EQ(found.original_context_length,
            s.original_context_length / s.low_frequency_factor);
}

TEST(Llama3Scaling, IsRecoveredFromItsDivisors) {
  ExpectRecovered(128, kTheta, kLlama31);
  RopeScaling llama32 = kLlama31;
  llama32.factor = 32;
  ExpectRecovered(64, kTheta, llama32);
  ExpectRecovered(16, 10000,
                  {.type = RopeScaling::Type::kLlama3,
                   .factor = 8,
                   .original_context_length = 64});
  // Twice all three is the same scaling.
  ExpectRecovered(128, kTheta,
                  {.type = RopeScaling::Type::kLlama3,
                   .factor = 8,
                   .low_frequency_factor = 2,
                   .high_frequency_factor = 12,
                   .original_context_length = 16384});
}

TEST(Llama3Scaling, RefusesOtherDivisors) {
  const auto error = [](std::vector<float> divisors) {
    return Llama3Scaling(divisors, 128, kTheta).status();
  };
  std::vector<float> divisors = RotaryDivisors(128, kTheta, kLlama31);
  divisors[40] *= 1.01f;
  const auto invalid = StatusCode::kInvalidArgument;
  EXPECT_THAT(error(divisors), StatusIs(invalid, HasSubstr("rope divisor")));
  EXPECT_THAT(error({1, 2}), StatusIs(invalid, HasSubstr("expected 64")));
  EXPECT_THAT(error(std::vector<float>(64, 1)),
              StatusIs(invalid, HasSubstr("bands")));
  for (const float value : {NAN, INFINITY, -1.0f, 0.0f}) {
    divisors[40] = value;
    EXPECT_THAT(error(divisors), StatusIs(invalid)) << value;
  }
}

}  // namespace
}  // namespace tandem
