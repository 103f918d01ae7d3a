#include "server/client_selector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

const std::vector<std::string> kFour = {"a", "b", "c", "d"};

TEST(ClientSelector, FixedTakesEveryoneUnlessToldOtherwise) {
  EXPECT_THAT(*SelectClients({}, {"b", "a", "c"}, 1),
              ElementsAre("a", "b", "c"));
  SelectorOptions more;
  more.cohort_size = 9;
  EXPECT_THAT(*SelectClients(more, {"b", "a"}, 1), ElementsAre("a", "b"));
}

TEST(ClientSelector, OrderOfArrivalDoesNotMatter) {
  for (const std::string name : {"fixed", "poisson"}) {
    SelectorOptions options{name, 2, 0.5};
    std::vector<std::string> clients = kFour;
    const auto expected = SelectClients(options, clients, 9);
    while (std::next_permutation(clients.begin(), clients.end())) {
      EXPECT_EQ(*SelectClients(options, clients, 9), *expected);
    }
  }
}

// 6 pairs out of 4 clients; chi-squared with 5 degrees of freedom is above 20.5
// once in a thousand seeds (these are fixed).
TEST(ClientSelector, FixedDrawsEveryPairEquallyOften) {
  constexpr int kDraws = 6000;
  std::map<std::vector<std::string>, int> counts;
  for (int i = 0; i < kDraws; ++i) {
    ++counts[*SelectClients({"fixed", 2, 1}, kFour, SelectionSeed(1, i, 0))];
  }
  ASSERT_EQ(counts.size(), 6u);
  double chi_squared = 0;
  for (const auto& [pair, count] : counts) {
    EXPECT_EQ(pair.size(), 2u);
    chi_squared += std::pow(count - kDraws / 6, 2) / (kDraws / 6);
  }
  EXPECT_LT(chi_squared, 20.5);
}

// All 16 subsets at the frequencies of independent draws.
TEST(ClientSelector, PoissonDrawsEachClientIndependently) {
  constexpr int kDraws = 16000;
  constexpr double kRate = 0.3;
  std::map<std::vector<std::string>, int> counts;
  for (int i = 0; i < kDraws; ++i) {
    ++counts[*SelectClients({"poisson", 0, kRate}, kFour,
                            SelectionSeed(1, i, 0))];
  }
  double chi_squared = 0;
  for (int subset = 0; subset < 16; ++subset) {
    std::vector<std::string> clients;
    double probability = 1;
    for (int i = 0; i < 4; ++i) {
      const bool in = subset >> i & 1;
      if (in) clients.push_back(kFour[static_cast<size_t>(i)]);
      probability *= in ? kRate : 1 - kRate;
    }
    const double expected = probability * kDraws;
    chi_squared += std::pow(counts[clients] - expected, 2) / expected;
  }
  EXPECT_LT(chi_squared, 37.7);  // 15 degrees of freedom, one in a thousand
}

TEST(ClientSelector, PoissonRatesZeroAndOne) {
  EXPECT_TRUE(SelectClients({"poisson", 0, 0}, kFour, 1)->empty());
  EXPECT_EQ(*SelectClients({"poisson", 0, 1}, kFour, 1), kFour);
}

TEST(ClientSelector, BadOptions) {
  EXPECT_THAT(
      SelectClients({"lottery", 0, 1}, kFour, 1),
      StatusIs(StatusCode::kInvalidArgument,
               AllOf(HasSubstr("lottery"), HasSubstr("fixed, poisson"))));
  EXPECT_THAT(SelectClients({"fixed", -1, 1}, kFour, 1),
              StatusIs(StatusCode::kInvalidArgument));
  for (const double rate : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THAT(SelectClients({"poisson", 0, rate}, kFour, 1),
                StatusIs(StatusCode::kInvalidArgument));
  }
}

TEST(ClientSelector, RoundsAndRedrawsHaveSeedsOfTheirOwn) {
  std::set<uint64_t> seeds;
  for (int64_t round = 1; round <= 20; ++round) {
    for (int64_t draw = 0; draw < 5; ++draw) {
      seeds.insert(SelectionSeed(1, round, draw));
    }
  }
  EXPECT_EQ(seeds.size(), 100u);
}

}  // namespace
}  // namespace tandem
