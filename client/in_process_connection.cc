#include "client/in_process_connection.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace tandem {
namespace {

// Where an answer to NextTask meets the thread that waits for it. Shared with
// the callback, which may outlive the call and the connection.
class Mailbox {
 public:
  void Deliver(StatusOr<proto::NextTaskResponse> answer) {
    std::lock_guard lock(mutex_);
    if (!answer_) answer_ = std::move(answer);
    arrived_.notify_all();
  }
  // The answer, or nothing where none came in time.
  std::optional<StatusOr<proto::NextTaskResponse>> Wait(double seconds) {
    std::unique_lock lock(mutex_);
    arrived_.wait_for(lock, std::chrono::duration<double>(seconds),
                      [this] { return answer_.has_value(); });
    return answer_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::optional<StatusOr<proto::NextTaskResponse>> answer_;
};

class InProcessConnection : public Connection {
 public:
  InProcessConnection(FederationHandler& handler,
                      const proto::ConnectionConfig& config)
      : handler_(handler),
        call_deadline_seconds_(config.call_deadline_seconds()) {}

  StatusOr<proto::JoinResponse> Join(
      const proto::JoinRequest& request) override {
    TANDEM_RETURN_IF_ERROR(CheckOpen());
    TANDEM_ASSIGN_OR_RETURN(proto::JoinResponse response,
                            handler_.Join(request));
    std::lock_guard lock(mutex_);
    long_poll_seconds_ = response.long_poll_seconds();
    return response;
  }

  StatusOr<proto::NextTaskResponse> NextTask(
      const proto::NextTaskRequest& request) override {
    auto mailbox = std::make_shared<Mailbox>();
    double seconds = 0;
    {
      std::lock_guard lock(mutex_);
      if (closed_) return Closed();
      waiting_ = mailbox;
      seconds = long_poll_seconds_ + call_deadline_seconds_;
    }
    handler_.NextTask(request,
                      [mailbox](StatusOr<proto::NextTaskResponse> answer) {
                        mailbox->Deliver(std::move(answer));
                      });
    if (auto answer = mailbox->Wait(seconds)) return *std::move(answer);
    return DeadlineExceeded("NextTask: no answer from {} within {:.2f} s",
                            server(), seconds);
  }

  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& request) override {
    TANDEM_RETURN_IF_ERROR(CheckOpen());
    return handler_.GetObject(request);
  }
  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& request) override {
    TANDEM_RETURN_IF_ERROR(CheckOpen());
    return handler_.PutObject(request);
  }
  StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& request) override {
    TANDEM_RETURN_IF_ERROR(CheckOpen());
    return handler_.Report(request);
  }
  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& request) override {
    TANDEM_RETURN_IF_ERROR(CheckOpen());
    return handler_.Heartbeat(request);
  }

  void Close() override {
    std::lock_guard lock(mutex_);
    closed_ = true;
    if (auto mailbox = waiting_.lock()) mailbox->Deliver(Closed());
  }
  std::string server() const override { return "in-process"; }

 private:
  static Status Closed() { return Cancelled("the connection was closed"); }
  Status CheckOpen() {
    std::lock_guard lock(mutex_);
    return closed_ ? Closed() : OkStatus();
  }

  FederationHandler& handler_;
  const double call_deadline_seconds_;
  std::mutex mutex_;  // never held while the handler is called
  bool closed_ = false;
  double long_poll_seconds_ = 0;
  std::weak_ptr<Mailbox> waiting_;  // NextTask is called one at a time
};

}  // namespace

std::unique_ptr<Connection> ConnectInProcess(
    FederationHandler& handler, const proto::ConnectionConfig& config) {
  return std::make_unique<InProcessConnection>(handler, config);
}

}  // namespace tandem
