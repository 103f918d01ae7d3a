#include "client/grpc_connection.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>

#include "common/network_address.h"
#include "proto/federation.grpc.pb.h"
#include "proto/status_conversion.h"

namespace tandem {
namespace {

using Stub = proto::FederationService::Stub;

// Chunks are at most 3 MiB (proto LimitsConfig); all else is far smaller.
constexpr int kMaxMessageBytes = 4 << 20;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  // A connection of its own, not shared with other channels to this server.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // client/retry.h decides when to try again; gRPC's own waits, up to two
  // minutes, would hide a server that is back. (The "minimal backoff" is how
  // long connecting may take; it stays at its 20 s.)
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  // Plaintext stays on this machine, so it must not go to $http_proxy.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(),
                                   arguments);
}

// The contexts of calls under way, so that Close can end them.
class OpenCalls {
 public:
  // False once closed: the call must not begin.
  bool Add(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    if (!closed_) contexts_.insert(context);
    return !closed_;
  }
  void Remove(grpc::ClientContext* context) {
    std::lock_guard lock(mutex_);
    contexts_.erase(context);
  }
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
  }
  bool closed() {
    std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::set<grpc::ClientContext*> contexts_;
};

class GrpcConnection : public Connection {
 public:
  GrpcConnection(const std::string& server, double call_deadline_seconds)
      : server_(server),
        call_deadline_seconds_(call_deadline_seconds),
        control_(proto::FederationService::NewStub(MakeChannel(server))),
        objects_(proto::FederationService::NewStub(MakeChannel(server))) {}

  StatusOr<proto::JoinResponse> Join(
      const proto::JoinRequest& request) override {
    auto response = Call<proto::JoinResponse>(*control_, &Stub::Join, "Join",
                                              request, call_deadline_seconds_);
    if (response.ok()) long_poll_seconds_ = response->long_poll_seconds();
    return response;
  }
  StatusOr<proto::NextTaskResponse> NextTask(
      const proto::NextTaskRequest& request) override {
    return Call<proto::NextTaskResponse>(
        *control_, &Stub::NextTask, "NextTask", request,
        long_poll_seconds_ + call_deadline_seconds_);
  }
  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& request) override {
    return Call<proto::GetObjectResponse>(
        *objects_, &Stub::GetObject, "GetObject", request,
        call_deadline_seconds_ * kObjectDeadlineFactor);
  }
  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& request) override {
    return Call<proto::PutObjectResponse>(
        *objects_, &Stub::PutObject, "PutObject", request,
        call_deadline_seconds_ * kObjectDeadlineFactor);
  }
  StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& request) override {
    return Call<proto::ReportResponse>(*control_, &Stub::Report, "Report",
                                       request, call_deadline_seconds_);
  }
  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& request) override {
    return Call<proto::HeartbeatResponse>(*control_, &Stub::Heartbeat,
                                          "Heartbeat", request,
                                          call_deadline_seconds_);
  }

  void Close() override { open_calls_.Close(); }
  std::string server() const override { return server_; }

 private:
  template <typename Response, typename Request>
  StatusOr<Response> Call(Stub& stub,
                          grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                       const Request&,
                                                       Response*),
                          const char* name, const Request& request,
                          double deadline_seconds) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::microseconds(
                             static_cast<int64_t>(deadline_seconds * 1e6)));
    if (!open_calls_.Add(&context)) {
      return Cancelled("the connection was closed");
    }
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    open_calls_.Remove(&context);
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return DeadlineExceeded("{}: no answer from {} within {:.2f} s", name,
                              server_, deadline_seconds);
    }
    if (status.error_code() == grpc::StatusCode::CANCELLED &&
        !open_calls_.closed()) {
      return Unavailable("{}: cancelled by {}: {}", name, server_,
                         status.error_message());
    }
    if (!status.ok()) return Annotate(FromGrpcStatus(status), name);
    return response;
  }

  const std::string server_;
  const double call_deadline_seconds_;
  std::atomic<double> long_poll_seconds_ = 0;
  std::unique_ptr<Stub> control_;
  std::unique_ptr<Stub> objects_;
  OpenCalls open_calls_;
};

}  // namespace

StatusOr<std::unique_ptr<Connection>> ConnectGrpc(
    const std::string& server, const proto::ConnectionConfig& config) {
  TANDEM_ASSIGN_OR_RETURN(const NetworkAddress address,
                          ParseNetworkAddress(server));
  TANDEM_RETURN_IF_ERROR(CheckPlaintextAllowed(address));
  return std::make_unique<GrpcConnection>(server,
                                          config.call_deadline_seconds());
}

}  // namespace tandem
