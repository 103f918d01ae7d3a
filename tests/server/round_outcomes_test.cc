// What becomes of reports that are late, repeated, wrong or missing, and that
// none of them leaves a trace in the round.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "server/coordinator.h"
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

// How many of an attempt's TRAIN tasks ended how.
std::map<proto::TaskOutcome, int> Outcomes(FakeFederation& federation,
                                           int64_t number, int64_t attempt) {
  std::map<proto::TaskOutcome, int> outcomes;
  const auto tasks = federation.Look()->LoadTasks(number, attempt);
  for (const TaskRow& task : *tasks) {
    if (task.kind == proto::TRAIN) ++outcomes[task.outcome];
  }
  return outcomes;
}

proto::ServerConfig ThreeClients() {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_min_clients(3);
  return config;
}

// A run of clients a, b and c, where c answers as `answer` says after a has
// answered and before b does. Returns the digest of the final adapter.
std::string RunWith(const std::function<void(FakeFederation&, FakeClient&,
                                             const proto::Task&)>& answer) {
  FakeFederation federation(ThreeClients());
  EXPECT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b"),
      c(*federation.coordinator, "c");
  for (FakeClient* client : {&a, &b, &c}) EXPECT_THAT(client->Join(), IsOk());
  const proto::Task task_a = a.Task(), task_b = b.Task(), task_c = c.Task();
  EXPECT_EQ(a.Answer(task_a.task_id(), FakeAdapter(1), 2), proto::ACCEPTED);
  const auto before = *federation.Look()->LoadContributions(1, 1);
  answer(federation, c, task_c);
  EXPECT_EQ(*federation.Look()->LoadContributions(1, 1), before);
  EXPECT_EQ(b.Answer(task_b.task_id(), FakeAdapter(2), 3), proto::ACCEPTED);
  EXPECT_THAT(federation.WaitForEnd(), IsOk());
  return (*federation.Look()->LoadRun())->adapter;
}

std::string RunWithoutC() {
  static const std::string adapter =
      RunWith([](FakeFederation&, FakeClient& c, const proto::Task& task) {
        EXPECT_EQ(c.Fail(task.task_id()), proto::CLIENT_FAILED);
      });
  return adapter;
}

// c's bad report gets this outcome, again when repeated, and changes nothing.
void ExpectHarmless(proto::TaskOutcome outcome,
                    const std::function<StatusOr<proto::ReportRequest>(
                        FakeClient&, const proto::Task&)>& make_report,
                    const std::string& message = "") {
  EXPECT_EQ(RunWith([&](FakeFederation& federation, FakeClient& c,
                        const proto::Task& task) {
              const auto request = make_report(c, task);
              ASSERT_THAT(request, IsOk());
              const auto response = c.Report(*request);
              ASSERT_THAT(response, IsOk());
              EXPECT_EQ(response->outcome(), outcome) << response->message();
              EXPECT_THAT(response->message(), HasSubstr(message));
              EXPECT_EQ(c.Report(*request)->ShortDebugString(),
                        response->ShortDebugString());
              EXPECT_EQ(Outcomes(federation, 1, 1)[outcome], 1);
            }),
            RunWithoutC());
}

TEST(RoundOutcomes, NanIsNotFinite) {
  ExpectHarmless(proto::NOT_FINITE, [](FakeClient& c, const proto::Task& task) {
    TensorMap update = FakeAdapter(1);
    update[testing::kFakeB][1][1] = std::numeric_limits<float>::quiet_NaN();
    return c.ReportFor(task.task_id(), *c.Upload(update));
  });
}

TEST(RoundOutcomes, WrongShape) {
  ExpectHarmless(proto::WRONG_SHAPE,
                 [](FakeClient& c, const proto::Task& task) {
                   TensorMap update = FakeAdapter(1);
                   update[testing::kFakeB] = at::ones({4, 3});
                   return c.ReportFor(task.task_id(), *c.Upload(update));
                 });
}

TEST(RoundOutcomes, MissingTensor) {
  ExpectHarmless(proto::WRONG_SHAPE,
                 [](FakeClient& c, const proto::Task& task) {
                   TensorMap update = FakeAdapter(1);
                   update.erase(testing::kFakeB);
                   return c.ReportFor(task.task_id(), *c.Upload(update));
                 });
}

TEST(RoundOutcomes, BadWeights) {
  for (const double weight :
       {0.0, -1.0, 1e9, std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    ExpectHarmless(
        proto::BAD_WEIGHT, [&](FakeClient& c, const proto::Task& task) {
          return c.ReportFor(task.task_id(), *c.Upload(FakeAdapter(9)), weight);
        });
  }
}

TEST(RoundOutcomes, NotSafetensors) {
  ExpectHarmless(proto::MALFORMED, [](FakeClient& c, const proto::Task& task) {
    return c.ReportFor(task.task_id(), *c.Upload("not a tensor in sight"));
  });
}

TEST(RoundOutcomes, AbsurdMetrics) {
  ExpectHarmless(
      proto::MALFORMED,
      [](FakeClient& c, const proto::Task& task) {
        auto request = c.ReportFor(task.task_id(), *c.Upload(FakeAdapter(9)));
        request.mutable_metrics()->set_trained_tokens(-5);
        return request;
      },
      "metrics.trained_tokens is -5");
}

TEST(RoundOutcomes, NeverUploaded) {
  ExpectHarmless(proto::MISSING_OBJECT,
                 [](FakeClient& c, const proto::Task& task) {
                   proto::ObjectRef ref;
                   ref.set_sha256(Sha256Hex("nothing"));
                   return c.ReportFor(task.task_id(), ref);
                 });
}

TEST(RoundOutcomes, NoDigestAtAll) {
  for (const std::string digest : {"", "../../state.db", "ABC"}) {
    EXPECT_EQ(
        RunWith([&](FakeFederation&, FakeClient& c, const proto::Task& task) {
          proto::ObjectRef ref;
          ref.set_sha256(digest);
          EXPECT_EQ(c.Report(c.ReportFor(task.task_id(), ref))->outcome(),
                    proto::MISSING_OBJECT);
        }),
        RunWithoutC());
  }
}

TEST(RoundOutcomes, AnothersTaskAndUnknownTasksAreWrongRound) {
  EXPECT_EQ(
      RunWith([](FakeFederation&, FakeClient& c, const proto::Task& task) {
        const auto update = c.Upload(FakeAdapter(9));
        for (const std::string id :
             {"", "r1.1-train-b", "r2.1-train-c", "r0.1-train-c"}) {
          EXPECT_EQ(c.Report(c.ReportFor(id, *update))->outcome(),
                    proto::WRONG_ROUND)
              << id;
        }
        c.Fail(task.task_id());
      }),
      RunWithoutC());
}

TEST(RoundOutcomes, ADuplicateIsAnsweredAndNotCounted) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task task = a.Task();
  const auto report = a.ReportFor(task.task_id(), *a.Upload(FakeAdapter(1)));
  const auto other = a.ReportFor(task.task_id(), *a.Upload(FakeAdapter(5)));
  ASSERT_EQ(a.Report(report)->outcome(), proto::ACCEPTED);
  const auto before = *federation.Look()->LoadContributions(1, 1);
  EXPECT_EQ(a.Report(report)->outcome(), proto::ACCEPTED);
  EXPECT_EQ(a.Report(report)->outcome(), proto::ACCEPTED);
  // Another update for the same task is too late, whatever it holds.
  EXPECT_EQ(a.Report(other)->outcome(), proto::LATE);
  EXPECT_EQ(*federation.Look()->LoadContributions(1, 1), before);
  EXPECT_EQ((*federation.Look()->LoadClient("a"))->trained_tokens, 100);
  b.Answer(b.Task().task_id(), FakeAdapter(1));
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(a.Report(report)->outcome(), proto::ACCEPTED);
}

TEST(RoundOutcomes, AnotherUpdateForATaskOfAnEarlierRoundIsWrongRound) {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_count(2);
  config.mutable_rounds()->set_min_clients(1);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a");
  ASSERT_THAT(a.Join(), IsOk());
  const proto::Task first = a.Task();
  ASSERT_EQ(a.Answer(first.task_id(), FakeAdapter(1)), proto::ACCEPTED);
  const proto::Task second = a.Task();
  ASSERT_EQ(second.round(), 2);
  EXPECT_EQ(a.Answer(first.task_id(), FakeAdapter(5)), proto::WRONG_ROUND);
  EXPECT_TRUE(federation.Look()->LoadContributions(2, 1)->empty());
  EXPECT_EQ(a.Answer(second.task_id(), FakeAdapter(1)), proto::ACCEPTED);
}

TEST(RoundOutcomes, DeadlineWithQuorumLeavesTheLateOut) {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_deadline_seconds(30);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task task = b.Task();
  EXPECT_EQ(task.deadline_seconds(), 30);
  ASSERT_EQ(a.Answer(a.Task().task_id(), FakeAdapter(1)), proto::ACCEPTED);
  const auto report = b.ReportFor(task.task_id(), *b.Upload(FakeAdapter(2)));
  federation.clock.Advance(Seconds(31));
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(b.Report(report)->outcome(), proto::LATE);
  EXPECT_FALSE(federation.objects->Has(report.update().sha256()));
  EXPECT_EQ(Outcomes(federation, 1, 1),
            (std::map<proto::TaskOutcome, int>{{proto::ACCEPTED, 1},
                                               {proto::LATE, 1}}));
  EXPECT_EQ(federation.Rounds().at(0).state, RoundState::kCommitted);
}

TEST(RoundOutcomes, DeadlineWithoutQuorumDrawsAgainThenFails) {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_quorum(2);
  config.mutable_rounds()->set_deadline_seconds(30);
  config.mutable_rounds()->set_max_abandoned_in_a_row(2);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task first = a.Task();
  ASSERT_EQ(a.Answer(first.task_id(), FakeAdapter(1)), proto::ACCEPTED);
  auto held = a.Ask();
  ASSERT_THAT(b.Heartbeat("r1.1-train-b"), IsOk());
  federation.clock.Advance(Seconds(31));
  ASSERT_EQ(held.wait_for(testing::kPatience), std::future_status::ready);
  auto answer = held.get();
  ASSERT_THAT(answer, IsOk());
  const proto::Task second = answer->has_task() ? answer->task() : a.Task();
  EXPECT_EQ(second.task_id(), "r1.2-train-a");
  EXPECT_NE(second.seed(), first.seed());
  ASSERT_EQ(a.Answer(second.task_id(), FakeAdapter(1)), proto::ACCEPTED);
  ASSERT_THAT(b.Heartbeat("r1.2-train-b"), IsOk());
  federation.clock.Advance(Seconds(31));
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  const auto run = *federation.Look()->LoadRun();
  EXPECT_EQ(run->state, RunState::kFailed);
  EXPECT_THAT(run->reason, HasSubstr("abandoned 2 times in a row"));
  EXPECT_EQ(run->adapter, run->initial_adapter);
  EXPECT_EQ(a.Next()->run_finished(), "FAILED");
  for (const RoundRow& round : federation.Rounds()) {
    EXPECT_EQ(round.state, RoundState::kAbandoned);
    EXPECT_THAT(round.reason, HasSubstr("1 of 2 updates were accepted"));
  }
}

TEST(RoundOutcomes, ASilentClientLosesItsTask) {
  auto config = FakeRunConfig();
  config.mutable_limits()->set_client_timeout_seconds(60);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task task_a = a.Task(), task_b = b.Task();
  const auto late = b.ReportFor(task_b.task_id(), *b.Upload(FakeAdapter(1)));
  federation.clock.Advance(Seconds(40));
  ASSERT_THAT(a.Heartbeat(task_a.task_id()), IsOk());
  federation.clock.Advance(Seconds(40));
  ASSERT_EQ(a.Answer(task_a.task_id(), FakeAdapter(1)), proto::ACCEPTED);
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(Outcomes(federation, 1, 1),
            (std::map<proto::TaskOutcome, int>{{proto::ACCEPTED, 1},
                                               {proto::CLIENT_LOST, 1}}));
  EXPECT_EQ(b.Report(late)->outcome(), proto::CLIENT_LOST);
}

TEST(RoundOutcomes, JoiningAnewLosesTheTaskAndEndsTheOldSession) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b"),
      again(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task task_b = b.Task();
  const auto update = b.Upload(FakeAdapter(1));
  ASSERT_THAT(update, IsOk());
  ASSERT_THAT(again.Join(), IsOk());
  EXPECT_THAT(b.Next(), StatusIs(StatusCode::kUnauthenticated));
  const auto lost = again.Report(again.ReportFor(task_b.task_id(), *update));
  EXPECT_EQ(lost->outcome(), proto::CLIENT_LOST);
  ASSERT_EQ(a.Answer(a.Task().task_id(), FakeAdapter(1)), proto::ACCEPTED);
  EXPECT_EQ(again.Next()->run_finished(), "FINISHED");
  EXPECT_EQ(Outcomes(federation, 1, 1)[proto::CLIENT_LOST], 1);
}

}  // namespace
}  // namespace tandem
