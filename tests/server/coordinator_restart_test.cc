#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "server/coordinator.h"
#include "tests/testing/federation.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using testing::FakeAdapter;
using testing::FakeClient;
using testing::FakeFederation;
using testing::FakeRunConfig;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

proto::ServerConfig ThreeRounds() {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_count(3);
  config.mutable_aggregation()->set_server_optimizer("adam");
  return config;
}

// An update that depends on all that a client is told, so that equal final
// bytes mean that it was told the same.
TensorMap UpdateFor(const proto::Task& task, const std::string& client) {
  return FakeAdapter(static_cast<double>(task.seed() % 1000) / 1000 +
                     task.round() + static_cast<double>(client[0]));
}

// Both clients of the run.
struct Pair {
  explicit Pair(FederationHandler& handler) : a(handler, "a"), b(handler, "b") {
    EXPECT_THAT(a.Join(), IsOk());
    EXPECT_THAT(b.Join(), IsOk());
  }
  static void AnswerOne(FakeClient& client) {
    const proto::Task task = client.Task();
    EXPECT_EQ(client.Answer(task.task_id(), UpdateFor(task, client.id())),
              proto::ACCEPTED);
  }
  void AnswerRounds(int rounds) {
    for (int i = 0; i < rounds; ++i) {
      AnswerOne(a);
      AnswerOne(b);
    }
  }
  FakeClient a, b;
};

std::string AdapterOfUninterruptedRun() {
  FakeFederation federation(ThreeRounds());
  EXPECT_THAT(federation.Open(), IsOk());
  Pair(*federation.coordinator).AnswerRounds(3);
  EXPECT_THAT(federation.WaitForEnd(), IsOk());
  return federation.coordinator->Run().adapter;
}

TEST(CoordinatorRestart, MidRunEndsWithTheSameBytes) {
  FakeFederation federation(ThreeRounds());
  ASSERT_THAT(federation.Open(), IsOk());
  Pair before(*federation.coordinator);
  before.AnswerRounds(1);
  Pair::AnswerOne(before.a);  // round 2 is half collected
  const std::string old_session = before.a.session();
  federation.Close();
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient stale(*federation.coordinator, "a");
  stale.set_session(old_session);
  EXPECT_THAT(stale.Next(), StatusIs(StatusCode::kUnauthenticated));
  Pair(*federation.coordinator).AnswerRounds(2);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(federation.coordinator->Run().adapter, AdapterOfUninterruptedRun());
  EXPECT_EQ(federation.model.calls.initial, 1);
}

TEST(CoordinatorRestart, WaitsForAllClientsOfTheFirstRoundAgain) {
  FakeFederation federation(ThreeRounds());
  ASSERT_THAT(federation.Open(), IsOk());
  Pair(*federation.coordinator).AnswerRounds(1);
  federation.Close();
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  auto held = a.Ask();
  ASSERT_THAT(a.Heartbeat("none"), IsOk());
  EXPECT_NE(held.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  ASSERT_THAT(b.Join(), IsOk());
  ASSERT_EQ(held.wait_for(testing::kPatience), std::future_status::ready);
  EXPECT_TRUE(held.get()->has_task());
}

TEST(CoordinatorRestart, AFinishedRunStaysFinished) {
  FakeFederation federation(ThreeRounds());
  ASSERT_THAT(federation.Open(), IsOk());
  Pair(*federation.coordinator).AnswerRounds(3);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  const RunRow before = federation.coordinator->Run();
  federation.Close();
  ASSERT_THAT(federation.Open(), IsOk());
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  FakeClient a(*federation.coordinator, "a");
  ASSERT_THAT(a.Join(), IsOk());
  EXPECT_EQ(a.Next()->run_finished(), "FINISHED");
  EXPECT_EQ(federation.coordinator->Run().adapter, before.adapter);
}

TEST(CoordinatorRestart, AChangedFieldThatMattersIsNamed) {
  FakeFederation federation(ThreeRounds());
  ASSERT_THAT(federation.Open(), IsOk());
  federation.Close();
  federation.config.mutable_training()->mutable_optimizer()->set_learning_rate(
      0.5);
  EXPECT_THAT(federation.Open(),
              StatusIs(StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("training.optimizer.learning_rate"),
                             HasSubstr("0.001"), HasSubstr("0.5"))));
}

TEST(CoordinatorRestart, AnotherBaseModelIsRefused) {
  FakeFederation federation(ThreeRounds());
  ASSERT_THAT(federation.Open(), IsOk());
  federation.Close();
  federation.model.digest = Sha256Hex("another model");
  EXPECT_THAT(federation.Open(), StatusIs(StatusCode::kFailedPrecondition,
                                          HasSubstr(federation.model.digest)));
}

// The real thing: a process that dies of SIGKILL when a round was committed,
// and another that goes on in its directory.
TEST(CoordinatorRestartDeathTest, KilledBetweenRoundsEndsWithTheSameBytes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  FakeFederation federation(ThreeRounds());
  // The child of a threadsafe death test runs this test from its start, in a
  // folder of its own; the environment tells it the parent's.
  if (const char* folder = ::getenv("TANDEM_KILL_TEST_FOLDER")) {
    federation.config.mutable_run()->set_directory(folder);
  } else {
    ::setenv("TANDEM_KILL_TEST_FOLDER", federation.folder.path().c_str(), 1);
    // What the child leaves behind goes with the parent's folder.
    ::setenv("TMPDIR", federation.folder.path().c_str(), 1);
  }
  const std::filesystem::path folder = federation.config.run().directory();
  auto run_and_die = [&] {
    federation.observer.on_round_ended = [](const RoundReport& round) {
      if (round.number == 2) ::raise(SIGKILL);
    };
    auto store = *SqliteStateStore::Open(folder / "state.db");
    auto objects = *FileObjectStore::Open(folder / "objects", 1 << 30);
    federation.coordinator = *Coordinator::Start(
        {federation.config, store.get(), objects.get(), &federation.model,
         &federation.clock, federation.observer});
    Pair(*federation.coordinator).AnswerRounds(3);
  };
  EXPECT_EXIT(run_and_die(), ::testing::KilledBySignal(SIGKILL), "");
  ::unsetenv("TANDEM_KILL_TEST_FOLDER");
  ::unsetenv("TMPDIR");
  ASSERT_THAT(federation.Open(), IsOk());
  EXPECT_EQ(federation.coordinator->Run().committed_rounds, 2);
  Pair(*federation.coordinator).AnswerRounds(1);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(federation.coordinator->Run().adapter, AdapterOfUninterruptedRun());
}

}  // namespace
}  // namespace tandem
