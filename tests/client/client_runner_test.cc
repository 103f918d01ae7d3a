// A client's life against a scripted server.
#include "client/client_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "client/in_process_connection.h"
#include "client/update_transform.h"
#include "common/files.h"
#include "model/aten.h"
#include "model/safetensors.h"
#include "tests/client/fake_federation.h"
#include "tests/client/tiny_client.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_folder.h"

namespace tandem {
namespace {

using testing::FakeFederation;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;
using testing::TinyModel;

struct RecordingObserver : ClientObserver {
  void OnJoined(const proto::JoinResponse&) override { ++joined; }
  void OnTask(const proto::Task& task) override {
    tasks.push_back(task.task_id());
  }
  void OnProgress(const proto::Task& task, const Progress& p) override {
    ++progress;
    if (on_progress) on_progress(task, p);
  }
  void OnOutcome(const proto::Task&, const proto::ReportRequest&,
                 const proto::ReportResponse& response) override {
    outcomes.push_back(response.outcome());
  }
  int joined = 0, progress = 0;
  std::vector<std::string> tasks;
  std::vector<proto::TaskOutcome> outcomes;
  std::function<void(const proto::Task&, const Progress&)> on_progress;
};

class ClientRunnerTest : public ::testing::Test {
 protected:
  ClientRunnerTest() {
    options_.client_id = "client-a";
    options_.cache_directory = folder_ / "cache";
    options_.retry.min_seconds = 0.001;
    options_.retry.max_seconds = 0.002;
    options_.retry.give_up_after_seconds = 30;
    adapter_ = federation_.AddObject(
        *SerializeSafetensors(testing::TinyAdapter().tensors));
  }

  proto::Task TrainTask(const std::string& id) {
    proto::Task task;
    task.set_task_id(id);
    task.set_kind(proto::TRAIN);
    task.set_round(1);
    *task.mutable_global_adapter() = adapter_;
    task.mutable_lora()->set_rank(4);
    task.mutable_lora()->set_alpha(8);
    task.mutable_training()->set_steps(3);
    task.mutable_training()->set_batch_size(2);
    task.mutable_training()->set_max_sequence_tokens(32);
    return task;
  }
  proto::Task EvaluateTask(const std::string& id) {
    proto::Task task = TrainTask(id);
    task.set_kind(proto::EVALUATE);
    task.set_evaluation_max_sequence_tokens(32);
    return task;
  }
  StatusOr<ClientSummary> Run(std::stop_token stop = {}) {
    return RunClient({TinyModel(), data_, *connection_, clock_, &observer_},
                     options_, stop);
  }
  // The update of report `i`, as the server received it.
  TensorMap Update(size_t i) {
    const std::filesystem::path path = folder_ / "update.safetensors";
    EXPECT_THAT(WriteFileAtomically(
                    path, federation_.uploaded(
                              federation_.reports[i].update().sha256())),
                IsOk());
    return ReadSafetensors(path)->tensors;
  }

  TempFolder folder_;
  FakeFederation federation_;
  SystemClock clock_;
  LocalData data_ = testing::TinyData();
  ClientOptions options_;
  RecordingObserver observer_;
  proto::ObjectRef adapter_;
  std::unique_ptr<Connection> connection_ =
      ConnectInProcess(federation_, proto::ConnectionConfig());
};

TEST_F(ClientRunnerTest, TrainsEvaluatesAndReportsUntilTheRunHasFinished) {
  federation_.AddTask(TrainTask("t1"));
  federation_.AddTask(EvaluateTask("t2"));
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());

  ASSERT_EQ(federation_.joins().size(), 1u);
  const proto::JoinRequest join = federation_.joins()[0];
  EXPECT_EQ(join.protocol_version(), kProtocolVersion);
  EXPECT_EQ(join.client_id(), "client-a");
  EXPECT_EQ(join.base_model_digest(), TinyModel().digest);
  EXPECT_TRUE(join.can_evaluate());

  ASSERT_EQ(federation_.reports.size(), 2u);
  const proto::ReportRequest& train = federation_.reports[0];
  EXPECT_EQ(train.task_id(), "t1");
  EXPECT_EQ(train.weight(), 4);
  EXPECT_FALSE(train.has_failure());
  EXPECT_GT(train.metrics().train_loss(), 0);
  EXPECT_GT(train.metrics().trained_tokens(), 0);
  EXPECT_GT(train.metrics().peak_rss_bytes(), 1 << 20);
  EXPECT_GE(train.metrics().bytes_downloaded(), adapter_.size_bytes());
  EXPECT_GE(train.metrics().bytes_uploaded(), train.update().size_bytes());

  ASSERT_EQ(federation_.reports[1].metrics().evaluation_size(), 1);
  const auto& evaluation = federation_.reports[1].metrics().evaluation(0);
  EXPECT_EQ(evaluation.name(), "tiny");
  EXPECT_EQ(evaluation.examples(), 4);
  EXPECT_GT(evaluation.loss_nats(), 0);

  EXPECT_EQ(summary.run_state, "COMPLETED");
  EXPECT_EQ(summary.run_id, "run");
  EXPECT_EQ(summary.tasks_reported, 2);
  EXPECT_EQ(summary.tasks_accepted, 2);
  EXPECT_EQ(summary.trained_tokens, train.metrics().trained_tokens());
  EXPECT_GT(summary.peak_rss_bytes, 1 << 20);
  EXPECT_EQ(observer_.joined, 1);
  EXPECT_EQ(observer_.tasks, (std::vector<std::string>{"t1", "t2"}));
  EXPECT_GE(observer_.progress, 3);
}

TEST_F(ClientRunnerTest, TheUpdateIsWhatLocalTrainingGivesClipped) {
  proto::Task task = TrainTask("t1");
  task.set_clip_norm_l2(0.01);
  task.set_seed(7);
  federation_.AddTask(task);
  ASSERT_THAT(Run(), IsOk());

  const Adapter global = testing::TinyAdapter();
  const auto examples = testing::TinyExamples();
  LocalTask local;
  local.model = &TinyModel().decoder;
  local.global = &global;
  local.examples = &examples;
  local.training = task.training();
  local.seed = 7;
  TANDEM_ASSERT_OK_AND_ASSIGN(LocalUpdate expected, TrainLocally(local));
  ASSERT_GT(NormL2(expected.delta), 0.01);
  ASSERT_THAT(NewClipTransform(0.01)->Apply(expected.delta), IsOk());

  const TensorMap update = Update(0);
  EXPECT_LE(NormL2(update), 0.01);
  ASSERT_EQ(update.size(), expected.delta.size());
  for (const auto& [name, tensor] : update) {
    EXPECT_TRUE(tensor.equal(expected.delta.at(name))) << name;
  }
}

TEST_F(ClientRunnerTest, AFrozenFactorDoesNotTravel) {
  proto::Task task = TrainTask("t1");
  task.set_freeze_lora_a(true);
  federation_.AddTask(task);
  ASSERT_THAT(Run(), IsOk());
  const TensorMap update = Update(0);
  EXPECT_EQ(update.size(), testing::TinyAdapter().tensors.size() / 2);
  for (const auto& [name, tensor] : update) {
    EXPECT_THAT(name, HasSubstr(".lora_B."));
  }
}

TEST_F(ClientRunnerTest, TeacherTargetsAreFetchedWhereTheTaskHasThem) {
  const auto path = folder_ / "targets.safetensors";
  ASSERT_THAT(WriteTeacherTargets(testing::OneSidedTargets(5), path), IsOk());
  proto::Task task = TrainTask("t1");
  *task.mutable_auxiliary_targets() = federation_.AddObject(*ReadFile(path));
  task.mutable_training()->set_distillation_weight(0.5);
  federation_.AddTask(task);
  ASSERT_THAT(Run(), IsOk());
  EXPECT_EQ(federation_.reports[0].failure(), "");
}

TEST_F(ClientRunnerTest, AnObjectIsDownloadedOnce) {
  federation_.AddTask(TrainTask("t1"));
  federation_.AddTask(TrainTask("t2"));
  ASSERT_THAT(Run(), IsOk());
  const auto chunks =
      static_cast<int>((adapter_.size_bytes() + federation_.chunk_bytes - 1) /
                       federation_.chunk_bytes);
  EXPECT_EQ(federation_.calls("GetObject"), chunks);
}

TEST_F(ClientRunnerTest, AnUnavailableServerIsWaitedFor) {
  federation_.AddTask(TrainTask("t1"));
  for (const char* method :
       {"Join", "NextTask", "GetObject", "PutObject", "Report"}) {
    federation_.FailNext(method, Unavailable("restarting"), 2);
  }
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());
  EXPECT_EQ(summary.tasks_accepted, 1);
  EXPECT_EQ(federation_.calls("Join"), 3);
  // A dropped transfer goes on where it was: no offset arrived twice.
  for (size_t i = 1; i < federation_.get_offsets.size(); ++i) {
    EXPECT_GT(federation_.get_offsets[i], federation_.get_offsets[i - 1]);
  }
}

TEST_F(ClientRunnerTest, GivesUpOnAServerThatStaysAway) {
  options_.retry.give_up_after_seconds = 0.01;
  federation_.FailNext("Join", Unavailable("refused"), 1000);
  EXPECT_THAT(Run(),
              StatusIs(StatusCode::kUnavailable, HasSubstr("giving up")));
}

TEST_F(ClientRunnerTest, JoinsARestartedServerAgainAndGoesOn) {
  federation_.AddTask(TrainTask("t1"));
  // The server forgets everybody before one call of each kind.
  std::vector<std::string> restarts = {"NextTask", "GetObject", "PutObject",
                                       "Report"};
  federation_.on_call = [&](const std::string& method) {
    const auto it = std::find(restarts.begin(), restarts.end(), method);
    if (it == restarts.end()) return;
    restarts.erase(it);
    federation_.ForgetSession();
  };
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());
  EXPECT_TRUE(restarts.empty());
  EXPECT_EQ(summary.tasks_accepted, 1);
  EXPECT_EQ(federation_.joins().size(), 5u);
}

TEST_F(ClientRunnerTest, TwoClientsUnderOneNameEndWithAnError) {
  federation_.on_call = [&](const std::string& method) {
    if (method == "NextTask") federation_.ForgetSession();
  };
  EXPECT_THAT(Run(), StatusIs(StatusCode::kUnauthenticated,
                              HasSubstr("another client join as 'client-a'")));
}

TEST_F(ClientRunnerTest, ARefusedJoinEndsTheClient) {
  federation_.FailNext("Join", FailedPrecondition("other base model"));
  EXPECT_THAT(Run(), StatusIs(StatusCode::kFailedPrecondition,
                              HasSubstr("other base model")));
  EXPECT_EQ(federation_.calls("NextTask"), 0);
}

TEST_F(ClientRunnerTest, TimesThatNobodyCanWaitForEndTheClient) {
  for (const double seconds : {std::nan(""), -1.0, 1e300}) {
    federation_.long_poll_seconds = seconds;
    EXPECT_THAT(Run(), StatusIs(StatusCode::kInvalidArgument,
                                HasSubstr("long_poll_seconds")));
    federation_.long_poll_seconds = 0.01;
    federation_.heartbeat_interval_seconds = seconds;
    EXPECT_THAT(Run(), StatusIs(StatusCode::kInvalidArgument,
                                HasSubstr("heartbeat_interval_seconds")));
    federation_.heartbeat_interval_seconds = 100;
  }
  EXPECT_EQ(federation_.calls("NextTask"), 0);
}

TEST_F(ClientRunnerTest, LocalFailuresAreReportedAndTheClientGoesOn) {
  TensorMap misshapen = testing::TinyAdapter().tensors;
  misshapen.begin()->second = at::zeros({1, 1});
  proto::Task wrong_shape = TrainTask("wrong-shape");
  *wrong_shape.mutable_global_adapter() =
      federation_.AddObject(*SerializeSafetensors(misshapen));
  proto::Task not_safetensors = TrainTask("not-safetensors");
  *not_safetensors.mutable_global_adapter() = federation_.AddObject("garbage");
  proto::Task missing = TrainTask("missing");
  missing.mutable_global_adapter()->set_sha256(Sha256Hex("nobody has it"));
  proto::Task steps = TrainTask("steps");
  steps.mutable_training()->set_steps(-5);
  proto::Task kind = TrainTask("kind");
  kind.clear_kind();
  proto::Task length = EvaluateTask("length");
  length.set_evaluation_max_sequence_tokens(1 << 30);
  proto::Task context = EvaluateTask("context");
  context.set_evaluation_max_sequence_tokens(513);
  for (const auto& task :
       {wrong_shape, not_safetensors, missing, steps, kind, length, context}) {
    federation_.AddTask(task);
  }
  federation_.AddTask(TrainTask("good"));
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());
  ASSERT_EQ(federation_.reports.size(), 8u);
  const auto failure = [&](int i) { return federation_.reports[i].failure(); };
  EXPECT_THAT(failure(0), HasSubstr("global adapter: "));
  EXPECT_THAT(failure(1), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(failure(2), HasSubstr("NOT_FOUND"));
  EXPECT_THAT(failure(3), HasSubstr("training.steps is -5"));
  EXPECT_THAT(failure(4), HasSubstr("unknown kind"));
  EXPECT_THAT(failure(5), HasSubstr("max_sequence_tokens"));
  EXPECT_THAT(failure(6), HasSubstr("evaluation.max_sequence_tokens is 513, "
                                    "the model's context length is 512"));
  EXPECT_EQ(failure(7), "");
  EXPECT_EQ(summary.tasks_accepted, 1);
  EXPECT_EQ(summary.tasks_reported, 8);
}

TEST_F(ClientRunnerTest, AClientWithoutTheDataSaysSo) {
  data_.train.clear();
  federation_.AddTask(TrainTask("t1"));
  ASSERT_THAT(Run(), IsOk());
  EXPECT_THAT(federation_.reports[0].failure(),
              HasSubstr("no private training data"));
}

TEST_F(ClientRunnerTest, OutcomesOtherThanAcceptedDoNotEndTheClient) {
  federation_.outcome = proto::LATE;
  federation_.AddTask(TrainTask("t1"));
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());
  EXPECT_EQ(summary.tasks_reported, 1);
  EXPECT_EQ(summary.tasks_accepted, 0);
  EXPECT_EQ(observer_.outcomes, std::vector{proto::LATE});
}

TEST_F(ClientRunnerTest, ACancelledTaskIsDroppedUnreported) {
  federation_.heartbeat_interval_seconds = 0.001;
  federation_.task_cancelled = true;
  proto::Task task = TrainTask("t1");
  task.mutable_training()->set_steps(1000000);
  federation_.AddTask(task);
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());
  EXPECT_GT(federation_.calls("Heartbeat"), 0);
  EXPECT_TRUE(federation_.reports.empty());
  EXPECT_EQ(summary.run_state, "COMPLETED");
}

TEST_F(ClientRunnerTest, AHeartbeatJoinsARestartedServer) {
  federation_.heartbeat_interval_seconds = 0.001;
  proto::Task task = TrainTask("t1");
  task.mutable_training()->set_steps(1000000);
  federation_.AddTask(task);
  observer_.on_progress = [&](const proto::Task&, const Progress& progress) {
    if (progress.done == 1) {
      federation_.ForgetSession();
      federation_.FailNext("Heartbeat", Unavailable("still starting"));
    }
    // The task itself makes no call that could join again.
    if (federation_.calls("Join") == 2) federation_.task_cancelled = true;
  };
  ASSERT_THAT(Run(), IsOk());
  EXPECT_EQ(federation_.joins().size(), 2u);
}

TEST_F(ClientRunnerTest, ATaskWhoseTimeIsOverIsDropped) {
  proto::Task task = TrainTask("t1");
  task.mutable_training()->set_steps(1000000);
  task.set_deadline_seconds(0.02);
  federation_.AddTask(task);
  ASSERT_THAT(Run(), IsOk());
  EXPECT_TRUE(federation_.reports.empty());
}

TEST_F(ClientRunnerTest, ATaskWithoutTimeLeftIsNotBegun) {
  for (const double seconds :
       {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    proto::Task task = TrainTask("t1");
    task.set_deadline_seconds(seconds);
    federation_.AddTask(task);
  }
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());
  EXPECT_TRUE(federation_.reports.empty());
  EXPECT_EQ(federation_.calls("GetObject"), 0);
  EXPECT_EQ(summary.run_state, "COMPLETED");
}

// The server answers the report of a task that has ended with how it ended.
TEST_F(ClientRunnerTest, AnUploadThatIsNotWantedAnyMoreEndsTheTaskAlone) {
  federation_.FailNext("PutObject", FailedPrecondition("no open task"));
  federation_.AddTask(TrainTask("t1"));
  federation_.AddTask(TrainTask("t2"));
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary, Run());
  ASSERT_EQ(federation_.reports.size(), 2u);
  EXPECT_EQ(federation_.reports[0].task_id(), "t1");
  EXPECT_THAT(federation_.reports[0].failure(), HasSubstr("no open task"));
  EXPECT_EQ(federation_.reports[1].failure(), "");
  EXPECT_EQ(federation_.joins().size(), 1u);
  EXPECT_EQ(summary.tasks_accepted, 1);
}

TEST_F(ClientRunnerTest, AStopEndsTrainingAndIsNoError) {
  proto::Task task = TrainTask("t1");
  task.mutable_training()->set_steps(1000000);
  federation_.AddTask(task);
  std::stop_source stop;
  observer_.on_progress = [&](const proto::Task&, const Progress&) {
    stop.request_stop();
  };
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary,
                              Run(stop.get_token()));
  EXPECT_EQ(summary.run_state, "STOPPED");
  EXPECT_TRUE(federation_.reports.empty());
}

TEST_F(ClientRunnerTest, AStopEndsALongPoll) {
  federation_.answer_next_task = false;
  federation_.long_poll_seconds = 3600;
  std::stop_source stop;
  std::thread stopper([&] {
    while (federation_.calls("NextTask") == 0) std::this_thread::yield();
    stop.request_stop();
  });
  TANDEM_ASSERT_OK_AND_ASSIGN(const ClientSummary summary,
                              Run(stop.get_token()));
  stopper.join();
  EXPECT_EQ(summary.run_state, "STOPPED");
}

TEST_F(ClientRunnerTest, AConfigWithAnEmptyDataFileIsAnError) {
  const auto path = folder_ / "empty.jsonl";
  ASSERT_THAT(WriteFileAtomically(path, ""), IsOk());
  proto::ClientConfig config;
  config.set_client_id("a");
  config.set_model("nowhere.gguf");
  config.mutable_data()->set_train(path.string());
  EXPECT_THAT(RunClient(config),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("empty.jsonl")));
}

}  // namespace
}  // namespace tandem
