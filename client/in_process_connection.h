// A Connection to a server in the same process, for simulation and tests:
// nothing is serialised, all else is as over the network.
#ifndef TANDEM_CLIENT_IN_PROCESS_CONNECTION_H_
#define TANDEM_CLIENT_IN_PROCESS_CONNECTION_H_

#include <memory>

#include "client/connection.h"
#include "proto/config.pb.h"
#include "proto/federation_handler.h"

namespace tandem {

// REQUIRES: `handler` outlives the connection. Only NextTask can wait, so only
// NextTask knows DEADLINE_EXCEEDED and an early end by Close.
std::unique_ptr<Connection> ConnectInProcess(
    FederationHandler& handler, const proto::ConnectionConfig& config);

}  // namespace tandem

#endif  // TANDEM_CLIENT_IN_PROCESS_CONNECTION_H_
