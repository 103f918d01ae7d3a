#include "server/federation_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "proto/status_conversion.h"
#include "tests/testing/federation.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using testing::FakeAdapter;
using testing::FakeClient;
using testing::FakeFederation;
using testing::FakeRunConfig;
using testing::IsOk;
using testing::StatusIs;

// The real service on a channel without a port.
class Served {
 public:
  explicit Served(FederationHandler& handler) : service_(handler, clock_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = proto::FederationService::NewStub(server_->InProcessChannel({}));
  }
  ~Served() { server_->Shutdown(std::chrono::system_clock::now()); }
  proto::FederationService::Stub& stub() { return *stub_; }

 private:
  SystemClock clock_;
  FederationService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<proto::FederationService::Stub> stub_;
};

// A FederationHandler at the other end of the wire, so that FakeClient runs
// over gRPC.
class OverGrpc : public FederationHandler {
 public:
  explicit OverGrpc(proto::FederationService::Stub& stub) : stub_(stub) {}
  using Stub = proto::FederationService::Stub;

  template <typename Response, typename Request>
  StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                       const Request&,
                                                       Response*),
                          const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + testing::kPatience);
    Response response;
    const grpc::Status status = (stub_.*method)(&context, request, &response);
    if (!status.ok()) return FromGrpcStatus(status);
    return response;
  }

  StatusOr<proto::JoinResponse> Join(const proto::JoinRequest& r) override {
    return Call(&Stub::Join, r);
  }
  void NextTask(
      const proto::NextTaskRequest& r,
      std::function<void(StatusOr<proto::NextTaskResponse>)> done) override {
    done(Call(&Stub::NextTask, r));
  }
  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& r) override {
    return Call(&Stub::GetObject, r);
  }
  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& r) override {
    return Call(&Stub::PutObject, r);
  }
  StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& r) override {
    return Call(&Stub::Report, r);
  }
  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& r) override {
    return Call(&Stub::Heartbeat, r);
  }

 private:
  proto::FederationService::Stub& stub_;
};

TEST(FederationService, AWholeRunOverGrpc) {
  auto config = FakeRunConfig();
  config.mutable_rounds()->set_count(2);
  FakeFederation federation(config);
  ASSERT_THAT(federation.Open(), IsOk());
  Served served(*federation.coordinator);
  auto work = [&](const std::string& id, double value) {
    OverGrpc connection(served.stub());
    FakeClient client(connection, id);
    ASSERT_THAT(client.Join(), IsOk());
    while (true) {
      const auto next = client.Next();
      ASSERT_THAT(next, IsOk());
      if (next->has_run_finished()) break;
      if (!next->has_task()) continue;
      const proto::Task& task = next->task();
      EXPECT_THAT(client.Download(task.global_adapter().sha256()), IsOk());
      EXPECT_FALSE(client.Heartbeat(task.task_id())->task_cancelled());
      EXPECT_EQ(client.Answer(task.task_id(), FakeAdapter(value)),
                proto::ACCEPTED);
    }
  };
  std::thread a(work, "a", 1), b(work, "b", 3);
  a.join();
  b.join();
  ASSERT_THAT(federation.WaitForEnd(), IsOk());
  const auto run = federation.coordinator->Run();
  EXPECT_EQ(run.state, RunState::kFinished);
  EXPECT_TRUE(federation.Tensors(run.adapter)[testing::kFakeA]
                  .eq(4.5)
                  .all()
                  .item<bool>());
}

// Answers every call with the status it is given; holds NextTask.
class ScriptedHandler : public FederationHandler {
 public:
  using Done = std::function<void(StatusOr<proto::NextTaskResponse>)>;

  StatusOr<proto::JoinResponse> Join(const proto::JoinRequest&) override {
    return status();
  }
  void NextTask(const proto::NextTaskRequest&, Done done) override {
    {
      const std::lock_guard lock(mutex_);
      held_.push_back(std::move(done));
    }
    arrived_.notify_all();
  }
  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest&) override {
    return status();
  }
  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest&) override {
    return status();
  }
  StatusOr<proto::ReportResponse> Report(const proto::ReportRequest&) override {
    return status();
  }
  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest&) override {
    return status();
  }
  Done WaitForCall() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !held_.empty(); });
    Done done = std::move(held_.back());
    held_.pop_back();
    return done;
  }

  void Answer(Status answer) {
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
  }
  Status status() {
    const std::lock_guard lock(mutex_);
    return answer_;
  }

 private:
  Status answer_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<Done> held_;
};

TEST(FederationService, EveryCodeAndMessageReachesTheClient) {
  ScriptedHandler handler;
  Served served(handler);
  OverGrpc client(served.stub());
  for (int code = 1; code <= 16; ++code) {
    const Status expected(static_cast<StatusCode>(code), "the reason");
    handler.Answer(expected);
    EXPECT_EQ(client.Join({}).status(), expected);
    EXPECT_EQ(client.GetObject({}).status(), expected);
    EXPECT_EQ(client.PutObject({}).status(), expected);
    EXPECT_EQ(client.Report({}).status(), expected);
    EXPECT_EQ(client.Heartbeat({}).status(), expected);
    std::thread answer([&] { handler.WaitForCall()(expected); });
    client.NextTask(
        {}, [&](auto response) { EXPECT_EQ(response.status(), expected); });
    answer.join();
  }
}

TEST(FederationService, AnswersAfterTheClientHasGoneAreDropped) {
  ScriptedHandler handler;
  Served served(handler);
  for (int i = 0; i < 20; ++i) {
    grpc::ClientContext context;
    proto::NextTaskResponse response;
    ScriptedHandler::Done done;
    std::thread cancel([&] {
      done = handler.WaitForCall();
      context.TryCancel();
      // Races with the cancellation on purpose.
      if (i % 2 == 0) done(AskAgain(0));
    });
    const grpc::Status status = served.stub().NextTask(&context, {}, &response);
    cancel.join();
    if (!status.ok()) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
    }
    if (i % 2 == 1) done(AskAgain(0));
  }
}

}  // namespace
}  // namespace tandem
