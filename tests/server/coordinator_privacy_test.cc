#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "privacy/rdp_accountant.h"
#include "server/client_selector.h"
#include "server/coordinator.h"
#include "server/run_config.h"
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
using ::testing::UnorderedElementsAreArray;

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

// A first attempt at round 1 whose service ends after the release, while the
// model is at work.
void ReleaseAndStop(FakeFederation& federation) {
  federation.model.distils_rounds = true;
  std::promise<void> distilling, go_on;
  federation.model.on_distil = [&] {
    distilling.set_value();
    go_on.get_future().wait();
  };
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  AnswerRound(a, b);
  distilling.get_future().wait();
  EXPECT_EQ(federation.Rounds().at(0).state, RoundState::kDistilling);
  EXPECT_EQ(federation.Look()->Load()->size(), 1u);
  auto held = a.Ask();
  std::thread shutdown([&] { federation.coordinator->Shutdown(); });
  EXPECT_THAT(held.get(), StatusIs(StatusCode::kUnavailable));
  go_on.set_value();
  shutdown.join();
  federation.Close();
  federation.model.on_distil = nullptr;
  EXPECT_EQ(federation.Rounds().at(0).state, RoundState::kDistilling);
}

TEST(CoordinatorPrivacy, AnInterruptedReleaseIsNeverForgotten) {
  FakeFederation federation(PrivateConfig());
  ASSERT_NO_FATAL_FAILURE(ReleaseAndStop(federation));
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  AnswerRound(a, b);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_DOUBLE_EQ(federation.Rounds().back().epsilon, EpsilonAfter(2));
}

// Sampling would not amplify two releases of one cohort.
TEST(CoordinatorPrivacy, AnInterruptedReleaseIsFollowedByAnotherDraw) {
  auto config = PrivateConfig();
  config.mutable_rounds()->set_max_abandoned_in_a_row(2);
  FakeFederation federation(config);
  ASSERT_NO_FATAL_FAILURE(ReleaseAndStop(federation));
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  EXPECT_EQ(a.Fail(a.Task().task_id()), proto::CLIENT_FAILED);
  EXPECT_EQ(b.Fail(b.Task().task_id()), proto::CLIENT_FAILED);
  // The first of two that may be abandoned: the interruption does not count.
  AnswerRound(a, b);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(federation.coordinator->Run().state, RunState::kFinished);
  const std::vector<RoundRow> rounds = federation.Rounds();
  ASSERT_EQ(rounds.size(), 3u);
  EXPECT_EQ(rounds[0].draw, 0);
  EXPECT_EQ(rounds[1].draw, 1);
  EXPECT_EQ(rounds[2].draw, 2);
}

TEST(CoordinatorPrivacy, AnInterruptionBeforeTheReleaseRepeatsTheDraw) {
  FakeFederation federation(PrivateConfig());
  ASSERT_THAT(federation.Open(), IsOk());
  {
    FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
    ASSERT_THAT(a.Join(), IsOk());
    ASSERT_THAT(b.Join(), IsOk());
    EXPECT_EQ(a.Answer(a.Task().task_id(), FakeAdapter(0.1)), proto::ACCEPTED);
  }
  federation.Close();
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  AnswerRound(a, b);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(federation.Rounds().at(1).draw, 0);
}

uint64_t SelectionSeedOfANewRun(const proto::ServerConfig& config) {
  FakeFederation federation(config);
  EXPECT_THAT(federation.Open(), IsOk());
  const uint64_t seed = (*federation.Look()->LoadRun())->selection_seed;
  federation.Close();
  // A restart goes on with the same.
  EXPECT_THAT(federation.Open(), IsOk());
  EXPECT_EQ(federation.coordinator->Run().selection_seed, seed);
  return seed;
}

TEST(CoordinatorPrivacy, TheSelectionSeedIsASecretUnlessForTests) {
  auto config = PrivateConfig();
  EXPECT_EQ(SelectionSeedOfANewRun(config), config.run().seed());
  config.mutable_privacy()->clear_insecure_noise_seed_for_tests();
  const uint64_t seed = SelectionSeedOfANewRun(config);
  EXPECT_NE(seed, config.run().seed());
  EXPECT_NE(seed, SelectionSeedOfANewRun(config));
  config.mutable_privacy()->set_enabled(false);
  EXPECT_EQ(SelectionSeedOfANewRun(config), config.run().seed());
}

// Would pass by chance in one of 2^32 runs if the cohort came from run.seed.
TEST(CoordinatorPrivacy, TheCohortIsDrawnFromTheSecret) {
  constexpr int kClients = 32;
  auto config = PrivateConfig();
  config.mutable_privacy()->clear_insecure_noise_seed_for_tests();
  config.mutable_rounds()->set_min_clients(kClients);
  config.mutable_rounds()->set_selector("poisson");
  config.mutable_rounds()->set_sampling_rate(0.5);
  std::promise<void> selected;
  FakeFederation federation(config);
  federation.observer.on_phase = [&](const std::string& phase, int64_t,
                                     int64_t) {
    if (phase == "round 1: training") selected.set_value();
  };
  ASSERT_THAT(federation.Open(), IsOk());
  std::vector<std::string> clients;
  clients.reserve(kClients);
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(fmt::format("client-{}", i));
    ASSERT_THAT(FakeClient(*federation.coordinator, clients.back()).Join(),
                IsOk());
  }
  ASSERT_EQ(selected.get_future().wait_for(testing::kPatience),
            std::future_status::ready);
  const auto tasks = *federation.Look()->LoadTasks(1, 1);
  std::vector<std::string> cohort;
  cohort.reserve(tasks.size());
  for (const TaskRow& task : tasks) cohort.push_back(task.client_id);
  const uint64_t secret = federation.coordinator->Run().selection_seed;
  EXPECT_THAT(cohort, UnorderedElementsAreArray(*SelectClients(
                          SelectorOptionsFrom(config.rounds()), clients,
                          SelectionSeed(secret, 1, 0))));
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
