// What these tests can show is that the noise has the distribution that the
// proof assumes. That nobody can predict it, which is what protects people,
// rests on ChaCha20 and on the operating system, and no test can prove it.
#include "privacy/secure_random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

namespace tandem {
namespace {

constexpr size_t kDraws = 400'000;
// A standard normal statistic passes this with probability below 1e-10.
constexpr double kBound = 6.5;

std::vector<double> Draw(NoiseSource& source, size_t count) {
  std::vector<double> draws(count);
  source.FillNormal(draws);
  return draws;
}

double MeanOf(const std::vector<double>& values) {
  double sum = 0;
  for (double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Largest distance of the empirical distribution from the standard normal's.
double KolmogorovSmirnov(std::vector<double> draws) {
  std::sort(draws.begin(), draws.end());
  const auto n = static_cast<double>(draws.size());
  double distance = 0;
  for (size_t i = 0; i < draws.size(); ++i) {
    const double cdf = std::erfc(-draws[i] / std::sqrt(2.0)) / 2;
    const auto rank = static_cast<double>(i);
    distance = std::max({distance, cdf - rank / n, (rank + 1) / n - cdf});
  }
  return distance;
}

// Each of the five checks has a false-alarm rate below 2e-10.
void ExpectStandardNormal(const std::vector<double>& draws) {
  const auto n = static_cast<double>(draws.size());
  std::vector<double> squares, products, square_products;
  for (size_t i = 0; i < draws.size(); ++i) {
    squares.push_back(draws[i] * draws[i]);
    const double next = draws[(i + 1) % draws.size()];
    products.push_back(draws[i] * next);
    square_products.push_back((draws[i] * draws[i] - 1) * (next * next - 1));
  }
  EXPECT_LT(std::abs(MeanOf(draws)) * std::sqrt(n), kBound);
  EXPECT_LT(std::abs(MeanOf(squares) - 1) * std::sqrt(n / 2), kBound);
  EXPECT_LT(std::abs(MeanOf(products)) * std::sqrt(n), kBound);
  // Neighbours come out of one Box-Muller pair; heavier tails, wider bound.
  EXPECT_LT(std::abs(MeanOf(square_products)) * std::sqrt(n) / 2, 2 * kBound);
  // Dvoretzky, Kiefer, Wolfowitz; Massart 1990: P(D > d) <= 2 exp(-2 n d^2).
  EXPECT_LT(KolmogorovSmirnov(draws), std::sqrt(std::log(2e10) / (2 * n)));
}

TEST(SecureNoiseSourceTest, IsStandardNormal) {
  ExpectStandardNormal(Draw(*NewSecureNoiseSource(), kDraws));
}

TEST(SecureNoiseSourceTest, IsStandardNormalInOddPieces) {
  const auto source = NewSecureNoiseSource();
  std::vector<double> draws;
  for (size_t piece = 1; draws.size() < kDraws; piece = piece % 7 + 2) {
    const std::vector<double> some = Draw(*source, piece);
    draws.insert(draws.end(), some.begin(), some.end());
  }
  ExpectStandardNormal(draws);
}

TEST(SecureNoiseSourceTest, ReachesTheTails) {
  const std::vector<double> draws = Draw(*NewSecureNoiseSource(), kDraws);
  // Of 400,000 draws 25 are expected beyond 4 standard deviations; none or more
  // than 90 happen with probability below 1e-10.
  const auto far = std::count_if(draws.begin(), draws.end(),
                                 [](double x) { return std::abs(x) > 4; });
  EXPECT_GT(far, 0);
  EXPECT_LT(far, 90);
}

TEST(SecureNoiseSourceTest, NeverRepeats) {
  const auto source = NewSecureNoiseSource();
  const std::vector<double> first = Draw(*source, 1000);
  EXPECT_NE(first, Draw(*source, 1000));
  EXPECT_NE(first, Draw(*NewSecureNoiseSource(), 1000));
}

TEST(NewSecretSeedTest, UsesAllBitsAndNeverRepeats) {
  std::set<uint64_t> seeds;
  uint64_t ones = 0, zeros = 0;
  // A bit that is the same 200 times has probability below 1e-58.
  for (int i = 0; i < 200; ++i) {
    const auto seed = NewSecretSeed();
    ASSERT_TRUE(seed.ok()) << seed.status();
    seeds.insert(*seed);
    ones |= *seed;
    zeros |= ~*seed;
  }
  EXPECT_EQ(seeds.size(), 200u);
  EXPECT_EQ(ones, ~uint64_t{0});
  EXPECT_EQ(zeros, ~uint64_t{0});
}

TEST(InsecureNoiseSourceTest, IsStandardNormalAndReproducible) {
  const std::vector<double> draws =
      Draw(*NewInsecureNoiseSourceForTests(7), kDraws);
  ExpectStandardNormal(draws);
  EXPECT_EQ(draws, Draw(*NewInsecureNoiseSourceForTests(7), kDraws));
  EXPECT_NE(draws, Draw(*NewInsecureNoiseSourceForTests(8), kDraws));
}

TEST(InsecureNoiseSourceTest, DoesNotDependOnHowItIsAsked) {
  const auto pieces = NewInsecureNoiseSourceForTests(3);
  std::vector<double> draws = Draw(*pieces, 3);
  const std::vector<double> rest = Draw(*pieces, 4);
  draws.insert(draws.end(), rest.begin(), rest.end());
  EXPECT_EQ(draws, Draw(*NewInsecureNoiseSourceForTests(3), 7));
}

}  // namespace
}  // namespace tandem
