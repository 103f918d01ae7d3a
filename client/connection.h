// A client's view of a server: the calls of proto/federation.proto, one method
// each, whatever carries them.
#ifndef TANDEM_CLIENT_CONNECTION_H_
#define TANDEM_CLIENT_CONNECTION_H_

#include <string>

#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

// Every method blocks until the server has answered or the call's deadline is
// over, and never retries (client/retry.h does). Thread-safe: a heartbeat runs
// beside any other call.
//
// Codes beside those of the rpc of the same name:
//   UNAVAILABLE        the server cannot be reached, or went away in mid-call
//                      (a call that it cancels as it shuts down included)
//   DEADLINE_EXCEEDED  it did not answer in time; whether it acted is unknown
//   CANCELLED          Close was called, and nothing else
//
// Deadlines: call_deadline_seconds (proto ConnectionConfig) for calls that move
// no object; kObjectDeadlineFactor times that for one chunk of an object;
// NextTask adds the long_poll_seconds that the server named in its last answer
// to Join.
class Connection {
 public:
  virtual ~Connection() = default;
  virtual StatusOr<proto::JoinResponse> Join(
      const proto::JoinRequest& request) = 0;
  virtual StatusOr<proto::NextTaskResponse> NextTask(
      const proto::NextTaskRequest& request) = 0;
  virtual StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& request) = 0;
  virtual StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& request) = 0;
  virtual StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& request) = 0;
  virtual StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& request) = 0;

  // Ends calls that are under way, and refuses all later ones, with CANCELLED.
  // From any thread, any number of times; not from a signal handler.
  virtual void Close() = 0;
  // Who is at the other end, for log lines: "127.0.0.1:50551", "in-process".
  virtual std::string server() const = 0;
};

// A chunk may be 3 MiB on a slow line.
inline constexpr double kObjectDeadlineFactor = 4;

}  // namespace tandem

#endif  // TANDEM_CLIENT_CONNECTION_H_
