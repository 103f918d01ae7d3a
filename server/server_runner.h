// `tandem server`: a run served over gRPC until it ends.
#ifndef TANDEM_SERVER_SERVER_RUNNER_H_
#define TANDEM_SERVER_SERVER_RUNNER_H_

#include <atomic>
#include <functional>
#include <string>

#include "common/clock.h"
#include "common/status.h"
#include "proto/config.pb.h"
#include "server/run_host.h"
#include "server/run_observer.h"

namespace tandem {

// Opens the run of `config`, listens on config.listen().address() (port 0 takes
// a free one; observer.on_listening names it), and serves until the run has
// ended and its clients have heard so, or `stop` is set, by a signal handler
// say. A run that was stopped, or whose server was killed, goes on when this is
// called again with the same configuration.
//
// FailedPrecondition: the address is not on loopback, the port is taken,
// another process serves the directory, or a field that matters differs from
// the configuration that the run was started with. Else errors of
// RunHost::Open and RunHost::WaitForEnd.
StatusOr<RunSummary> RunServer(const proto::ServerConfig& config,
                               RunObserver observer,
                               const std::atomic<bool>& stop);

// The second half of RunServer: an open run served on its address until the
// end; the host is shut down then.
StatusOr<RunSummary> Serve(
    const proto::ServerConfig& config, RunHost& host,
    const std::function<void(const std::string&)>& on_listening, Clock& clock,
    const std::atomic<bool>& stop);

}  // namespace tandem

#endif  // TANDEM_SERVER_SERVER_RUNNER_H_
