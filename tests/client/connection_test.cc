// One suite for both kinds of connection: what a caller sees does not depend on
// what carries the calls.
#include "client/connection.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "client/grpc_connection.h"
#include "client/in_process_connection.h"
#include "client/retry.h"
#include "common/clock.h"
#include "server/federation_service.h"
#include "tests/client/fake_federation.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using testing::FakeFederation;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

proto::ConnectionConfig ConfigWithDeadline(double seconds) {
  proto::ConnectionConfig config;
  config.set_call_deadline_seconds(seconds);
  return config;
}

class InProcess {
 public:
  explicit InProcess(FakeFederation& federation) : federation_(federation) {}
  std::unique_ptr<Connection> Connect(double deadline_seconds) {
    return ConnectInProcess(federation_, ConfigWithDeadline(deadline_seconds));
  }

 private:
  FakeFederation& federation_;
};

// The real service on a free port of loopback.
class OverGrpc {
 public:
  explicit OverGrpc(FakeFederation& federation)
      : federation_(federation), service_(federation, clock_) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
  }
  ~OverGrpc() {
    federation_.ReleaseHeld();
    server_->Shutdown(std::chrono::system_clock::now() +
                      std::chrono::seconds(1));
    server_->Wait();
  }
  std::unique_ptr<Connection> Connect(double deadline_seconds) {
    return *ConnectGrpc("127.0.0.1:" + std::to_string(port_),
                        ConfigWithDeadline(deadline_seconds));
  }

 private:
  FakeFederation& federation_;
  SystemClock clock_;
  FederationService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

template <typename Transport>
class ConnectionTest : public ::testing::Test {
 protected:
  // A connection that has joined, and its session.
  std::pair<std::unique_ptr<Connection>, std::string> Joined(
      double deadline_seconds = 30) {
    auto connection = transport_.Connect(deadline_seconds);
    const auto response = connection->Join(proto::JoinRequest());
    EXPECT_THAT(response, IsOk());
    return {std::move(connection), response->session()};
  }
  FakeFederation federation_;
  Transport transport_{federation_};
};

using Transports = ::testing::Types<InProcess, OverGrpc>;
TYPED_TEST_SUITE(ConnectionTest, Transports);

TYPED_TEST(ConnectionTest, JoinCarriesRequestAndResponse) {
  auto connection = this->transport_.Connect(30);
  proto::JoinRequest request;
  request.set_client_id("a");
  request.set_base_model_digest("d");
  TANDEM_ASSERT_OK_AND_ASSIGN(const proto::JoinResponse response,
                              connection->Join(request));
  EXPECT_EQ(response.run_id(), "run");
  ASSERT_EQ(this->federation_.joins().size(), 1u);
  EXPECT_EQ(this->federation_.joins()[0].client_id(), "a");
  EXPECT_EQ(this->federation_.joins()[0].base_model_digest(), "d");
}

TYPED_TEST(ConnectionTest, EveryCallReachesItsMethod) {
  proto::Task task;
  task.set_task_id("t1");
  this->federation_.AddTask(task);
  const proto::ObjectRef object = this->federation_.AddObject("some bytes");
  auto [connection, session] = this->Joined();

  proto::NextTaskRequest next;
  next.set_session(session);
  TANDEM_ASSERT_OK_AND_ASSIGN(auto next_task, connection->NextTask(next));
  EXPECT_EQ(next_task.task().task_id(), "t1");

  proto::GetObjectRequest get;
  get.set_session(session);
  get.set_sha256(object.sha256());
  get.set_offset_bytes(5);
  TANDEM_ASSERT_OK_AND_ASSIGN(auto chunk, connection->GetObject(get));
  EXPECT_EQ(chunk.chunk(), "bytes");
  EXPECT_EQ(chunk.size_bytes(), 10);

  proto::PutObjectRequest put;
  put.set_session(session);
  *put.mutable_object() = object;
  put.set_chunk("some");
  TANDEM_ASSERT_OK_AND_ASSIGN(auto received, connection->PutObject(put));
  EXPECT_EQ(received.received_bytes(), 4);

  proto::ReportRequest report;
  report.set_session(session);
  report.set_task_id("t1");
  TANDEM_ASSERT_OK_AND_ASSIGN(auto outcome, connection->Report(report));
  EXPECT_EQ(outcome.outcome(), proto::ACCEPTED);

  this->federation_.task_cancelled = true;
  proto::HeartbeatRequest heartbeat;
  heartbeat.set_session(session);
  TANDEM_ASSERT_OK_AND_ASSIGN(auto beat, connection->Heartbeat(heartbeat));
  EXPECT_TRUE(beat.task_cancelled());
}

TYPED_TEST(ConnectionTest, ErrorsKeepCodeAndMessage) {
  auto connection = this->transport_.Connect(30);
  for (const Status& status :
       {FailedPrecondition("other base model"), ResourceExhausted("full"),
        Unavailable("restarting"), NotFound("no object"),
        Status(StatusCode::kUnauthenticated, "who")}) {
    this->federation_.FailNext("Join", status);
    EXPECT_THAT(connection->Join(proto::JoinRequest()),
                StatusIs(status.code(), HasSubstr(ToString(status))));
  }
  EXPECT_THAT(connection->NextTask(proto::NextTaskRequest()),
              StatusIs(StatusCode::kUnauthenticated));
}

TYPED_TEST(ConnectionTest, AChunkOfThreeMebibytesFits) {
  const std::string bytes(3 << 20, 'x');
  const proto::ObjectRef object = this->federation_.AddObject(bytes);
  this->federation_.chunk_bytes = 3 << 20;
  auto [connection, session] = this->Joined();
  proto::GetObjectRequest get;
  get.set_session(session);
  get.set_sha256(object.sha256());
  TANDEM_ASSERT_OK_AND_ASSIGN(auto down, connection->GetObject(get));
  EXPECT_EQ(down.chunk(), bytes);
  proto::PutObjectRequest put;
  put.set_session(session);
  *put.mutable_object() = object;
  put.set_chunk(bytes);
  TANDEM_ASSERT_OK_AND_ASSIGN(auto up, connection->PutObject(put));
  EXPECT_EQ(up.received_bytes(), 3 << 20);
}

TYPED_TEST(ConnectionTest, NextTaskEndsAtItsDeadline) {
  this->federation_.answer_next_task = false;
  auto [connection, session] = this->Joined(/*deadline_seconds=*/0.2);
  proto::NextTaskRequest next;
  next.set_session(session);
  EXPECT_THAT(
      connection->NextTask(next),
      StatusIs(StatusCode::kDeadlineExceeded, HasSubstr("within 0.21 s")));
}

TYPED_TEST(ConnectionTest, ALongPollLeavesRoomForAHeartbeat) {
  this->federation_.answer_next_task = false;
  auto [connection, session] = this->Joined();
  StatusOr<proto::NextTaskResponse> next_task;
  std::thread waiting([&, connection = connection.get(), session = session] {
    proto::NextTaskRequest next;
    next.set_session(session);
    next_task = connection->NextTask(next);
  });
  while (this->federation_.calls("NextTask") == 0) std::this_thread::yield();
  proto::HeartbeatRequest heartbeat;
  heartbeat.set_session(session);
  EXPECT_THAT(connection->Heartbeat(heartbeat), IsOk());
  connection->Close();
  waiting.join();
  EXPECT_THAT(next_task, StatusIs(StatusCode::kCancelled));
}

TYPED_TEST(ConnectionTest, CloseRefusesLaterCalls) {
  auto [connection, session] = this->Joined();
  connection->Close();
  connection->Close();
  EXPECT_THAT(connection->Join(proto::JoinRequest()),
              StatusIs(StatusCode::kCancelled));
  EXPECT_THAT(connection->NextTask(proto::NextTaskRequest()),
              StatusIs(StatusCode::kCancelled));
  EXPECT_THAT(connection->Heartbeat(proto::HeartbeatRequest()),
              StatusIs(StatusCode::kCancelled));
  EXPECT_EQ(this->federation_.calls("NextTask"), 0);
}

// As a server's shutdown cuts them off; Retrier tries again on UNAVAILABLE.
TEST(ConnectGrpc, CallsThatTheServerCancelsAreUnavailable) {
  FakeFederation federation;
  OverGrpc transport(federation);
  const auto connection = transport.Connect(30);
  federation.FailNext("Join", Cancelled("shutting down"));
  const auto cancelled = connection->Join(proto::JoinRequest());
  EXPECT_THAT(cancelled,
              StatusIs(StatusCode::kUnavailable, HasSubstr("shutting down")));
  EXPECT_TRUE(IsRetryable(cancelled.status()));
  EXPECT_THAT(connection->Join(proto::JoinRequest()), IsOk());
}

// A busy machine takes its time to answer a new connection: only the call's own
// deadline ends the wait.
TEST(ConnectGrpc, WaitsForAServerThatIsSlowToAnswer) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* name = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, name, size), 0);
  ASSERT_EQ(::listen(listener, 8), 0);  // nobody accepts
  ASSERT_EQ(::getsockname(listener, name, &size), 0);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      const auto connection,
      ConnectGrpc("127.0.0.1:" + std::to_string(ntohs(address.sin_port)),
                  ConfigWithDeadline(0.5)));
  EXPECT_THAT(connection->Join(proto::JoinRequest()),
              StatusIs(StatusCode::kDeadlineExceeded));
  ::close(listener);
}

TEST(ConnectGrpc, RefusesPlaintextBeyondLoopback) {
  EXPECT_THAT(
      ConnectGrpc("10.1.2.3:50551", proto::ConnectionConfig()),
      StatusIs(StatusCode::kFailedPrecondition, HasSubstr("only loopback")));
  EXPECT_THAT(ConnectGrpc("localhost", proto::ConnectionConfig()),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("no port")));
}

TEST(ConnectGrpc, AServerThatIsGoneIsUnavailableAndFoundWhenItIsBack) {
  int port = 0;
  FakeFederation federation;
  SystemClock clock;
  FederationService service(federation, clock);
  const auto start = [&](int wanted) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(wanted),
                             grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service);
    return builder.BuildAndStart();
  };
  auto server = start(0);
  TANDEM_ASSERT_OK_AND_ASSIGN(
      auto connection,
      ConnectGrpc("127.0.0.1:" + std::to_string(port), ConfigWithDeadline(5)));
  EXPECT_THAT(connection->Join(proto::JoinRequest()), IsOk());
  server->Shutdown();
  server.reset();
  EXPECT_THAT(connection->Join(proto::JoinRequest()),
              StatusIs(StatusCode::kUnavailable));
  // Back on its port, it is found by the same connection.
  server = start(port);
  ASSERT_NE(server, nullptr);
  RetryOptions patience;
  patience.min_seconds = 0.05;
  patience.give_up_after_seconds = 20;
  ClockSleeper sleeper(clock, {});
  Retrier retrier(patience, connection->server(), clock, sleeper, 1);
  EXPECT_THAT(
      retrier.Run([&] { return connection->Join(proto::JoinRequest()); }),
      IsOk());
}

}  // namespace
}  // namespace tandem
