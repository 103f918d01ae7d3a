// The life of a client: join, then task after task until the run has ended.
#ifndef TANDEM_CLIENT_CLIENT_RUNNER_H_
#define TANDEM_CLIENT_CLIENT_RUNNER_H_

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>

#include "client/client_observer.h"
#include "client/connection.h"
#include "client/local_data.h"
#include "client/local_model.h"
#include "client/retry.h"
#include "common/clock.h"
#include "common/status.h"
#include "proto/config.pb.h"

namespace tandem {

struct ClientOptions {
  std::string client_id;
  // Downloaded objects; clients may share it.
  std::filesystem::path cache_directory = "runs/client-cache";
  int64_t max_cache_bytes = int64_t{4} << 30;
  RetryOptions retry;
  // Clients of equal seeds would come back to a restarted server all at once.
  uint64_t retry_jitter_seed = 1;
};

// What a client is made of; borrowed, and not changed.
struct ClientParts {
  const LocalModel& model;
  const LocalData& data;
  Connection& connection;
  Clock& clock;
  ClientObserver* observer = nullptr;  // may be null
};

// Runs until the server says that the run has finished, or until a stop is
// requested, which also closes the connection; both are OK. A task that fails
// here (bad adapter, no data, an exception in training) is reported as failed,
// and the client goes on; so does one that the server cancels or whose time is
// over, unreported. A restarted server is joined again.
//
// Ends with an error: the server refuses Join (FAILED_PRECONDITION for another
// base model or protocol version, INVALID_ARGUMENT for a client id,
// RESOURCE_EXHAUSTED for a full run); it stays unreachable (UNAVAILABLE); it
// keeps ending the session (UNAUTHENTICATED); NextTask fails otherwise; the
// cache folder cannot be made.
StatusOr<ClientSummary> RunClient(const ClientParts& parts,
                                  const ClientOptions& options,
                                  std::stop_token stop = {});

// All of it from a configuration file: reads the private data, loads the model,
// connects over gRPC, runs. Errors of ReadLocalData, ConnectGrpc,
// LoadLocalModel and of RunClient above.
StatusOr<ClientSummary> RunClient(const proto::ClientConfig& config,
                                  ClientObserver* observer = nullptr,
                                  std::stop_token stop = {});

}  // namespace tandem

#endif  // TANDEM_CLIENT_CLIENT_RUNNER_H_
