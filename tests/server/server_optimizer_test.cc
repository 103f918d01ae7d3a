#include "server/server_optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/testing/make_tensor.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::tandem::testing::BytesOf;
using ::tandem::testing::IsOk;
using ::tandem::testing::MakeFactors;
using ::tandem::testing::MakeTensor;
using ::tandem::testing::StatusIs;
using ::tandem::testing::ValuesOf;
using ::testing::HasSubstr;

ServerOptimizerOptions Adam() {
  return {.name = "adam",
          .learning_rate = 0.1,
          .beta1 = 0.8,
          .beta2 = 0.95,
          .adaptivity = 0.01};
}

TEST(ServerOptimizerTest, SgdAddsTheScaledMean) {
  const TensorMap global = {{"x", MakeTensor({3}, {1, 2, 3})}};
  const TensorMap delta = {{"x", MakeTensor({3}, {0.5, -4, 0})}};
  const auto step =
      ApplyServerOptimizer({.learning_rate = 0.25}, {}, global, delta);
  ASSERT_THAT(step, IsOk());
  EXPECT_EQ(ValuesOf(step->adapter.at("x")), (std::vector<float>{1.125, 1, 3}));
  EXPECT_TRUE(step->state.empty());
  EXPECT_EQ(ValuesOf(global.at("x")), (std::vector<float>{1, 2, 3}));
}

// Algorithm 2 of Reddi et al., written out for one number in double precision.
TEST(ServerOptimizerTest, AdamFollowsThePaperOverManySteps) {
  double x = 1, m = 0, v = 0.01 * 0.01;
  TensorMap global = {{"x", MakeTensor({1}, {1})}}, state;
  for (int t = 0; t < 20; ++t) {
    const float delta = 0.3f * std::cos(static_cast<float>(t));
    m = 0.8 * m + 0.2 * delta;
    v = 0.95 * v + 0.05 * delta * delta;
    x += 0.1 * m / (std::sqrt(v) + 0.01);
    auto step = ApplyServerOptimizer(Adam(), state, global,
                                     {{"x", MakeTensor({1}, {delta})}});
    ASSERT_THAT(step, IsOk());
    global = step->adapter;
    state = step->state;
    // fp32 storage between steps rounds by 6e-8 of values up to 2 each time.
    ASSERT_NEAR(ValuesOf(global["x"])[0], x, 2e-7 * (t + 1)) << "step " << t;
    ASSERT_NEAR(ValuesOf(state["m/x"])[0], m, 1e-7);
    ASSERT_NEAR(ValuesOf(state["v/x"])[0], v, 1e-7);
  }
  EXPECT_GT(std::abs(x - 1), 0.1);
}

TEST(ServerOptimizerTest, IsAPureFunction) {
  const TensorMap global = MakeFactors(1), delta = MakeFactors(2);
  const auto first = ApplyServerOptimizer(Adam(), {}, global, delta);
  ASSERT_THAT(first, IsOk());
  const std::string state_before = BytesOf(first->state);
  const std::string global_before = BytesOf(global);
  const auto second =
      ApplyServerOptimizer(Adam(), first->state, first->adapter, delta);
  const auto again =
      ApplyServerOptimizer(Adam(), first->state, first->adapter, delta);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(BytesOf(second->adapter), BytesOf(again->adapter));
  EXPECT_EQ(BytesOf(second->state), BytesOf(again->state));
  EXPECT_EQ(BytesOf(first->state), state_before);
  EXPECT_EQ(BytesOf(global), global_before);
}

TEST(ServerOptimizerTest, FrozenTensorsAreSharedAndHaveNoState) {
  const TensorMap global = MakeFactors(1);
  TensorMap delta = MakeFactors(2);
  const std::string a = delta.begin()->first;
  delta.erase(a);
  const auto step = ApplyServerOptimizer(Adam(), {}, global, delta);
  ASSERT_THAT(step, IsOk());
  EXPECT_TRUE(step->adapter.at(a).is_same(global.at(a)));
  EXPECT_EQ(step->state.size(), 2u);
  EXPECT_THAT(ApplyServerOptimizer(Adam(), step->state, step->adapter, delta),
              IsOk());
}

class ServerOptimizerErrorTest : public ::testing::Test {
 protected:
  void ExpectRefused(const std::string& message) {
    const std::string before = BytesOf(state_) + BytesOf(global_);
    EXPECT_THAT(ApplyServerOptimizer(options_, state_, global_, delta_),
                StatusIs(StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_EQ(BytesOf(state_) + BytesOf(global_), before);
  }
  ServerOptimizerOptions options_ = Adam();
  TensorMap global_ = {{"x", MakeTensor({2}, {1, 2})}};
  TensorMap delta_ = {{"x", MakeTensor({2}, {1, 2})}};
  TensorMap state_ = {{"m/x", MakeTensor({2}, {0, 0})},
                      {"v/x", MakeTensor({2}, {1, 1})}};
};

TEST_F(ServerOptimizerErrorTest, Options) {
  options_.name = "yogi";
  ExpectRefused("unknown server optimiser 'yogi', known are: sgd, adam");
  options_ = Adam();
  options_.learning_rate = -1;
  ExpectRefused("server_learning_rate");
  options_ = Adam();
  options_.beta1 = 1;
  ExpectRefused("beta1");
  options_ = Adam();
  options_.beta2 = std::nan("");
  ExpectRefused("beta2");
  options_ = Adam();
  options_.adaptivity = 0;
  ExpectRefused("adaptivity");
}

TEST_F(ServerOptimizerErrorTest, StateOfAnotherOptimiserOrShape) {
  state_["m/x"] = MakeTensor({1, 2}, {0, 0});
  ExpectRefused("m/x");
  state_.erase("m/x");
  ExpectRefused("expected 2 for optimiser 'adam'");
  state_["m/y"] = MakeTensor({2}, {0, 0});
  ExpectRefused("lacks tensor 'm/x'");
  options_ = {};
  ExpectRefused("expected 0 for optimiser 'sgd'");
}

TEST_F(ServerOptimizerErrorTest, DeltaThatDoesNotFit) {
  delta_["x"] = MakeTensor({2, 1}, {1, 2});
  ExpectRefused("'x' has another shape");
  delta_["x"] = at::zeros({2}, at::kHalf);
  ExpectRefused("'x' has another shape or dtype");
  delta_ = {{"y", MakeTensor({2}, {1, 2})}};
  ExpectRefused("'y' is not in the global adapter");
}

TEST_F(ServerOptimizerErrorTest, AStepThatOverflows) {
  options_ = {.learning_rate = 1e10};
  state_.clear();
  delta_["x"] = MakeTensor({2}, {1, 3e38});
  ExpectRefused("'x' infinite");
}

}  // namespace
}  // namespace tandem
