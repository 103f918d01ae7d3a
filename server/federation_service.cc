#include "server/federation_service.h"

#include <functional>
#include <mutex>
#include <utility>

#include "proto/status_conversion.h"

namespace tandem {
namespace {

constexpr int kThreads = 4;

template <typename Response>
void Finish(grpc::ServerUnaryReactor& reactor, StatusOr<Response> answer,
            Response& response) {
  const grpc::Status status = ToGrpcStatus(answer.status());
  if (answer.ok()) response = *std::move(answer);
  reactor.Finish(status);
}

// A held NextTask call. The handler's answer and the client's going away may
// come in any order, from any two threads; the first of them finishes the call,
// and nothing touches it afterwards.
class HeldCall : public grpc::ServerUnaryReactor {
 public:
  explicit HeldCall(proto::NextTaskResponse* response)
      : state_(std::make_shared<State>()) {
    state_->call = this;
    state_->response = response;
  }

  std::function<void(StatusOr<proto::NextTaskResponse>)> Done() {
    return [state = state_](StatusOr<proto::NextTaskResponse> answer) {
      Finish(*state, std::move(answer));
    };
  }

  void OnCancel() override {
    Finish(*state_, Cancelled("the client has gone away"));
  }
  void OnDone() override { delete this; }

 private:
  struct State {
    std::mutex mutex;
    HeldCall* call = nullptr;  // null once finished; guarded by mutex
    proto::NextTaskResponse* response = nullptr;
  };

  static void Finish(State& state, StatusOr<proto::NextTaskResponse> answer) {
    HeldCall* call = nullptr;
    const grpc::Status status = ToGrpcStatus(answer.status());
    {
      const std::lock_guard lock(state.mutex);
      call = std::exchange(state.call, nullptr);
      if (call != nullptr && answer.ok()) {
        *state.response = *std::move(answer);
      }
    }
    if (call == nullptr) return;
    call->grpc::ServerUnaryReactor::Finish(status);
  }

  // Outlives the call, which gRPC deletes through OnDone.
  std::shared_ptr<State> state_;
};

}  // namespace

FederationService::FederationService(FederationHandler& handler, Clock& clock)
    : handler_(handler) {
  for (int i = 0; i < kThreads; ++i) {
    executors_.push_back(std::make_unique<SerialExecutor>(clock));
  }
}

template <typename Request, typename Response>
grpc::ServerUnaryReactor* FederationService::Answer(
    grpc::CallbackServerContext* context, const std::string& session,
    StatusOr<Response> (FederationHandler::*method)(const Request&),
    const Request* request, Response* response) {
  auto* reactor = context->DefaultReactor();
  const size_t index = std::hash<std::string>()(session) % executors_.size();
  executors_[index]->Post([this, reactor, method, request, response] {
    Finish(*reactor, (handler_.*method)(*request), *response);
  });
  return reactor;
}

grpc::ServerUnaryReactor* FederationService::NextTask(
    grpc::CallbackServerContext*, const proto::NextTaskRequest* request,
    proto::NextTaskResponse* response) {
  auto* call = new HeldCall(response);
  handler_.NextTask(*request, call->Done());
  return call;
}

grpc::ServerUnaryReactor* FederationService::Join(
    grpc::CallbackServerContext* context, const proto::JoinRequest* request,
    proto::JoinResponse* response) {
  return Answer(context, request->client_id(), &FederationHandler::Join,
                request, response);
}

grpc::ServerUnaryReactor* FederationService::GetObject(
    grpc::CallbackServerContext* context,
    const proto::GetObjectRequest* request,
    proto::GetObjectResponse* response) {
  return Answer(context, request->session(), &FederationHandler::GetObject,
                request, response);
}

grpc::ServerUnaryReactor* FederationService::PutObject(
    grpc::CallbackServerContext* context,
    const proto::PutObjectRequest* request,
    proto::PutObjectResponse* response) {
  return Answer(context, request->session(), &FederationHandler::PutObject,
                request, response);
}

grpc::ServerUnaryReactor* FederationService::Report(
    grpc::CallbackServerContext* context, const proto::ReportRequest* request,
    proto::ReportResponse* response) {
  return Answer(context, request->session(), &FederationHandler::Report,
                request, response);
}

// On gRPC's own thread: it waits for the executor's next turn at most.
grpc::ServerUnaryReactor* FederationService::Heartbeat(
    grpc::CallbackServerContext* context,
    const proto::HeartbeatRequest* request,
    proto::HeartbeatResponse* response) {
  auto* reactor = context->DefaultReactor();
  Finish(*reactor, handler_.Heartbeat(*request), *response);
  return reactor;
}

}  // namespace tandem
