// A coordinator on a state directory of its own, under simulated time, and
// clients that speak to a FederationHandler directly.
#ifndef TANDEM_TESTS_TESTING_FEDERATION_H_
#define TANDEM_TESTS_TESTING_FEDERATION_H_

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/digest.h"
#include "model/safetensors.h"
#include "server/coordinator.h"
#include "server/object_store.h"
#include "server/sqlite_state_store.h"
#include "tests/testing/fake_server_model.h"
#include "tests/testing/temp_folder.h"

namespace tandem::testing {

// Long enough for a loaded machine; only a test that fails waits for it.
inline constexpr auto kPatience = std::chrono::seconds(60);

// Two clients, one round, no distillation, no privacy, no evaluation at
// clients.
inline proto::ServerConfig FakeRunConfig() {
  proto::ServerConfig config;
  config.mutable_run()->set_seed(7);
  config.mutable_rounds()->set_count(1);
  config.mutable_rounds()->set_min_clients(2);
  config.mutable_distillation()->set_enabled(false);
  config.mutable_evaluation()->set_at_clients(false);
  return config;
}

class FakeFederation {
 public:
  explicit FakeFederation(proto::ServerConfig with = FakeRunConfig())
      : config(std::move(with)) {
    config.mutable_run()->set_directory(folder.path().string());
  }

  Status Open() {
    TANDEM_ASSIGN_OR_RETURN(store, SqliteStateStore::Open(folder / "state.db"));
    TANDEM_ASSIGN_OR_RETURN(
        objects, FileObjectStore::Open(folder / "objects",
                                       config.limits().max_object_bytes()));
    TANDEM_ASSIGN_OR_RETURN(
        coordinator, Coordinator::Start({config, store.get(), objects.get(),
                                         &model, &clock, observer}));
    return OkStatus();
  }
  // As at the end of the server's process.
  void Close() {
    coordinator.reset();
    objects.reset();
    store.reset();
  }
  // The status that the run or the service ended with.
  Status WaitForEnd() {
    const auto ended = coordinator->ended();
    if (ended.wait_for(kPatience) != std::future_status::ready) {
      return DeadlineExceeded("the run has not ended");
    }
    return ended.get();
  }
  // A second pair of eyes on the state.
  std::unique_ptr<SqliteStateStore> Look() {
    return *SqliteStateStore::OpenReadOnly(folder / "state.db");
  }
  std::vector<RoundRow> Rounds() { return *Look()->LoadRounds(); }
  TensorMap Tensors(const std::string& sha256) {
    return ReadSafetensors(folder / ("objects/" + sha256))->tensors;
  }

  TempFolder folder;
  proto::ServerConfig config;
  SimulatedClock clock;
  FakeServerModel model;
  RunObserver observer;
  std::unique_ptr<SqliteStateStore> store;
  std::unique_ptr<FileObjectStore> objects;
  std::unique_ptr<Coordinator> coordinator;
};

class FakeClient {
 public:
  FakeClient(FederationHandler& handler, std::string client_id)
      : handler_(&handler), client_id_(std::move(client_id)) {}

  StatusOr<proto::JoinResponse> Join(bool can_evaluate = false) {
    proto::JoinRequest request;
    request.set_protocol_version(kProtocolVersion);
    request.set_client_id(client_id_);
    request.set_base_model_digest(Sha256Hex("base model"));
    request.set_can_evaluate(can_evaluate);
    auto response = handler_->Join(request);
    if (response.ok()) session_ = response->session();
    return response;
  }

  std::future<StatusOr<proto::NextTaskResponse>> Ask() {
    auto promise =
        std::make_shared<std::promise<StatusOr<proto::NextTaskResponse>>>();
    proto::NextTaskRequest request;
    request.set_session(session_);
    handler_->NextTask(request, [promise](auto response) {
      promise->set_value(std::move(response));
    });
    return promise->get_future();
  }
  StatusOr<proto::NextTaskResponse> Next() {
    auto answer = Ask();
    if (answer.wait_for(kPatience) != std::future_status::ready) {
      return DeadlineExceeded("no answer to NextTask");
    }
    return answer.get();
  }
  // The next answer that is a task; a failure of the test otherwise.
  proto::Task Task() {
    const auto response = Next();
    EXPECT_TRUE(response.ok()) << response.status();
    if (!response.ok()) return {};
    EXPECT_TRUE(response->has_task()) << response->ShortDebugString();
    return response->task();
  }

  StatusOr<std::string> Download(const std::string& sha256) {
    std::string bytes;
    while (true) {
      proto::GetObjectRequest request;
      request.set_session(session_);
      request.set_sha256(sha256);
      request.set_offset_bytes(static_cast<int64_t>(bytes.size()));
      TANDEM_ASSIGN_OR_RETURN(const auto response,
                              handler_->GetObject(request));
      bytes += response.chunk();
      if (static_cast<int64_t>(bytes.size()) >= response.size_bytes()) {
        return bytes;
      }
    }
  }

  // In two chunks.
  StatusOr<proto::ObjectRef> Upload(const std::string& bytes) {
    proto::PutObjectRequest request;
    request.set_session(session_);
    request.mutable_object()->set_sha256(Sha256Hex(bytes));
    request.mutable_object()->set_size_bytes(
        static_cast<int64_t>(bytes.size()));
    const size_t half = bytes.size() / 2;
    request.set_chunk(bytes.substr(0, half));
    request.set_offset_bytes(0);
    TANDEM_RETURN_IF_ERROR(handler_->PutObject(request).status());
    request.set_chunk(bytes.substr(half));
    request.set_offset_bytes(static_cast<int64_t>(half));
    TANDEM_RETURN_IF_ERROR(handler_->PutObject(request).status());
    return request.object();
  }
  StatusOr<proto::ObjectRef> Upload(const TensorMap& tensors) {
    TANDEM_ASSIGN_OR_RETURN(const std::string bytes,
                            SerializeSafetensors(tensors));
    return Upload(bytes);
  }

  proto::ReportRequest ReportFor(const std::string& task_id,
                                 const proto::ObjectRef& update,
                                 double weight = 1) {
    proto::ReportRequest request;
    request.set_session(session_);
    request.set_task_id(task_id);
    *request.mutable_update() = update;
    request.set_weight(weight);
    request.mutable_metrics()->set_trained_tokens(100);
    request.mutable_metrics()->set_train_loss(2);
    return request;
  }
  StatusOr<proto::ReportResponse> Report(const proto::ReportRequest& request) {
    return handler_->Report(request);
  }
  // Uploads and reports.
  proto::TaskOutcome Answer(const std::string& task_id, const TensorMap& update,
                            double weight = 1) {
    const auto ref = Upload(update);
    EXPECT_TRUE(ref.ok()) << ref.status();
    if (!ref.ok()) return proto::OUTCOME_UNSPECIFIED;
    const auto response = Report(ReportFor(task_id, *ref, weight));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? response->outcome() : proto::OUTCOME_UNSPECIFIED;
  }
  proto::TaskOutcome Fail(const std::string& task_id) {
    proto::ReportRequest request;
    request.set_session(session_);
    request.set_task_id(task_id);
    request.set_failure("out of battery");
    return Report(request)->outcome();
  }
  StatusOr<proto::HeartbeatResponse> Heartbeat(const std::string& task_id) {
    proto::HeartbeatRequest request;
    request.set_session(session_);
    request.set_task_id(task_id);
    return handler_->Heartbeat(request);
  }

  const std::string& id() const { return client_id_; }
  const std::string& session() const { return session_; }
  void set_session(const std::string& session) { session_ = session; }

 private:
  FederationHandler* handler_;
  std::string client_id_;
  std::string session_;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_FEDERATION_H_
