// A Connection over gRPC.
#ifndef TANDEM_CLIENT_GRPC_CONNECTION_H_
#define TANDEM_CLIENT_GRPC_CONNECTION_H_

#include <memory>
#include <string>

#include "client/connection.h"
#include "common/status.h"
#include "proto/config.pb.h"

namespace tandem {

// Connects lazily: a server that is not there shows as UNAVAILABLE at the first
// call. Objects travel over a channel of their own, so that a heartbeat never
// queues behind a chunk. InvalidArgument: `server` is not HOST:PORT.
// FailedPrecondition: it is not on loopback, and plaintext may go nowhere else.
StatusOr<std::unique_ptr<Connection>> ConnectGrpc(
    const std::string& server, const proto::ConnectionConfig& config);

}  // namespace tandem

#endif  // TANDEM_CLIENT_GRPC_CONNECTION_H_
