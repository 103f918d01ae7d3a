#include "server/aggregation_rule.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "server/delta_check.h"
#include "tests/testing/make_tensor.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::BytesOf;
using ::tandem::testing::IsOk;
using ::tandem::testing::MakeFactors;
using ::tandem::testing::MakeTensor;
using ::tandem::testing::RandomTensor;
using ::tandem::testing::StatusIs;
using ::tandem::testing::ValuesOf;
using ::testing::HasSubstr;

class NoNoise : public NoiseSource {
 public:
  void FillNormal(std::span<double> out) override {
    std::fill(out.begin(), out.end(), 0);
    drawn += out.size();
  }
  size_t drawn = 0;
};

std::vector<ClientUpdate> MakeUpdates(int count) {
  std::vector<ClientUpdate> updates;
  for (int i = 0; i < count; ++i) {
    updates.push_back(
        {"client-" + std::to_string(i), 1.5 + 7 * i * i, MakeFactors(100 + i)});
  }
  return updates;
}

// sum_i factor_i * delta_i / denominator of one element, straight from the
// definition, in extended precision.
double Definition(const std::vector<ClientUpdate>& updates,
                  const std::vector<double>& factors, double denominator,
                  const std::string& name, int64_t element) {
  long double sum = 0;
  for (size_t i = 0; i < updates.size(); ++i) {
    sum +=
        static_cast<long double>(factors[i]) *
        updates[i].delta.at(name).contiguous().const_data_ptr<float>()[element];
  }
  return static_cast<double>(sum / denominator);
}

// Every element is the definition's value rounded to fp32, give or take the
// one unit in the last place by which double rounding may differ.
void ExpectEqualsDefinition(const TensorMap& result,
                            const std::vector<ClientUpdate>& updates,
                            const std::vector<double>& factors,
                            double denominator) {
  for (const auto& [name, tensor] : result) {
    const std::vector<float> values = ValuesOf(tensor);
    for (size_t e = 0; e < values.size(); ++e) {
      const double expected =
          Definition(updates, factors, denominator, name, e);
      ASSERT_NEAR(values[e], expected,
                  std::abs(expected) * 0x1.00001p-24 + 1e-16)
          << name << " element " << e;
    }
  }
}

double NormOf(const TensorMap& tensors) {
  double squares = 0;
  for (const auto& [name, tensor] : tensors) {
    for (double value : ValuesOf(tensor)) squares += value * value;
  }
  return std::sqrt(squares);
}

class AggregateTest : public ::testing::TestWithParam<int> {
 protected:
  const TensorMap global_ = MakeFactors(1);
};
INSTANTIATE_TEST_SUITE_P(Clients, AggregateTest, ::testing::Values(1, 2, 7));

TEST_P(AggregateTest, FedAvgIsTheWeightedMean) {
  const auto updates = MakeUpdates(GetParam());
  std::vector<double> weights;
  double total = 0;
  for (const auto& update : updates) {
    weights.push_back(update.weight);
    total += update.weight;
  }
  const auto mean = Aggregate({.rule = "fedavg"}, global_, updates, nullptr);
  ASSERT_THAT(mean, IsOk());
  EXPECT_EQ(mean->size(), 2u);
  ExpectEqualsDefinition(*mean, updates, weights, total);
}

TEST_P(AggregateTest, FfaAveragesBAndLeavesAOut) {
  auto updates = MakeUpdates(GetParam());
  std::vector<double> weights;
  double total = 0;
  for (auto& update : updates) {
    std::erase_if(update.delta,
                  [](const auto& item) { return IsLoraA(item.first); });
    weights.push_back(update.weight);
    total += update.weight;
  }
  const auto mean = Aggregate({.rule = "ffa"}, global_, updates, nullptr);
  ASSERT_THAT(mean, IsOk());
  ASSERT_EQ(mean->size(), 1u);
  EXPECT_FALSE(IsLoraA(mean->begin()->first));
  ExpectEqualsDefinition(*mean, updates, weights, total);
}

TEST_P(AggregateTest, PrivateSumIsClippedUniformAndOverTheFixedCount) {
  auto updates = MakeUpdates(GetParam());
  // One update is short, so that both sides of the clip are met.
  for (auto& [name, tensor] : updates[0].delta) tensor = tensor * 0.01;
  const GaussianOptions privacy{
      .clip_norm_l2 = 2, .noise_multiplier = 1, .expected_clients = 5};
  std::vector<double> factors;
  for (const auto& update : updates) {
    factors.push_back(std::min(1.0, 2 / NormOf(update.delta)));
  }
  EXPECT_EQ(factors[0], 1);
  NoNoise noise;
  const auto mean = Aggregate({.privacy = privacy}, global_, updates, &noise);
  ASSERT_THAT(mean, IsOk());
  ExpectEqualsDefinition(*mean, updates, factors, 5);
  EXPECT_EQ(noise.drawn, 4 * 33 + 17 * 4u);
}

TEST_P(AggregateTest, ArrivalOrderDoesNotChangeAByte) {
  auto updates = MakeUpdates(GetParam());
  const AggregationOptions with_privacy{.privacy = GaussianOptions{}};
  const auto noise = [] { return NewInsecureNoiseSourceForTests(5); };
  const std::string plain = BytesOf(*Aggregate({}, global_, updates, nullptr));
  const std::string noisy =
      BytesOf(*Aggregate(with_privacy, global_, updates, noise().get()));
  EXPECT_NE(plain, noisy);
  for (int turn = 0; turn < 7; ++turn) {
    std::rotate(updates.begin(), updates.begin() + 1, updates.end());
    if (turn % 2 == 0) std::reverse(updates.begin(), updates.end());
    EXPECT_EQ(plain, BytesOf(*Aggregate({}, global_, updates, nullptr)));
    EXPECT_EQ(noisy, BytesOf(*Aggregate(with_privacy, global_, updates,
                                        noise().get())));
  }
}

TEST(AggregateBlocksTest, ThreadsDoNotChangeAByte) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "libgomp's barriers are unknown to ThreadSanitizer";
#endif
  // Larger than a block, and no multiple of one.
  const std::string name = "x.lora_B.weight";
  const TensorMap global = {{name, at::zeros({3, 70'001})}};
  std::vector<ClientUpdate> updates;
  for (int i = 0; i < 3; ++i) {
    updates.push_back({"c" + std::to_string(i),
                       1.0 + i,
                       {{name, RandomTensor({3, 70'001}, i, 1e-3)}}});
  }
  const AggregationOptions options{.privacy =
                                       GaussianOptions{.clip_norm_l2 = 0.1}};
  std::vector<std::string> results;
  const int threads_before = omp_get_max_threads();
  for (int threads : {1, 2, 5}) {
    omp_set_num_threads(threads);
    const auto noise = NewInsecureNoiseSourceForTests(5);
    results.push_back(
        BytesOf(*Aggregate(options, global, updates, noise.get())));
    results.push_back(BytesOf(*Aggregate({}, global, updates, nullptr)));
  }
  omp_set_num_threads(threads_before);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(results[0], results[4]);
  EXPECT_EQ(results[1], results[3]);
  EXPECT_EQ(results[1], results[5]);
  const TensorMap mean = *Aggregate({}, global, updates, nullptr);
  ExpectEqualsDefinition(mean, updates, {1, 2, 3}, 6);
}

TEST(AggregateBlocksTest, ReadsTensorsAtAnyAlignment) {
  const std::string name = "x.lora_B.weight";
  const TensorMap global = {{name, at::zeros({5})}};
  const std::vector<float> values = {1, -2, 3, -4, 5};
  std::vector<char> file(1 + values.size() * sizeof(float));
  std::memcpy(file.data() + 1, values.data(), values.size() * sizeof(float));
  const ClientUpdate update{
      "a", 2, {{name, at::from_blob(file.data() + 1, {5}, at::kFloat)}}};
  const auto mean = Aggregate({}, global, {{update}}, nullptr);
  ASSERT_THAT(mean, IsOk());
  EXPECT_EQ(ValuesOf(mean->at(name)), values);
}

TEST(AggregateNoiseTest, NoiseIsDrawnInTheOrderOfNamesAndScaled) {
  const TensorMap global = MakeFactors(1);
  const GaussianOptions privacy{
      .clip_norm_l2 = 3, .noise_multiplier = 0.5, .expected_clients = 4};
  const auto noise = NewInsecureNoiseSourceForTests(9);
  // No update at all: the release is noise alone.
  const auto mean = Aggregate({.privacy = privacy}, global, {}, noise.get());
  ASSERT_THAT(mean, IsOk());
  const auto again = NewInsecureNoiseSourceForTests(9);
  for (const auto& [name, tensor] : *mean) {
    std::vector<double> draws(tensor.numel());
    again->FillNormal(draws);
    const std::vector<float> values = ValuesOf(tensor);
    for (size_t i = 0; i < draws.size(); ++i) {
      ASSERT_EQ(values[i], static_cast<float>(0.5 * 3 * draws[i] / 4));
    }
  }
}

TEST(AggregateNoiseTest, FfaPutsNoNoiseOnTheFrozenFactor) {
  const TensorMap global = MakeFactors(1);
  TensorMap delta = MakeFactors(2);
  for (auto& [name, tensor] : delta) {
    if (IsLoraA(name)) tensor = at::zeros_like(tensor);
  }
  NoNoise noise;
  const auto mean = Aggregate({.rule = "ffa", .privacy = GaussianOptions{}},
                              global, {{ClientUpdate{"a", 1, delta}}}, &noise);
  ASSERT_THAT(mean, IsOk());
  EXPECT_EQ(mean->size(), 1u);
  EXPECT_EQ(noise.drawn, 17 * 4u);
}

// What one client can change in the noiseless sum is at most the clip norm.
TEST(AggregateNoiseTest, OneClientMovesTheSumByAtMostTheClipNorm) {
  const TensorMap global = MakeFactors(1);
  auto updates = MakeUpdates(4);
  for (auto& [name, tensor] : updates[3].delta) tensor = tensor * 1e30;
  const GaussianOptions privacy{.clip_norm_l2 = 0.5};
  NoNoise noise;
  const auto with = *Aggregate({.privacy = privacy}, global, updates, &noise);
  updates.pop_back();
  const auto without =
      *Aggregate({.privacy = privacy}, global, updates, &noise);
  TensorMap difference;
  for (const auto& [name, tensor] : with) {
    difference[name] = tensor - without.at(name);
  }
  EXPECT_LE(NormOf(difference), 0.5 * (1 + 1e-6));
  EXPECT_GT(NormOf(difference), 0.49);
}

class AggregateErrorTest : public ::testing::Test {
 protected:
  // The updates are refused with `message`, and no input has changed.
  void ExpectRefused(const std::string& message,
                     const AggregationOptions& options = {},
                     NoiseSource* noise = nullptr) {
    const std::string before = BytesOf(global_);
    EXPECT_THAT(Aggregate(options, global_, updates_, noise),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_EQ(BytesOf(global_), before);
  }

  const TensorMap global_ = MakeFactors(1);
  std::vector<ClientUpdate> updates_ = MakeUpdates(3);
  const std::string a_ = global_.begin()->first;
  const std::string b_ = global_.rbegin()->first;
};

TEST_F(AggregateErrorTest, UnknownRuleListsTheKnownOnes) {
  ExpectRefused("unknown aggregation rule 'krum', known are: fedavg, ffa",
                {.rule = "krum"});
  EXPECT_THAT(FindAggregationRule("").status(),
              StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(AggregateErrorTest, NoUpdates) {
  updates_.clear();
  ExpectRefused("no updates");
}

TEST_F(AggregateErrorTest, BadWeights) {
  for (double weight :
       {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    updates_[1].weight = weight;
    ExpectRefused("client 'client-1': weight");
  }
  updates_[0].weight = updates_[1].weight = 1e308;
  ExpectRefused("sum of the clients' weights");
}

TEST_F(AggregateErrorTest, AClientTwice) {
  updates_[2].client_id = "client-0";
  ExpectRefused("client 'client-0' has more than one update");
}

TEST_F(AggregateErrorTest, NamesShapesAndDtypes) {
  auto& delta = updates_[1].delta;
  const at::Tensor good = delta[b_];
  delta[b_] = good.to(at::kDouble);
  ExpectRefused("client 'client-1': tensor '" + b_ + "' is Double");
  delta[b_] = good.t();
  ExpectRefused("has shape [4, 17], expected [17, 4]");
  delta.erase(b_);
  ExpectRefused("'" + b_ + "' of the global adapter is missing");
  delta[b_] = good;
  delta["extra"] = good;
  ExpectRefused("'extra' is not in the global adapter");
}

TEST_F(AggregateErrorTest, NotFinite) {
  for (float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    updates_[2].delta = MakeFactors(3);
    updates_[2].delta[a_].mutable_data_ptr<float>()[40] = bad;
    ExpectRefused("client 'client-2': the update contains NaN or infinity");
  }
}

TEST_F(AggregateErrorTest, FfaRefusesAMovedA) {
  ExpectRefused("'" + a_ + "' is frozen", {.rule = "ffa"});
}

TEST_F(AggregateErrorTest, BadPrivacyOptions) {
  ExpectRefused("noise source", {.privacy = GaussianOptions{}});
  NoNoise noise;
  ExpectRefused("clip_norm_l2", {.privacy = GaussianOptions{.clip_norm_l2 = 0}},
                &noise);
  EXPECT_EQ(noise.drawn, 0u);
}

TEST(AggregationRulesTest, TheTableFindsItsOwnNames) {
  ASSERT_EQ(AggregationRules().size(), 2u);
  for (const AggregationRule& rule : AggregationRules()) {
    EXPECT_EQ(FindAggregationRule(rule.name)->name, rule.name);
  }
  EXPECT_TRUE(FindAggregationRule("ffa")->freezes_lora_a);
  EXPECT_FALSE(FindAggregationRule("fedavg")->freezes_lora_a);
}

}  // namespace
}  // namespace tandem
