#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "privacy/rdp_accountant.h"
#include "server/coordinator.h"
#include "server/run_report.h"
#include "tests/testing/federation.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using testing::FakeAdapter;
using testing::FakeClient;
using testing::FakeFederation;
using testing::FakeRunConfig;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

constexpr double kNoise = 2;
constexpr double kDelta = 1e-5;

proto::ServerConfig PrivateConfig() {
  auto config = FakeRunConfig();
  config.mutable_privacy()->set_enabled(true);
  config.mutable_privacy()->set_noise_multiplier(kNoise);
  config.mutable_privacy()->set_delta(kDelta);
  config.mutable_privacy()->set_clip_norm_l2(1);
  config.mutable_privacy()->set_insecure_noise_seed_for_tests(3);
  return config;
}

double EpsilonAfter(int64_t releases, double rate = 1) {
  RdpAccountant accountant;
  EXPECT_THAT(accountant.Compose(kNoise, rate, releases), IsOk());
  return accountant.Guarantee(kDelta)->epsilon;
}

void AnswerRound(FakeClient& a, FakeClient& b) {
  const proto::Task task = a.Task();
  EXPECT_EQ(task.clip_norm_l2(), 1);
  EXPECT_EQ(a.Answer(task.task_id(), FakeAdapter(0.1)), proto::ACCEPTED);
  EXPECT_EQ(b.Answer(b.Task().task_id(), FakeAdapter(0.2)), proto::ACCEPTED);
}

TEST(CoordinatorPrivacy, EveryRoundsSpendingIsReported) {
  auto config = PrivateConfig();
  config.mutable_rounds()->set_count(2);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  AnswerRound(a, b);
  AnswerRound(a, b);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  const auto report = ReadRunReport(federation.folder.path());
  ASSERT_THAT(report, IsOk());
  EXPECT_DOUBLE_EQ(report->rounds[0].epsilon, EpsilonAfter(1));
  EXPECT_DOUBLE_EQ(report->rounds[1].epsilon, EpsilonAfter(2));
  EXPECT_DOUBLE_EQ(report->epsilon, EpsilonAfter(2));
  EXPECT_EQ(report->delta, kDelta);
}

TEST(CoordinatorPrivacy, AnUpdateBeyondTheClipNormIsRefused) {
  FakeFederation federation(PrivateConfig());
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  // 14 elements of 0.3: norm 1.12.
  EXPECT_EQ(a.Answer(a.Task().task_id(), FakeAdapter(0.3)),
            proto::NORM_TOO_LARGE);
}

TEST(CoordinatorPrivacy, StopsBeforeTheReleaseThatWouldPassTheBudget) {
  auto config = PrivateConfig();
  config.mutable_rounds()->set_count(5);
  config.mutable_privacy()->set_epsilon_budget(
      (EpsilonAfter(2) + EpsilonAfter(3)) / 2);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  AnswerRound(a, b);
  AnswerRound(a, b);
  EXPECT_EQ(a.Next()->run_finished(), "BUDGET_EXHAUSTED");
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  const auto run = *federation.Look()->LoadRun();
  EXPECT_EQ(run->state, RunState::kBudgetExhausted);
  EXPECT_THAT(run->reason, HasSubstr("the budget is"));
  EXPECT_EQ(run->committed_rounds, 2);
  EXPECT_EQ(run->adapter, federation.Rounds().at(1).adapter_after);
  EXPECT_EQ(federation.Look()->Load()->size(), 2u);

  // Nor does a restart get a third release.
  federation.Close();
  ASSERT_THAT(federation.Open(), IsOk());
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(federation.coordinator->Run().state, RunState::kBudgetExhausted);
}

TEST(CoordinatorPrivacy, AnInterruptedReleaseIsNeverForgotten) {
  auto config = PrivateConfig();
  FakeFederation federation(config);
  federation.model.distils_rounds = true;
  std::promise<void> distilling, go_on;
  std::atomic<int> times{0};
  federation.model.on_distil = [&] {
    if (times++ > 0) return;
    distilling.set_value();
    go_on.get_future().wait();
  };
  ASSERT_THAT(federation.Open(), IsOk());
  {
    FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
    ASSERT_THAT(a.Join(), IsOk());
    ASSERT_THAT(b.Join(), IsOk());
    AnswerRound(a, b);
    distilling.get_future().wait();
    EXPECT_EQ(federation.Rounds().at(0).state, RoundState::kDistilling);
    EXPECT_EQ(federation.Look()->Load()->size(), 1u);
    // The service ends while the model is at work.
    auto held = a.Ask();
    std::thread shutdown([&] { federation.coordinator->Shutdown(); });
    EXPECT_THAT(held.get(), StatusIs(StatusCode::kUnavailable));
    go_on.set_value();
    shutdown.join();
  }
  federation.Close();
  EXPECT_EQ(federation.Rounds().at(0).state, RoundState::kDistilling);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  AnswerRound(a, b);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_DOUBLE_EQ(federation.Rounds().back().epsilon, EpsilonAfter(2));
}

TEST(CoordinatorPrivacy, AnEmptyPoissonCohortIsStillARelease) {
  auto config = PrivateConfig();
  config.mutable_rounds()->set_selector("poisson");
  config.mutable_rounds()->set_sampling_rate(1e-9);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  const RoundRow round = federation.Rounds().at(0);
  EXPECT_EQ(round.state, RoundState::kCommitted);
  EXPECT_NE(round.adapter_after, round.adapter_before);
  EXPECT_DOUBLE_EQ(round.epsilon, EpsilonAfter(1, 1e-9));
}

}  // namespace
}  // namespace tandem
