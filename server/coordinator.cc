#include "server/coordinator.h"

#include <utility>

#include "common/digest.h"
#include "common/log.h"

namespace tandem {
namespace {

// What an update may have beyond twice the global adapter's bytes.
constexpr int64_t kSpareBytes = 1 << 20;
// A task needs one; each training anew after a restart may begin another.
constexpr size_t kMaxUploadsOfTask = 8;

Status CheckJoin(const proto::JoinRequest& request,
                 const std::string& base_model_digest) {
  TANDEM_RETURN_IF_ERROR(CheckClientId(request.client_id()));
  if (request.protocol_version() != kProtocolVersion) {
    return FailedPrecondition(
        "client '{}' speaks protocol version {}, this server version {}",
        request.client_id(), request.protocol_version(), kProtocolVersion);
  }
  if (request.base_model_digest() != base_model_digest) {
    return FailedPrecondition(
        "client '{}' holds base model {}, the run trains {}",
        request.client_id(),
        IsSha256Hex(request.base_model_digest()) ? request.base_model_digest()
                                                 : "without a digest",
        base_model_digest);
  }
  return OkStatus();
}

}  // namespace

Coordinator::Coordinator(const RunParts& parts)
    : parts_(parts),
      sessions_(parts.config.limits().max_clients(),
                Seconds(parts.config.limits().client_timeout_seconds())),
      executor_(std::make_unique<SerialExecutor>(*parts.clock)),
      worker_(std::make_unique<SerialExecutor>(*parts.clock)) {
  driver_ = std::make_unique<RunDriver>(parts_, sessions_, published_,
                                        *executor_, *worker_, stopping_);
  ended_ = driver_->Ended().share();
}

StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(
    const RunParts& parts) {
  std::unique_ptr<Coordinator> coordinator(new Coordinator(parts));
  TANDEM_RETURN_IF_ERROR(coordinator->driver_->Open());
  RunDriver* driver = coordinator->driver_.get();
  coordinator->executor_->Post([driver] { driver->Start(); });
  return coordinator;
}

Coordinator::~Coordinator() { Shutdown(); }

void Coordinator::Shutdown() {
  if (stopping_.exchange(true)) return;
  // From here on the driver gives the worker nothing more to do.
  executor_->Call(
      [this] { driver_->Stop(Cancelled("the server was shut down")); });
  worker_.reset();
}

StatusOr<proto::JoinResponse> Coordinator::Join(
    const proto::JoinRequest& request) {
  TANDEM_RETURN_IF_ERROR(CheckJoin(request, parts_.model->base_model_digest()));
  proto::JoinResponse response;
  // One event: a round that began between the two would give the new session a
  // task, which Joined() would then take for one of the session before it.
  TANDEM_RETURN_IF_ERROR(executor_->Call([&]() -> Status {
    TANDEM_ASSIGN_OR_RETURN(
        *response.mutable_session(),
        sessions_.Open(request.client_id(), request.can_evaluate(),
                       parts_.clock->Now()));
    response.set_run_id(driver_->run().run_id);
    return driver_->Joined(request.client_id());
  }));
  spdlog::info("client {} has joined", request.client_id());
  const auto& limits = parts_.config.limits();
  response.set_heartbeat_interval_seconds(limits.heartbeat_interval_seconds());
  response.set_chunk_bytes(limits.chunk_bytes());
  response.set_long_poll_seconds(limits.long_poll_seconds());
  return response;
}

StatusOr<std::string> Coordinator::ClientOf(const std::string& session) {
  return sessions_.Touch(session, parts_.clock->Now());
}

void Coordinator::NextTask(
    const proto::NextTaskRequest& request,
    std::function<void(StatusOr<proto::NextTaskResponse>)> done) {
  const auto client = ClientOf(request.session());
  if (!client.ok()) return done(client.status());
  auto answer = [this, client = *client, done = std::move(done)](
                    StatusOr<proto::NextTaskResponse> next) {
    if (next.ok() && next->has_task()) RememberTask(client, next->task());
    done(std::move(next));
  };
  executor_->Post(
      [this, client = *client, answer = std::move(answer)]() mutable {
        driver_->NextTask(client, std::move(answer));
      });
}

void Coordinator::RememberTask(const std::string& client,
                               const proto::Task& task) {
  if (task.kind() != proto::TRAIN) return;
  TrainTask& known = train_tasks_[client];
  if (known.task_id == task.task_id()) return;  // asked for again
  known = {task.task_id(),
           2 * task.global_adapter().size_bytes() + kSpareBytes};
}

StatusOr<proto::GetObjectResponse> Coordinator::GetObject(
    const proto::GetObjectRequest& request) {
  TANDEM_RETURN_IF_ERROR(ClientOf(request.session()).status());
  if (!published_.Contains(request.sha256())) {
    return NotFound("no such object is offered to clients");
  }
  proto::GetObjectResponse response;
  TANDEM_ASSIGN_OR_RETURN(const int64_t size,
                          parts_.objects->Size(request.sha256()));
  TANDEM_ASSIGN_OR_RETURN(
      *response.mutable_chunk(),
      parts_.objects->ReadChunk(request.sha256(), request.offset_bytes(),
                                parts_.config.limits().chunk_bytes()));
  response.set_size_bytes(size);
  return response;
}

StatusOr<proto::PutObjectResponse> Coordinator::PutObject(
    const proto::PutObjectRequest& request) {
  TANDEM_ASSIGN_OR_RETURN(const std::string client,
                          ClientOf(request.session()));
  TANDEM_RETURN_IF_ERROR(
      executor_->Call([&] { return CheckUpload(client, request.object()); }));
  const int64_t limit = parts_.config.limits().chunk_bytes();
  if (static_cast<int64_t>(request.chunk().size()) > limit) {
    return InvalidArgument("a chunk of {} bytes is above chunk_bytes {}",
                           request.chunk().size(), limit);
  }
  TANDEM_ASSIGN_OR_RETURN(
      const int64_t received,
      parts_.objects->AppendUpload(request.object().sha256(),
                                   request.object().size_bytes(),
                                   request.offset_bytes(), request.chunk()));
  proto::PutObjectResponse response;
  response.set_received_bytes(received);
  return response;
}

Status Coordinator::CheckUpload(const std::string& client,
                                const proto::ObjectRef& object) {
  const auto task = train_tasks_.find(client);
  if (task == train_tasks_.end() ||
      driver_->IsCancelled(client, task->second.task_id)) {
    return FailedPrecondition(
        "client '{}' has no open task to train, and so nothing to upload",
        client);
  }
  const int64_t limit = task->second.max_update_bytes;
  if (object.size_bytes() > limit) {
    return InvalidArgument(
        "client '{}' uploads an object of {} bytes, an update has at most {} "
        "(twice the global adapter and 1 MiB)",
        client, object.size_bytes(), limit);
  }
  std::set<std::string>& uploads = task->second.uploads;
  if (uploads.size() == kMaxUploadsOfTask &&
      !uploads.contains(object.sha256())) {
    return ResourceExhausted(
        "client '{}' has begun {} uploads for task {}, the most allowed",
        client, kMaxUploadsOfTask, task->second.task_id);
  }
  uploads.insert(object.sha256());
  return OkStatus();
}

StatusOr<proto::ReportResponse> Coordinator::Report(
    const proto::ReportRequest& request) {
  TANDEM_ASSIGN_OR_RETURN(const std::string client,
                          ClientOf(request.session()));
  auto begun =
      executor_->Call([&] { return driver_->BeginReport(client, request); });
  if (!begun.ok()) return begun.status();
  if (auto* answer = std::get_if<proto::ReportResponse>(&*begun)) {
    return std::move(*answer);
  }
  const UpdateVerdict verdict =
      Check(request, std::get<UpdateCheckContext>(*begun));
  return executor_->Call(
      [&] { return driver_->EndReport(client, request, verdict); });
}

UpdateVerdict Coordinator::Check(const proto::ReportRequest& request,
                                 const UpdateCheckContext& context) const {
  const std::string& update = request.update().sha256();
  const auto path = parts_.objects->Path(update);
  if (!path.ok()) {
    return {proto::MISSING_OBJECT,
            IsSha256Hex(update)
                ? fmt::format("update {} was not uploaded", update)
                : std::string("the report names no update"),
            0};
  }
  try {
    return CheckUpdate(*context.global, *path, request.weight(),
                       context.limits);
  } catch (const std::exception& e) {
    // LibTorch's messages end in a stack trace: nothing for the client.
    spdlog::error("update {} cannot be checked: {}", update, e.what());
    return {proto::MALFORMED, "the update cannot be checked", 0};
  }
}

StatusOr<proto::HeartbeatResponse> Coordinator::Heartbeat(
    const proto::HeartbeatRequest& request) {
  TANDEM_ASSIGN_OR_RETURN(const std::string client,
                          ClientOf(request.session()));
  proto::HeartbeatResponse response;
  response.set_task_cancelled(executor_->Call(
      [&] { return driver_->IsCancelled(client, request.task_id()); }));
  return response;
}

RunRow Coordinator::Run() {
  return executor_->Call([this] { return driver_->run(); });
}

bool Coordinator::EveryoneHeardOfTheEnd() {
  return executor_->Call([this] { return driver_->EveryoneHeardOfTheEnd(); });
}

}  // namespace tandem
