#include "server/server_runner.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "common/log.h"
#include "common/network_address.h"
#include "server/federation_service.h"

namespace tandem {
namespace {

// Room in a message beside its chunk.
constexpr int kMessageOverheadBytes = 64 * 1024;
constexpr auto kShutdownGrace = std::chrono::seconds(2);

struct Listener {
  std::unique_ptr<grpc::Server> server;
  std::string address;  // with the port that was taken
};

StatusOr<Listener> Listen(const proto::ServerConfig& config,
                          grpc::Service& service) {
  const std::string& text = config.listen().address();
  TANDEM_ASSIGN_OR_RETURN(const NetworkAddress address,
                          ParseNetworkAddress(text));
  TANDEM_RETURN_IF_ERROR(CheckPlaintextAllowed(address));
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(text, grpc::InsecureServerCredentials(), &port);
  // With it, a second server on the same port would silently get half of the
  // clients.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Clients behind address translation ping to stay connected.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  const int message_bytes =
      config.limits().chunk_bytes() + kMessageOverheadBytes;
  builder.SetMaxReceiveMessageSize(message_bytes);
  builder.SetMaxSendMessageSize(message_bytes);
  builder.RegisterService(&service);
  Listener listener{builder.BuildAndStart(), text};
  if (listener.server == nullptr || port == 0) {
    // gRPC does not say why; the system does.
    TANDEM_RETURN_IF_ERROR(CheckCanListen(address));
    return FailedPrecondition("cannot listen on {}: unknown reason", text);
  }
  listener.address = text.substr(0, text.rfind(':') + 1) + std::to_string(port);
  return listener;
}

}  // namespace

StatusOr<RunSummary> RunServer(const proto::ServerConfig& config,
                               RunObserver observer,
                               const std::atomic<bool>& stop) {
  SystemClock clock;
  TANDEM_ASSIGN_OR_RETURN(const NetworkAddress address,
                          ParseNetworkAddress(config.listen().address()));
  TANDEM_RETURN_IF_ERROR(CheckPlaintextAllowed(address));
  // Before minutes go into reading models and distilling.
  TANDEM_RETURN_IF_ERROR(CheckCanListen(address));
  const auto on_listening = observer.on_listening;
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<RunHost> host,
                          RunHost::Open(config, std::move(observer), clock));
  return Serve(config, *host, on_listening, clock, stop);
}

StatusOr<RunSummary> Serve(
    const proto::ServerConfig& config, RunHost& host,
    const std::function<void(const std::string&)>& on_listening, Clock& clock,
    const std::atomic<bool>& stop) {
  FederationService service(host.handler(), clock);
  TANDEM_ASSIGN_OR_RETURN(Listener listener, Listen(config, service));
  spdlog::info("listening on {}", listener.address);
  if (on_listening) on_listening(listener.address);
  StatusOr<RunSummary> summary = host.WaitForEnd(stop);
  // Held calls are answered first, so that gRPC has nothing to wait for.
  host.Shutdown();
  listener.server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  listener.server->Wait();
  return summary;
}

}  // namespace tandem
