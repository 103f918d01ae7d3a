// The server's side of proto/federation.proto without a transport: server/
// implements it, its gRPC service and the client's in-process connection call
// it.
#ifndef TANDEM_PROTO_FEDERATION_HANDLER_H_
#define TANDEM_PROTO_FEDERATION_HANDLER_H_

#include <functional>

#include "common/status.h"
#include "proto/federation.pb.h"

namespace tandem {

inline constexpr int kProtocolVersion = 2;

// Thread-safe. Each method's errors are those of the rpc of the same name.
class FederationHandler {
 public:
  virtual ~FederationHandler() = default;
  virtual StatusOr<proto::JoinResponse> Join(
      const proto::JoinRequest& request) = 0;
  // Returns at once; `done` is called exactly once, from any thread, possibly
  // before NextTask returns.
  virtual void NextTask(
      const proto::NextTaskRequest& request,
      std::function<void(StatusOr<proto::NextTaskResponse>)> done) = 0;
  virtual StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& request) = 0;
  virtual StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& request) = 0;
  virtual StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& request) = 0;
  virtual StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& request) = 0;
};

}  // namespace tandem

#endif  // TANDEM_PROTO_FEDERATION_HANDLER_H_
