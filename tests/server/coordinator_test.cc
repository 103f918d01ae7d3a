#include "server/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "server/run_report.h"
#include "tests/testing/federation.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::FakeAdapter;
using testing::FakeClient;
using testing::FakeFederation;
using testing::FakeRunConfig;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Pair;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

// Every element of the run's global adapter has this value.
void ExpectAdapterIs(FakeFederation& federation, double expected) {
  const auto run = *federation.Look()->LoadRun();
  const TensorMap adapter = federation.Tensors(run->adapter);
  for (const auto& [name, tensor] : adapter) {
    EXPECT_TRUE(at::allclose(tensor, at::full_like(tensor, expected)))
        << name << "\n"
        << tensor << "\nexpected " << expected;
  }
}

TEST(Coordinator, FullRunAveragesByWeightRoundAfterRound) {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_count(3);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  for (int round = 1; round <= 3; ++round) {
    const proto::Task task_a = a.Task(), task_b = b.Task();
    EXPECT_EQ(task_a.round(), round);
    EXPECT_NE(task_a.seed(), task_b.seed());
    EXPECT_EQ(task_a.global_adapter().sha256(),
              task_b.global_adapter().sha256());
    EXPECT_THAT(a.Download(task_a.global_adapter().sha256()), IsOk());
    EXPECT_EQ(a.Answer(task_a.task_id(), FakeAdapter(1), 1), proto::ACCEPTED);
    EXPECT_EQ(b.Answer(task_b.task_id(), FakeAdapter(2), 3), proto::ACCEPTED);
  }
  const auto last = a.Next();
  ASSERT_THAT(last, IsOk());
  EXPECT_EQ(last->run_finished(), "FINISHED");
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  // 0.5 at first, then (1 * 1 + 3 * 2) / 4 a round.
  ExpectAdapterIs(federation, 0.5 + 3 * 1.75);
  EXPECT_FALSE(federation.coordinator->EveryoneHeardOfTheEnd());
  EXPECT_EQ(b.Next()->run_finished(), "FINISHED");
  EXPECT_TRUE(federation.coordinator->EveryoneHeardOfTheEnd());
}

TEST(Coordinator, DistilsAndEvaluatesBeforeTheCommit) {
  auto config = FakeRunConfig();
  config.mutable_evaluation()->set_at_clients(true);
  FakeFederation federation(config);
  federation.model.distils_rounds = true;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(/*can_evaluate=*/true), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  a.Answer(a.Task().task_id(), FakeAdapter(1));
  b.Answer(b.Task().task_id(), FakeAdapter(1));
  const proto::Task task = a.Task();
  EXPECT_EQ(task.kind(), proto::EVALUATE);
  proto::ReportRequest report;
  report.set_session(a.session());
  report.set_task_id(task.task_id());
  auto* result = report.mutable_metrics()->add_evaluation();
  result->set_name("private");
  result->set_loss_nats(12);
  result->set_target_tokens(6);
  result->set_target_bytes(30);
  EXPECT_EQ(a.Report(report)->outcome(), proto::ACCEPTED);
  EXPECT_EQ(b.Next()->run_finished(), "FINISHED");

  const auto run = *federation.Look()->LoadRun();
  // What clients evaluated is what was committed: B is 0.5 + 1, distilled by 1.
  EXPECT_EQ(run->adapter, task.global_adapter().sha256());
  EXPECT_TRUE(federation.Tensors(run->adapter)[testing::kFakeB]
                  .eq(2.5)
                  .all()
                  .item<bool>());
  const auto report_read = ReadRunReport(federation.folder.path());
  ASSERT_THAT(report_read, IsOk());
  const RoundReport& round = report_read->rounds.at(0);
  EXPECT_EQ(round.state, "COMMITTED");
  EXPECT_THAT(round.outcomes, ElementsAre(Pair("ACCEPTED", 2)));
  ASSERT_EQ(round.evaluations.size(), 2u);
  EXPECT_EQ(round.evaluations[0].source, "server");
  EXPECT_DOUBLE_EQ(round.evaluations[0].result.loss_nats, 8 * 2.5);
  EXPECT_EQ(round.evaluations[1].source, "a");
  EXPECT_DOUBLE_EQ(round.evaluations[1].result.Perplexity(), std::exp(2.0));
}

TEST(Coordinator, MissingClientEvaluationsDoNotHoldUpARound) {
  auto config = FakeRunConfig();
  config.mutable_evaluation()->set_at_clients(true);
  config.mutable_evaluation()->set_client_deadline_seconds(5);
  config.mutable_limits()->set_client_timeout_seconds(1000);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(true), IsOk());
  ASSERT_THAT(b.Join(true), IsOk());
  a.Answer(a.Task().task_id(), FakeAdapter(1));
  b.Answer(b.Task().task_id(), FakeAdapter(1));
  EXPECT_EQ(a.Task().kind(), proto::EVALUATE);
  EXPECT_EQ(b.Task().kind(), proto::EVALUATE);
  EXPECT_EQ(a.Fail("r1.1-evaluate-a"), proto::CLIENT_FAILED);
  // The server's own evaluation must be in before time runs out.
  federation.clock.Advance(Seconds(5.1));
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  EXPECT_EQ(federation.Rounds().at(0).state, RoundState::kCommitted);
}

TEST(Coordinator, TargetsAndDistillationWeightGoToClientsTogether) {
  auto config = FakeRunConfig();
  config.mutable_training()->set_distillation_weight(0.5);
  config.mutable_distillation()->set_enabled(true);
  config.mutable_distillation()->set_data("auxiliary.jsonl");
  config.mutable_model()->set_teacher("teacher.gguf");
  config.mutable_limits()->set_chunk_bytes(1024);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task task = a.Task();
  EXPECT_EQ(task.training().distillation_weight(), 0.5);
  const auto targets = a.Download(task.auxiliary_targets().sha256());
  ASSERT_THAT(targets, IsOk());
  EXPECT_EQ(*targets, "teacher targets");
  EXPECT_EQ(task.auxiliary_targets().size_bytes(), 15);
}

TEST(Coordinator, JoinIsCheckedAtTheDoor) {
  auto config = FakeRunConfig();
  config.mutable_limits()->set_max_clients(1);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  proto::JoinRequest request;
  request.set_protocol_version(kProtocolVersion);
  request.set_base_model_digest(federation.model.digest);
  for (const std::string id : {"", "a b", "../a", "caf\xc3\xa9"}) {
    request.set_client_id(id);
    EXPECT_THAT(federation.coordinator->Join(request),
                StatusIs(StatusCode::kInvalidArgument));
  }
  request.set_client_id(std::string(65, 'a'));
  EXPECT_THAT(federation.coordinator->Join(request),
              StatusIs(StatusCode::kInvalidArgument));
  request.set_client_id("a");
  request.set_protocol_version(1);
  EXPECT_THAT(federation.coordinator->Join(request),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr("protocol version 1")));
  request.set_protocol_version(kProtocolVersion);
  request.set_base_model_digest(Sha256Hex("another"));
  EXPECT_THAT(federation.coordinator->Join(request),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr(federation.model.digest)));
  request.set_base_model_digest(federation.model.digest);
  const auto joined = federation.coordinator->Join(request);
  ASSERT_THAT(joined, IsOk());
  EXPECT_EQ(joined->session().size(), 32u);
  request.set_client_id("b");
  EXPECT_THAT(
      federation.coordinator->Join(request),
      StatusIs(StatusCode::kResourceExhausted, HasSubstr("max_clients")));
}

TEST(Coordinator, EveryCallNeedsASession) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient stranger(*federation.coordinator, "stranger");
  const auto unknown = StatusIs(StatusCode::kUnauthenticated);
  for (const std::string session : {"", "0123456789abcdef0123456789abcdef"}) {
    stranger.set_session(session);
    EXPECT_THAT(stranger.Next(), unknown);
    EXPECT_THAT(stranger.Download(Sha256Hex("x")), unknown);
    EXPECT_THAT(stranger.Upload("bytes"), unknown);
    EXPECT_THAT(stranger.Report(stranger.ReportFor("r1.1-train-a", {})),
                unknown);
    EXPECT_THAT(stranger.Heartbeat("r1.1-train-a"), unknown);
  }
}

TEST(Coordinator, ClientsCannotReadEachOthersUpdates) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  EXPECT_EQ(a.Task().kind(), proto::TRAIN);
  const auto update = a.Upload(FakeAdapter(3));
  ASSERT_THAT(update, IsOk());
  EXPECT_THAT(b.Download(update->sha256()), StatusIs(StatusCode::kNotFound));
}

TEST(Coordinator, UploadsNeedAnOpenTaskToTrain) {
  auto config = FakeRunConfig();
  config.mutable_evaluation()->set_at_clients(true);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  const auto refused = StatusIs(StatusCode::kFailedPrecondition,
                                HasSubstr("client 'a' has no open task"));
  ASSERT_THAT(a.Join(/*can_evaluate=*/true), IsOk());
  EXPECT_THAT(a.Upload("before any task"), refused);
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task task = a.Task();
  EXPECT_EQ(a.Answer(task.task_id(), FakeAdapter(1)), proto::ACCEPTED);
  EXPECT_THAT(a.Upload("after the report"), refused);
  EXPECT_EQ(b.Answer(b.Task().task_id(), FakeAdapter(1)), proto::ACCEPTED);
  EXPECT_EQ(a.Task().kind(), proto::EVALUATE);
  EXPECT_THAT(a.Upload("in an evaluation"), refused);
  EXPECT_FALSE(federation.objects->Has(Sha256Hex("after the report")));
}

TEST(Coordinator, UploadsAreBoundedByTheGlobalAdaptersSize) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const int64_t limit =
      2 * a.Task().global_adapter().size_bytes() + (int64_t{1} << 20);
  proto::PutObjectRequest request;
  request.set_session(a.session());
  request.mutable_object()->set_sha256(Sha256Hex("x"));
  request.mutable_object()->set_size_bytes(limit);
  EXPECT_THAT(federation.coordinator->PutObject(request), IsOk());
  request.mutable_object()->set_size_bytes(limit + 1);
  EXPECT_THAT(federation.coordinator->PutObject(request),
              StatusIs(StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(std::to_string(limit + 1)),
                             HasSubstr(fmt::format("at most {}", limit)))));
}

TEST(Coordinator, ATaskMayBeginEightUploads) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  EXPECT_EQ(a.Task().kind(), proto::TRAIN);
  for (int i = 0; i < 8; ++i)
    EXPECT_THAT(a.Upload(fmt::format("upload {}", i)), IsOk());
  EXPECT_THAT(a.Upload("one more"),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr("begun 8 uploads for task r1.1-train-a")));
  // Asked for again, the task is the same one, and what is there stays.
  const proto::Task task = a.Task();
  EXPECT_THAT(a.Upload("one more"), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(a.Upload("upload 3"), IsOk());
  EXPECT_EQ(b.Task().kind(), proto::TRAIN);
  EXPECT_THAT(b.Upload("another client's"), IsOk());
}

TEST(Coordinator, MaxObjectBytesBoundsUploadsToo) {
  auto config = FakeRunConfig();
  config.mutable_limits()->set_max_object_bytes(1000);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  EXPECT_EQ(a.Task().kind(), proto::TRAIN);
  EXPECT_THAT(a.Upload(std::string(1001, 'x')),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr("max_object_bytes = 1000")));
}

TEST(Coordinator, AHeldCallIsAnsweredWhenItsTimeIsOver) {
  FakeFederation federation;
  federation.config.mutable_limits()->set_long_poll_seconds(20);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a");
  ASSERT_THAT(a.Join(), IsOk());
  auto held = a.Ask();
  // The next call of the same client is served after the first was held.
  ASSERT_THAT(a.Heartbeat("none"), IsOk());
  federation.clock.Advance(Seconds(20));
  ASSERT_EQ(held.wait_for(testing::kPatience), std::future_status::ready);
  const auto answer = held.get();
  ASSERT_THAT(answer, IsOk());
  ASSERT_TRUE(answer->has_retry_after_seconds());
  EXPECT_EQ(answer->retry_after_seconds(), 0);
}

TEST(Coordinator, ASecondCallOfAClientReplacesTheFirst) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a");
  ASSERT_THAT(a.Join(), IsOk());
  auto first = a.Ask();
  auto second = a.Ask();
  ASSERT_EQ(first.wait_for(testing::kPatience), std::future_status::ready);
  EXPECT_TRUE(first.get()->has_retry_after_seconds());
  federation.coordinator->Shutdown();
  EXPECT_THAT(second.get(), StatusIs(StatusCode::kUnavailable));
}

TEST(Coordinator, ATaskIsGivenAgainUntilItIsAnswered) {
  FakeFederation federation;
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task task = a.Task();
  EXPECT_EQ(a.Task().ShortDebugString(), task.ShortDebugString());
  EXPECT_FALSE(a.Heartbeat(task.task_id())->task_cancelled());
  EXPECT_TRUE(b.Heartbeat(task.task_id())->task_cancelled());
  a.Answer(task.task_id(), FakeAdapter(1));
  EXPECT_TRUE(a.Heartbeat(task.task_id())->task_cancelled());
}

TEST(Coordinator, MetricsAddUpOverTasksAndProcesses) {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_count(3);
  config.mutable_rounds()->set_min_clients(1);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a");
  ASSERT_THAT(a.Join(), IsOk());
  // The third task is done by a new process of the client.
  for (const int64_t downloaded : {1000, 1500, 700}) {
    if (downloaded == 700) {
      ASSERT_THAT(a.Join(), IsOk());
    }
    const proto::Task task = a.Task();
    auto request = a.ReportFor(task.task_id(), *a.Upload(FakeAdapter(1)));
    request.mutable_metrics()->set_bytes_downloaded(downloaded);
    request.mutable_metrics()->set_peak_rss_bytes(10 * downloaded);
    EXPECT_EQ(a.Report(request)->outcome(), proto::ACCEPTED);
  }
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  const auto report = ReadRunReport(federation.folder.path());
  ASSERT_THAT(report, IsOk());
  ASSERT_EQ(report->clients.size(), 1u);
  EXPECT_EQ(report->clients[0].bytes_downloaded, 2200);
  EXPECT_EQ(report->clients[0].tokens_trained, 300);
  EXPECT_EQ(report->clients[0].peak_rss_bytes, 15000);
}

TEST(Coordinator, UpdatesAreRemovedAfterTheCommitButNeverAnAdapter) {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_count(2);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  FakeClient a(*federation.coordinator, "a"), b(*federation.coordinator, "b");
  ASSERT_THAT(a.Join(), IsOk());
  ASSERT_THAT(b.Join(), IsOk());
  const proto::Task first = a.Task();
  const proto::Task task_b = b.Task();
  const auto update = b.Upload(FakeAdapter(3));
  // The client names the global adapter itself as its update.
  const auto report = a.ReportFor(first.task_id(), first.global_adapter());
  EXPECT_EQ(a.Report(report)->outcome(), proto::ACCEPTED);
  const auto of_b = b.Report(b.ReportFor(task_b.task_id(), *update));
  EXPECT_EQ(of_b->outcome(), proto::ACCEPTED);
  EXPECT_EQ(a.Task().round(), 2);
  EXPECT_FALSE(federation.objects->Has(update->sha256()));
  EXPECT_TRUE(federation.objects->Has(first.global_adapter().sha256()));
}

}  // namespace
}  // namespace tandem
