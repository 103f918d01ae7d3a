// A server by script: hands out the tasks it was given, keeps what it is sent,
// and fails where the test says so.
#ifndef TANDEM_TESTS_CLIENT_FAKE_FEDERATION_H_
#define TANDEM_TESTS_CLIENT_FAKE_FEDERATION_H_

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "proto/federation_handler.h"

namespace tandem::testing {

class FakeFederation : public FederationHandler {
 public:
  // ---- the script ----
  // The next calls of this method fail, one status after another.
  void FailNext(const std::string& method, Status status, int times = 1) {
    std::lock_guard lock(mutex_);
    for (int i = 0; i < times; ++i) failures_[method].push_back(status);
  }
  proto::ObjectRef AddObject(std::string bytes) {
    std::lock_guard lock(mutex_);
    proto::ObjectRef object;
    object.set_sha256(Sha256Hex(bytes));
    object.set_size_bytes(static_cast<int64_t>(bytes.size()));
    objects_[object.sha256()] = std::move(bytes);
    return object;
  }
  void AddTask(proto::Task task) {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  // As a restarted server, which has lost its sessions.
  void ForgetSession() {
    std::lock_guard lock(mutex_);
    session_.clear();
  }
  // Runs within every call, unlocked, before it is answered.
  std::function<void(const std::string& method)> on_call =
      [](const std::string&) {};
  int32_t chunk_bytes = 1000;
  double long_poll_seconds = 0.01;
  double heartbeat_interval_seconds = 100;
  bool answer_next_task = true;  // false: holds the call for ever
  std::atomic<bool> task_cancelled = false;
  proto::TaskOutcome outcome = proto::ACCEPTED;
  std::string run_finished = "COMPLETED";  // once tasks are out

  // ---- what happened ----
  int calls(const std::string& method) const {
    std::lock_guard lock(mutex_);
    const auto it = calls_.find(method);
    return it == calls_.end() ? 0 : it->second;
  }
  std::vector<proto::JoinRequest> joins() const {
    std::lock_guard lock(mutex_);
    return joins_;
  }
  std::vector<proto::ReportRequest> reports;
  std::vector<int64_t> get_offsets, put_offsets;
  std::string uploaded(const std::string& sha256) { return uploads_[sha256]; }
  // NextTask calls that are held open, for a test that ends before they do.
  void ReleaseHeld() {
    std::lock_guard lock(mutex_);
    for (auto& done : held_) done(Unavailable("released"));
    held_.clear();
  }

  // ---- FederationHandler ----
  StatusOr<proto::JoinResponse> Join(
      const proto::JoinRequest& request) override {
    TANDEM_RETURN_IF_ERROR(Begin("Join"));
    std::lock_guard lock(mutex_);
    joins_.push_back(request);
    session_ = "session-" + std::to_string(joins_.size());
    proto::JoinResponse response;
    response.set_session(session_);
    response.set_run_id("run");
    response.set_heartbeat_interval_seconds(heartbeat_interval_seconds);
    response.set_chunk_bytes(chunk_bytes);
    response.set_long_poll_seconds(long_poll_seconds);
    return response;
  }

  void NextTask(
      const proto::NextTaskRequest& request,
      std::function<void(StatusOr<proto::NextTaskResponse>)> done) override {
    Status status = Begin("NextTask");
    if (status.ok()) status = CheckSession(request.session());
    if (!status.ok()) return done(status);
    std::lock_guard lock(mutex_);
    if (!answer_next_task) return held_.push_back(std::move(done));
    proto::NextTaskResponse response;
    if (tasks_.empty()) {
      response.set_run_finished(run_finished);
    } else {
      *response.mutable_task() = tasks_.front();
      tasks_.pop_front();
    }
    done(response);
  }

  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& request) override {
    TANDEM_RETURN_IF_ERROR(Begin("GetObject"));
    TANDEM_RETURN_IF_ERROR(CheckSession(request.session()));
    std::lock_guard lock(mutex_);
    get_offsets.push_back(request.offset_bytes());
    const auto it = objects_.find(request.sha256());
    if (it == objects_.end()) return NotFound("no object {}", request.sha256());
    proto::GetObjectResponse response;
    response.set_size_bytes(static_cast<int64_t>(it->second.size()));
    response.set_chunk(it->second.substr(request.offset_bytes(), chunk_bytes));
    return response;
  }

  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& request) override {
    TANDEM_RETURN_IF_ERROR(Begin("PutObject"));
    TANDEM_RETURN_IF_ERROR(CheckSession(request.session()));
    std::lock_guard lock(mutex_);
    put_offsets.push_back(request.offset_bytes());
    std::string& bytes = uploads_[request.object().sha256()];
    if (request.offset_bytes() == static_cast<int64_t>(bytes.size())) {
      bytes += request.chunk();
    }
    proto::PutObjectResponse response;
    response.set_received_bytes(static_cast<int64_t>(bytes.size()));
    return response;
  }

  StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& request) override {
    TANDEM_RETURN_IF_ERROR(Begin("Report"));
    TANDEM_RETURN_IF_ERROR(CheckSession(request.session()));
    std::lock_guard lock(mutex_);
    reports.push_back(request);
    proto::ReportResponse response;
    response.set_outcome(request.has_failure() ? proto::CLIENT_FAILED
                                               : outcome);
    response.set_message("as scripted");
    return response;
  }

  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& request) override {
    TANDEM_RETURN_IF_ERROR(Begin("Heartbeat"));
    TANDEM_RETURN_IF_ERROR(CheckSession(request.session()));
    proto::HeartbeatResponse response;
    response.set_task_cancelled(task_cancelled);
    return response;
  }

 private:
  Status Begin(const std::string& method) {
    on_call(method);
    std::lock_guard lock(mutex_);
    ++calls_[method];
    auto& failures = failures_[method];
    if (failures.empty()) return OkStatus();
    Status status = failures.front();
    failures.pop_front();
    return status;
  }
  Status CheckSession(const std::string& session) {
    std::lock_guard lock(mutex_);
    if (!session_.empty() && session == session_) return OkStatus();
    return Status(StatusCode::kUnauthenticated, "unknown session");
  }

  mutable std::mutex mutex_;
  std::string session_;
  std::vector<proto::JoinRequest> joins_;
  std::map<std::string, std::deque<Status>> failures_;
  std::map<std::string, int> calls_;
  std::map<std::string, std::string> objects_, uploads_;
  std::deque<proto::Task> tasks_;
  std::vector<std::function<void(StatusOr<proto::NextTaskResponse>)>> held_;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_CLIENT_FAKE_FEDERATION_H_
