// A client's membership in a run: calls that survive an unreachable server
// (retries) and a restarted one (joins again).
#ifndef TANDEM_CLIENT_SESSION_H_
#define TANDEM_CLIENT_SESSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "client/connection.h"
#include "client/retry.h"
#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

// Fills in the session of every request. Calls belong to one thread, except
// Heartbeat and the counters, which any thread may use.
class Session {
 public:
  // Joins again at most so often without a call other than Join succeeding:
  // two processes under one client id would otherwise end each other's
  // sessions for ever.
  static constexpr int kMaxRejoins = 5;

  // `identity` is what Join sends. REQUIRES: connection and retrier outlive
  // the session.
  Session(Connection& connection, Retrier& retrier, proto::JoinRequest identity)
      : connection_(connection),
        retrier_(retrier),
        identity_(std::move(identity)) {}

  // First call. Errors of the rpc Join, and of Retrier::Run, as for all below.
  Status Join();
  // What the server answered last.
  proto::JoinResponse terms() const;

  // On UNAUTHENTICATED each of these joins anew and repeats the call. The code
  // UNAUTHENTICATED is returned only when that did not help kMaxRejoins times.
  StatusOr<proto::NextTaskResponse> NextTask();
  StatusOr<proto::GetObjectResponse> GetObject(const std::string& sha256,
                                               int64_t offset);
  StatusOr<int64_t> PutObject(const proto::ObjectRef& object, int64_t offset,
                              std::string_view chunk);
  StatusOr<proto::ReportResponse> Report(proto::ReportRequest request);

  // One attempt, from any thread. On UNAUTHENTICATED it joins anew, so that a
  // restarted server learns of this client before its task is done, and
  // returns that error.
  StatusOr<proto::HeartbeatResponse> Heartbeat(const std::string& task_id);

  // Serialised requests sent and responses received, in bytes.
  int64_t bytes_uploaded() const { return bytes_uploaded_; }
  int64_t bytes_downloaded() const { return bytes_downloaded_; }

 private:
  template <typename Response, typename Request>
  StatusOr<Response> Call(
      StatusOr<Response> (Connection::*method)(const Request&),
      Request request);
  // One attempt, counted.
  template <typename Response, typename Request>
  StatusOr<Response> CallOnce(
      StatusOr<Response> (Connection::*method)(const Request&),
      const Request& request);

  // Joins by `join` unless another thread has replaced session `stale` already.
  Status JoinUnlessReplaced(
      const std::string& stale,
      const std::function<StatusOr<proto::JoinResponse>()>& join);
  Status JoinPatiently(const std::string& stale);

  Connection& connection_;
  Retrier& retrier_;
  const proto::JoinRequest identity_;
  std::mutex join_mutex_;     // one Join at a time
  mutable std::mutex mutex_;  // guards terms_; never held across a call
  proto::JoinResponse terms_;
  int rejoins_in_a_row_ = 0;
  std::atomic<int64_t> bytes_uploaded_ = 0;
  std::atomic<int64_t> bytes_downloaded_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_CLIENT_SESSION_H_
