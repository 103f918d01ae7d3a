#include "server/server_runner.h"

#include <grpcpp/grpcpp.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
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

// gRPC says that it could not listen but not why; the system does.
std::string WhyNotListening(const NetworkAddress& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(),
                    &hints, &found);
  if (code != 0) return ::gai_strerror(code);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found,
                                                             ::freeaddrinfo);
  const int probe = ::socket(found->ai_family, SOCK_STREAM, 0);
  const bool failed =
      probe < 0 || ::bind(probe, found->ai_addr, found->ai_addrlen) != 0;
  const int error = errno;
  if (probe >= 0) ::close(probe);
  return failed ? std::generic_category().message(error) : "unknown reason";
}

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
    return FailedPrecondition("cannot listen on {}: {}", text,
                              WhyNotListening(address));
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
