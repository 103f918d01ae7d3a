// proto/federation.proto over gRPC: decodes, calls a FederationHandler,
// encodes. No arithmetic here.
#ifndef TANDEM_SERVER_FEDERATION_SERVICE_H_
#define TANDEM_SERVER_FEDERATION_SERVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "common/clock.h"
#include "proto/federation.grpc.pb.h"
#include "proto/federation_handler.h"
#include "server/serial_executor.h"

namespace tandem {

// Calls that may wait for a disk run on a few threads of the service's own, so
// that gRPC's are free for heartbeats; those of one session in order.
class FederationService : public proto::FederationService::CallbackService {
 public:
  // REQUIRES: handler and clock outlive the service.
  FederationService(FederationHandler& handler, Clock& clock);

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const proto::JoinRequest* request,
                                 proto::JoinResponse* response) override;
  // Held open until the handler answers or the client goes away.
  grpc::ServerUnaryReactor* NextTask(
      grpc::CallbackServerContext* context,
      const proto::NextTaskRequest* request,
      proto::NextTaskResponse* response) override;
  grpc::ServerUnaryReactor* GetObject(
      grpc::CallbackServerContext* context,
      const proto::GetObjectRequest* request,
      proto::GetObjectResponse* response) override;
  grpc::ServerUnaryReactor* PutObject(
      grpc::CallbackServerContext* context,
      const proto::PutObjectRequest* request,
      proto::PutObjectResponse* response) override;
  grpc::ServerUnaryReactor* Report(grpc::CallbackServerContext* context,
                                   const proto::ReportRequest* request,
                                   proto::ReportResponse* response) override;
  grpc::ServerUnaryReactor* Heartbeat(
      grpc::CallbackServerContext* context,
      const proto::HeartbeatRequest* request,
      proto::HeartbeatResponse* response) override;

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(
      grpc::CallbackServerContext* context, const std::string& session,
      StatusOr<Response> (FederationHandler::*method)(const Request&),
      const Request* request, Response* response);

  FederationHandler& handler_;
  std::vector<std::unique_ptr<SerialExecutor>> executors_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_FEDERATION_SERVICE_H_
