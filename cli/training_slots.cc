#include "cli/training_slots.h"

#include <utility>

namespace tandem::cli {
namespace {

class LimitedConnection : public Connection {
 public:
  LimitedConnection(std::unique_ptr<Connection> inner, TrainingSlots& slots)
      : inner_(std::move(inner)), slots_(slots) {}
  ~LimitedConnection() override { GiveBack(); }

  StatusOr<proto::JoinResponse> Join(
      const proto::JoinRequest& request) override {
    return inner_->Join(request);
  }
  StatusOr<proto::NextTaskResponse> NextTask(
      const proto::NextTaskRequest& request) override {
    GiveBack();
    auto next = inner_->NextTask(request);
    if (!next.ok() || !next->has_task()) return next;
    holds_slot_ = slots_.Acquire(closed_.get_token());
    if (!holds_slot_) return Cancelled("the connection was closed");
    return next;
  }
  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& request) override {
    return inner_->GetObject(request);
  }
  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& request) override {
    return inner_->PutObject(request);
  }
  StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& request) override {
    return inner_->Report(request);
  }
  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& request) override {
    return inner_->Heartbeat(request);
  }
  void Close() override {
    closed_.request_stop();
    inner_->Close();
  }
  std::string server() const override { return inner_->server(); }

 private:
  void GiveBack() {
    if (std::exchange(holds_slot_, false)) slots_.Release();
  }

  const std::unique_ptr<Connection> inner_;
  TrainingSlots& slots_;
  std::stop_source closed_;
  bool holds_slot_ = false;  // of the thread that calls NextTask
};

}  // namespace

bool TrainingSlots::Acquire(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!changed_.wait(lock, stop, [this] { return free_ > 0; })) return false;
  --free_;
  return true;
}

void TrainingSlots::Release() {
  {
    const std::lock_guard lock(mutex_);
    ++free_;
  }
  changed_.notify_one();
}

std::unique_ptr<Connection> LimitTasks(std::unique_ptr<Connection> connection,
                                       TrainingSlots& slots) {
  return std::make_unique<LimitedConnection>(std::move(connection), slots);
}

}  // namespace tandem::cli
