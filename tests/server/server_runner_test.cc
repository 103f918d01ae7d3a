#include "server/server_runner.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "proto/federation.grpc.pb.h"
#include "tests/testing/fake_server_model.h"
#include "tests/testing/federation.h"
#include "tests/testing/status_matchers.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using testing::FakeRunConfig;
using testing::FakeServerModel;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;
using testing::TempFolder;

proto::ServerConfig ConfigIn(const TempFolder& folder) {
  auto config = FakeRunConfig();
  config.mutable_run()->set_directory(folder.path().string());
  config.mutable_listen()->set_address("127.0.0.1:0");
  return config;
}

// Serve on a thread; the address once it listens.
struct Serving {
  explicit Serving(const proto::ServerConfig& config) : config(config) {
    host = *RunHost::OpenWithModel(config, std::make_unique<FakeServerModel>(),
                                   {}, clock);
    thread = std::thread([this] {
      summary = Serve(
          this->config, *host,
          [this](const std::string& a) { address.set_value(a); }, clock, stop);
    });
  }
  ~Serving() { Stop(); }
  void Stop() {
    stop = true;
    if (thread.joinable()) thread.join();
  }

  proto::ServerConfig config;
  SystemClock clock;
  std::unique_ptr<RunHost> host;
  std::promise<std::string> address;
  std::atomic<bool> stop{false};
  StatusOr<RunSummary> summary = Internal("not over yet");
  std::thread thread;
};

TEST(ServerRunner, ServesOnAFreePortUntilStopped) {
  const TempFolder folder;
  Serving serving(ConfigIn(folder));
  const std::string address = serving.address.get_future().get();
  EXPECT_THAT(address,
              AllOf(HasSubstr("127.0.0.1:"), ::testing::Not(HasSubstr(":0"))));
  const auto stub = proto::FederationService::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + testing::kPatience);
  context.set_wait_for_ready(true);
  proto::HeartbeatResponse response;
  EXPECT_EQ(stub->Heartbeat(&context, {}, &response).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  serving.Stop();
  ASSERT_THAT(serving.summary, IsOk());
  EXPECT_EQ(serving.summary->state, RunState::kRunning);
}

TEST(ServerRunner, APortInUseIsAnErrorThatSaysSo) {
  const TempFolder folder, other;
  Serving serving(ConfigIn(folder));
  const std::string address = serving.address.get_future().get();
  auto config = ConfigIn(other);
  config.mutable_listen()->set_address(address);
  SystemClock clock;
  const auto host = *RunHost::OpenWithModel(
      config, std::make_unique<FakeServerModel>(), {}, clock);
  const std::atomic<bool> stop{false};
  EXPECT_THAT(
      Serve(config, *host, {}, clock, stop),
      StatusIs(StatusCode::kFailedPrecondition,
               AllOf(HasSubstr(address), HasSubstr("Address already in use"))));
}

TEST(ServerRunner, PlaintextStaysOnLoopback) {
  const TempFolder folder;
  auto config = ConfigIn(folder);
  config.mutable_listen()->set_address("0.0.0.0:0");
  EXPECT_THAT(RunServer(config, {}, std::atomic<bool>{false}),
              StatusIs(StatusCode::kFailedPrecondition, HasSubstr("0.0.0.0")));
}

TEST(ServerRunner, OneProcessPerDirectory) {
  const TempFolder folder;
  const auto config = ConfigIn(folder);
  SystemClock clock;
  auto first = *RunHost::OpenWithModel(
      config, std::make_unique<FakeServerModel>(), {}, clock);
  EXPECT_THAT(RunHost::OpenWithModel(
                  config, std::make_unique<FakeServerModel>(), {}, clock),
              StatusIs(StatusCode::kFailedPrecondition,
                       HasSubstr(folder.path().string())));
  first.reset();
  EXPECT_THAT(RunHost::OpenWithModel(
                  config, std::make_unique<FakeServerModel>(), {}, clock),
              IsOk());
}

TEST(ServerRunner, AFullDiskEndsTheServiceAndNotTheRun) {
  class NoSpace : public FakeServerModel {
    StatusOr<TensorMap> InitialAdapter(const Progress&) override {
      return ResourceExhausted("cannot write: No space left on device");
    }
  };
  const TempFolder folder;
  SystemClock clock;
  const std::atomic<bool> stop{false};
  const auto host = *RunHost::OpenWithModel(
      ConfigIn(folder), std::make_unique<NoSpace>(), {}, clock);
  EXPECT_THAT(host->WaitForEnd(stop),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("No space")));
  const auto report = ReadRunReport(folder.path());
  ASSERT_THAT(report, IsOk());
  EXPECT_EQ(report->state, "RUNNING");
}

TEST(RunReport, FindsRunsBelowAFolder) {
  const TempFolder folder;
  EXPECT_THAT(ListRunReports(folder.path()), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(ListRunReports(folder / "no such folder"),
              StatusIs(StatusCode::kNotFound));
  SystemClock clock;
  for (const std::string name : {"two", "one"}) {
    auto config = FakeRunConfig();
    config.mutable_run()->set_directory((folder / name).string());
    config.mutable_run()->set_name(name);
    ASSERT_THAT(RunHost::OpenWithModel(
                    config, std::make_unique<FakeServerModel>(), {}, clock),
                IsOk());
  }
  const auto reports = ListRunReports(folder.path());
  ASSERT_THAT(reports, IsOk());
  ASSERT_EQ(reports->size(), 2u);
  EXPECT_EQ(reports->at(0).name, "one");
  EXPECT_EQ(reports->at(1).name, "two");
  EXPECT_EQ(ListRunReports(folder / "one")->at(0).name, "one");
  EXPECT_THAT(ReadRunReport(folder.path()), StatusIs(StatusCode::kNotFound));
}

}  // namespace
}  // namespace tandem
