#include "privacy/rdp_accountant.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;
using ::testing::HasSubstr;

double Epsilon(double noise, double rate, int64_t steps, double delta) {
  RdpAccountant accountant;
  EXPECT_THAT(accountant.Compose(noise, rate, steps), IsOk());
  const auto guarantee = accountant.Guarantee(delta);
  EXPECT_THAT(guarantee, IsOk());
  return guarantee->epsilon;
}

// The definition, by the trapezoid rule: the Renyi divergence of order a of
// (1-q) N(0, z^2) + q N(1, z^2) from N(0, z^2).
double RdpByQuadrature(double z, double q, double order) {
  const double low = -40 * z, high = 40 * z + order;
  const int points = 400000;
  const double step = (high - low) / points;
  double integral = 0;
  for (int i = 0; i <= points; ++i) {
    const double x = low + i * step;
    const double log_density =
        -x * x / (2 * z * z) - std::log(z * std::sqrt(2 * std::numbers::pi));
    const double ratio = (1 - q) + q * std::exp((2 * x - 1) / (2 * z * z));
    integral += std::exp(log_density + order * std::log(ratio)) * step;
  }
  return std::log(integral) / (order - 1);
}

TEST(SubsampledGaussianRdpTest, EqualsTheDefinition) {
  for (double z : {0.8, 1.0, 2.5, 7.0}) {
    for (double q : {0.01, 0.2, 0.7, 0.999}) {
      for (int64_t order : {2, 3, 5, 17}) {
        const double expected =
            RdpByQuadrature(z, q, static_cast<double>(order));
        EXPECT_NEAR(SubsampledGaussianRdp(z, q, order), expected,
                    1e-9 * expected + 1e-12)
            << "z " << z << " q " << q << " order " << order;
      }
    }
  }
}

// Values of Google's accountant and of Opacus for 50 steps, which agree at
// integer orders.
TEST(SubsampledGaussianRdpTest, EqualsPublishedValues) {
  EXPECT_NEAR(50 * SubsampledGaussianRdp(2.5, 0.01, 5), 2.18075656e-3, 1e-11);
  EXPECT_NEAR(50 * SubsampledGaussianRdp(2.5, 0.01, 50), 2.38460375e-2, 1e-10);
  EXPECT_NEAR(50 * SubsampledGaussianRdp(2.5, 0.01, 100), 167.416308, 1e-6);
}

TEST(SubsampledGaussianRdpTest, RateOneIsThePlainGaussianAndRateZeroIsFree) {
  EXPECT_DOUBLE_EQ(SubsampledGaussianRdp(2, 1, 10), 10 / 8.0);
  EXPECT_EQ(SubsampledGaussianRdp(0.1, 0, 10), 0);
}

TEST(SubsampledGaussianRdpTest, IsContinuousAtRateOne) {
  for (double z : {0.1, 1.0, 30.0}) {
    const double near = SubsampledGaussianRdp(z, 1 - 1e-15, 32);
    const double at = SubsampledGaussianRdp(z, 1, 32);
    EXPECT_NEAR(near / at, 1, 1e-11) << "z " << z;
  }
}

// Order 2 has the closed form log(1 + q^2 (exp(1/z^2) - 1)), which is down to
// 1e-20 here, far below what a sum that starts at 1 can see.
TEST(SubsampledGaussianRdpTest, KeepsRelativePrecisionWhereItIsTiny) {
  for (double z : {10.0, 1e3, 1e6}) {
    for (double q : {1e-4, 1e-2}) {
      const double expected = std::log1p(q * q * std::expm1(1 / (z * z)));
      EXPECT_NEAR(SubsampledGaussianRdp(z, q, 2) / expected, 1, 1e-12);
    }
  }
}

TEST(SubsampledGaussianRdpTest, StaysFiniteAtTinyNoise) {
  for (double z : {1e-4, 1e-9}) {
    const double rdp = SubsampledGaussianRdp(z, 0.5, 1024);
    EXPECT_TRUE(std::isfinite(rdp));
    // q -> 1 is an upper bound, and the last term alone a lower one.
    const double plain = 1024 / (2 * z * z);
    EXPECT_LE(rdp, plain);
    EXPECT_GT(rdp, 0.999 * plain);
  }
  const double below_range = SubsampledGaussianRdp(1e-200, 0.5, 2);
  EXPECT_EQ(below_range, std::numeric_limits<double>::infinity());
}

TEST(SubsampledGaussianRdpTest, GrowsWithRateAndOrderAndFallsWithNoise) {
  double last = 0;
  for (double q : {1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999999, 1.0}) {
    const double rdp = SubsampledGaussianRdp(1.1, q, 8);
    EXPECT_GT(rdp, last);
    last = rdp;
  }
  last = 0;
  for (int64_t order : DefaultOrders()) {
    const double rdp = SubsampledGaussianRdp(1.1, 0.01, order);
    EXPECT_GT(rdp, last);
    last = rdp;
  }
  EXPECT_GT(SubsampledGaussianRdp(1, 0.1, 4),
            SubsampledGaussianRdp(1.01, 0.1, 4));
}

struct Published {
  double noise;
  double rate;
  int64_t steps;
  double delta;
  double epsilon;
};

// From the tests of Opacus and of Google's differential-privacy, which also try
// fractional orders: integer ones alone can only give more, here up to 0.6%.
// tests/interop/test_accountant.py asks the library itself at equal orders.
TEST(RdpAccountantTest, EqualsPublishedRdpEpsilons) {
  for (const Published& golden : {
           Published{1.5, 0.04, 2250, 1e-5, 7.32911117143},
           Published{1, 0.1, 100, 1e-3, 5.640521},
           Published{2, 0.1, 100, 1e-4, 2.214348},
           Published{1, 0.01, 1000, 1e-5, 2.101365},
           Published{5, 1, 50, 1e-4, 6.30724},
           Published{4.530877117, 1, 1, 1e-6, 1},
       }) {
    const double epsilon =
        Epsilon(golden.noise, golden.rate, golden.steps, golden.delta);
    EXPECT_GE(epsilon, golden.epsilon - 1e-5) << golden.noise;
    EXPECT_LE(epsilon, 1.006 * golden.epsilon) << golden.noise;
  }
}

// The table of Opacus's PRV accountant, which is tight: RDP may only be above.
TEST(RdpAccountantTest, IsNeverBelowThePrivacyLossDistribution) {
  for (const Published& golden : {
           Published{.8, .001, 100, 1e-6, .270403},
           Published{.8, .001, 1000, 1e-6, .477771},
           Published{1.5, .05, 100, 1e-6, 1.953853},
           Published{2, .05, 1000, 1e-6, 4.172800},
           Published{3, .05, 1000, 1e-6, 2.527574},
           Published{1.5, .2, 100, 1e-6, 8.498978},
           Published{3, .2, 100, 1e-6, 3.381221},
           Published{1.5, .05, 20000, 1e-6, 38.306618},
           Published{2, .001, 50000, 1e-6, .491355},
           Published{1.5, .04, 2250, 1e-5, 6.777395712},
           Published{1, 1, 1, 1e-5, 4.37717810},
           Published{5, 1, 50, 1e-4, 5.77271801},
       }) {
    EXPECT_GT(Epsilon(golden.noise, golden.rate, golden.steps, golden.delta),
              golden.epsilon);
  }
}

// Delta of the Gaussian mechanism at epsilon, exactly (Balle and Wang, 2018).
double ExactGaussianDelta(double epsilon, double mu) {
  const auto phi = [](double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; };
  return phi(mu / 2 - epsilon / mu) -
         std::exp(epsilon) * phi(-mu / 2 - epsilon / mu);
}

TEST(RdpAccountantTest, IsNeverBelowTheExactEpsilonOfTheGaussian) {
  for (double z : {0.5, 1.0, 5.0, 50.0}) {
    for (int64_t steps : {1, 3, 50}) {
      for (double delta : {1e-10, 1e-5, 1e-2}) {
        const double mu = std::sqrt(static_cast<double>(steps)) / z;
        const double epsilon = Epsilon(z, 1, steps, delta);
        if (epsilon > 500) continue;  // exp overflows in the exact formula
        EXPECT_LE(ExactGaussianDelta(epsilon, mu), delta)
            << "z " << z << " steps " << steps << " delta " << delta;
      }
    }
  }
}

TEST(RdpAccountantTest, CompositionAddsUp) {
  RdpAccountant at_once, one_by_one;
  ASSERT_THAT(at_once.Compose(1.3, 0.2, 40), IsOk());
  for (int i = 0; i < 40; ++i) {
    ASSERT_THAT(one_by_one.Compose(1.3, 0.2), IsOk());
  }
  EXPECT_NEAR(at_once.Guarantee(1e-6)->epsilon,
              one_by_one.Guarantee(1e-6)->epsilon, 1e-11);
}

TEST(RdpAccountantTest, NothingReleasedCostsNothing) {
  RdpAccountant accountant;
  EXPECT_EQ(accountant.Guarantee(1e-9)->epsilon, 0);
  ASSERT_THAT(accountant.Compose(1e-200, 1, 0), IsOk());
  EXPECT_EQ(accountant.Guarantee(1e-9)->epsilon, 0);
}

// Total variation below delta is (0, delta)-DP: two Gaussians 1/z apart are
// within erf(1 / (2 sqrt(2) z)) of each other.
TEST(RdpAccountantTest, EpsilonIsZeroOnlyWhereDeltaCoversTheDistance) {
  for (double z : {5.0, 20.0, 50.0, 100.0, 1000.0}) {
    for (double delta : {1e-3, 1e-2, 0.1, 0.4}) {
      if (Epsilon(z, 1, 1, delta) > 0) continue;
      EXPECT_LE(std::erf(1 / (2 * std::sqrt(2.0) * z)), delta);
    }
  }
  EXPECT_EQ(Epsilon(1000, 1, 1, 0.4), 0);
}

TEST(RdpAccountantTest, ReportsTheOrderThatGaveEpsilon) {
  RdpAccountant accountant;
  ASSERT_THAT(accountant.Compose(1.5, 0.04, 2250), IsOk());
  const auto best = accountant.Guarantee(1e-5);
  ASSERT_THAT(best, IsOk());
  EXPECT_EQ(best->delta, 1e-5);
  RdpAccountant only_that({best->order});
  ASSERT_THAT(only_that.Compose(1.5, 0.04, 2250), IsOk());
  EXPECT_EQ(only_that.Guarantee(1e-5)->epsilon, best->epsilon);
}

TEST(RdpAccountantTest, RefusesWhatIsOutOfRange) {
  RdpAccountant accountant;
  const double nan = std::nan("");
  for (double noise : {0.0, -1.0, nan, std::numeric_limits<double>::infinity()})
    EXPECT_THAT(
        accountant.Compose(noise, 0.5),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("noise_multiplier")));
  for (double rate : {-0.1, 1.1, nan})
    EXPECT_THAT(
        accountant.Compose(1, rate),
        StatusIs(StatusCode::kInvalidArgument, HasSubstr("sampling_rate")));
  EXPECT_THAT(accountant.Compose(1, 0.5, -1),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("count")));
  for (double delta : {0.0, 1.0, -1e-5, nan})
    EXPECT_THAT(accountant.Guarantee(delta),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr("delta")));
  EXPECT_EQ(accountant.Guarantee(1e-5)->epsilon, 0);  // nothing was composed
}

TEST(DefaultOrdersTest, AreWhatTheHeaderSays) {
  const auto& orders = DefaultOrders();
  ASSERT_EQ(orders.size(), 62u + 5u);
  EXPECT_EQ(orders.front(), 2);
  EXPECT_EQ(orders[61], 63);
  EXPECT_EQ(orders[62], 64);
  EXPECT_EQ(orders.back(), 1024);
}

}  // namespace
}  // namespace tandem
