#include "cli/training_slots.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

#include "tests/testing/status_matchers.h"

namespace tandem::cli {
namespace {

using ::tandem::testing::IsOk;
using ::tandem::testing::StatusIs;

// A server that always has a task.
class EndlessTasks : public Connection {
 public:
  StatusOr<proto::JoinResponse> Join(const proto::JoinRequest&) override {
    return proto::JoinResponse();
  }
  StatusOr<proto::NextTaskResponse> NextTask(
      const proto::NextTaskRequest&) override {
    proto::NextTaskResponse response;
    if (tasks) response.mutable_task()->set_task_id("task");
    return response;
  }
  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest&) override {
    return proto::GetObjectResponse();
  }
  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest&) override {
    return proto::PutObjectResponse();
  }
  StatusOr<proto::ReportResponse> Report(const proto::ReportRequest&) override {
    return proto::ReportResponse();
  }
  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest&) override {
    return proto::HeartbeatResponse();
  }
  void Close() override { closed = true; }
  std::string server() const override { return "endless"; }

  std::atomic<bool> tasks{true};
  bool closed = false;
};

std::unique_ptr<Connection> NewLimited(TrainingSlots& slots) {
  return LimitTasks(std::make_unique<EndlessTasks>(), slots);
}

TEST(TrainingSlotsTest, SecondTaskWaitsUntilTheFirstClientAsksAgain) {
  TrainingSlots slots(1);
  auto inner = std::make_unique<EndlessTasks>();
  EndlessTasks& server = *inner;
  const auto first = LimitTasks(std::move(inner), slots);
  const auto second = NewLimited(slots);
  ASSERT_THAT(first->NextTask({}), IsOk());
  auto waiting =
      std::async(std::launch::async, [&] { return second->NextTask({}); });
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)),
            std::future_status::timeout);
  server.tasks = false;  // the first client is done, and gives its slot back
  EXPECT_FALSE(first->NextTask({})->has_task());
  EXPECT_TRUE(waiting.get()->has_task());
}

TEST(TrainingSlotsTest, AnswerWithoutTaskNeedsNoSlot) {
  TrainingSlots slots(0);
  auto inner = std::make_unique<EndlessTasks>();
  inner->tasks = false;
  const auto connection = LimitTasks(std::move(inner), slots);
  EXPECT_THAT(connection->NextTask({}), IsOk());
}

TEST(TrainingSlotsTest, ConnectionThatEndsGivesItsSlotBack) {
  TrainingSlots slots(1);
  auto first = NewLimited(slots);
  ASSERT_THAT(first->NextTask({}), IsOk());
  first.reset();
  EXPECT_THAT(NewLimited(slots)->NextTask({}), IsOk());
}

TEST(TrainingSlotsTest, CloseEndsTheWaitForASlot) {
  TrainingSlots slots(0);
  const auto connection = NewLimited(slots);
  auto waiting =
      std::async(std::launch::async, [&] { return connection->NextTask({}); });
  connection->Close();
  EXPECT_THAT(waiting.get(), StatusIs(StatusCode::kCancelled));
}

}  // namespace
}  // namespace tandem::cli
