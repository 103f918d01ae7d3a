#include "client/session.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace tandem {
namespace {

// What the server names to wait for. Written so that NaN fails too.
Status CheckSeconds(const char* name, double seconds) {
  constexpr double kDay = 86400;
  if (seconds >= 0 && seconds <= kDay) return OkStatus();
  return InvalidArgument(
      "the server's answer to Join has {} {}, expected 0 to {}", name, seconds,
      kDay);
}

}  // namespace

template <typename Response, typename Request>
StatusOr<Response> Session::CallOnce(
    StatusOr<Response> (Connection::*method)(const Request&),
    const Request& request) {
  StatusOr<Response> response = (connection_.*method)(request);
  bytes_uploaded_ += static_cast<int64_t>(request.ByteSizeLong());
  if (response.ok()) {
    bytes_downloaded_ += static_cast<int64_t>(response->ByteSizeLong());
  }
  return response;
}

Status Session::JoinUnlessReplaced(
    const std::string& stale,
    const std::function<StatusOr<proto::JoinResponse>()>& join) {
  std::lock_guard joining(join_mutex_);
  if (terms().session() != stale) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(proto::JoinResponse terms, join());
  if (terms.chunk_bytes() <= 0) {
    return InvalidArgument("the server's answer to Join has chunk_bytes {}",
                           terms.chunk_bytes());
  }
  TANDEM_RETURN_IF_ERROR(CheckSeconds("heartbeat_interval_seconds",
                                      terms.heartbeat_interval_seconds()));
  TANDEM_RETURN_IF_ERROR(
      CheckSeconds("long_poll_seconds", terms.long_poll_seconds()));
  std::lock_guard lock(mutex_);
  terms_ = std::move(terms);
  return OkStatus();
}

template <typename Response, typename Request>
StatusOr<Response> Session::Call(
    StatusOr<Response> (Connection::*method)(const Request&), Request request) {
  while (true) {
    request.set_session(terms().session());
    StatusOr<Response> response =
        retrier_.Run([&] { return CallOnce(method, request); });
    if (response.ok()) rejoins_in_a_row_ = 0;
    if (response.status().code() != StatusCode::kUnauthenticated) {
      return response;
    }
    if (++rejoins_in_a_row_ > kMaxRejoins) {
      return Annotate(
          response.status(),
          fmt::format("{} sessions ended one after another; does another "
                      "client join as '{}'?",
                      rejoins_in_a_row_, identity_.client_id()));
    }
    spdlog::warn("{} does not know this session ({}), joining again",
                 connection_.server(), ToString(response.status()));
    TANDEM_RETURN_IF_ERROR(JoinPatiently(request.session()));
  }
}

Status Session::JoinPatiently(const std::string& stale) {
  return JoinUnlessReplaced(stale, [&] {
    return retrier_.Run([&] { return CallOnce(&Connection::Join, identity_); });
  });
}

Status Session::Join() { return JoinPatiently(terms().session()); }

proto::JoinResponse Session::terms() const {
  std::lock_guard lock(mutex_);
  return terms_;
}

StatusOr<proto::NextTaskResponse> Session::NextTask() {
  return Call(&Connection::NextTask, proto::NextTaskRequest());
}

StatusOr<proto::GetObjectResponse> Session::GetObject(const std::string& sha256,
                                                      int64_t offset) {
  proto::GetObjectRequest request;
  request.set_sha256(sha256);
  request.set_offset_bytes(offset);
  return Call(&Connection::GetObject, std::move(request));
}

StatusOr<int64_t> Session::PutObject(const proto::ObjectRef& object,
                                     int64_t offset, std::string_view chunk) {
  proto::PutObjectRequest request;
  *request.mutable_object() = object;
  request.set_offset_bytes(offset);
  request.set_chunk(chunk.data(), chunk.size());
  TANDEM_ASSIGN_OR_RETURN(const proto::PutObjectResponse response,
                          Call(&Connection::PutObject, std::move(request)));
  return response.received_bytes();
}

StatusOr<proto::ReportResponse> Session::Report(proto::ReportRequest request) {
  return Call(&Connection::Report, std::move(request));
}

StatusOr<proto::HeartbeatResponse> Session::Heartbeat(
    const std::string& task_id) {
  proto::HeartbeatRequest request;
  request.set_session(terms().session());
  request.set_task_id(task_id);
  const auto response = CallOnce(&Connection::Heartbeat, request);
  if (response.status().code() == StatusCode::kUnauthenticated) {
    const Status joined = JoinUnlessReplaced(request.session(), [&] {
      return CallOnce(&Connection::Join, identity_);
    });
    if (!joined.ok()) spdlog::debug("heartbeat: {}", ToString(joined));
  }
  return response;
}

}  // namespace tandem
