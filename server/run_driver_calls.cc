// What clients ask of a run: to join, for tasks, and their reports.
#include <algorithm>
#include <cmath>
#include <utility>

#include "common/digest.h"
#include "common/log.h"
#include "server/client_metrics.h"
#include "server/run_config.h"
#include "server/run_driver.h"

namespace tandem {
namespace {

proto::ReportResponse Response(proto::TaskOutcome outcome,
                               const std::string& message) {
  proto::ReportResponse response;
  response.set_outcome(outcome);
  response.set_message(message);
  return response;
}

}  // namespace

Status RunDriver::Joined(const std::string& client_id) {
  TANDEM_RETURN_IF_ERROR(CheckServing());
  held_.Answer(client_id,
               Status(StatusCode::kUnauthenticated, "joined anew elsewhere"));
  heard_of_end_.erase(client_id);
  TANDEM_ASSIGN_OR_RETURN(const auto stored,
                          parts_.store->LoadClient(client_id));
  ClientRow client =
      stored.value_or(ClientRow{.client_id = client_id, .joined = Now()});
  ++client.joins;
  TANDEM_RETURN_IF_ERROR(parts_.store->SaveClient(client));
  TANDEM_RETURN_IF_ERROR(LoseTask(client_id, "joined anew"));
  TrySelect();
  return OkStatus();
}

void RunDriver::NextTask(const std::string& client_id, HeldCalls::Done done) {
  if (service_ended_) return done(CheckServing());
  if (run_.state != RunState::kRunning) {
    heard_of_end_.insert(client_id);
    return done(RunFinished(std::string(NameOf(run_.state))));
  }
  if (const TaskRow* task = round_ ? round_->OpenTaskOf(client_id) : nullptr) {
    proto::NextTaskResponse response;
    *response.mutable_task() =
        MakeTaskMessage(parts_.config, round_->row(), *task, objects_,
                        std::max(0.0, ToSeconds(task_deadline_ - Now())));
    return done(response);
  }
  const int64_t call = held_.Hold(client_id, std::move(done));
  sessions_.SetHeld(client_id, true, Now());
  executor_.PostAt(Now() + Seconds(parts_.config.limits().long_poll_seconds()),
                   [this, client_id, call] {
                     if (held_.AnswerCall(client_id, call, AskAgain(0))) {
                       sessions_.SetHeld(client_id, false, Now());
                     }
                   });
  TrySelect();
}

bool RunDriver::IsCancelled(const std::string& client_id,
                            const std::string& task_id) const {
  const TaskRow* task = round_ ? round_->OpenTaskOf(client_id) : nullptr;
  return task == nullptr || task->task_id != task_id;
}

bool RunDriver::EveryoneHeardOfTheEnd() const {
  const auto present = sessions_.Present(Now());
  return std::all_of(present.begin(), present.end(), [&](const auto& client) {
    return heard_of_end_.contains(client.client_id);
  });
}

StatusOr<std::variant<proto::ReportResponse, UpdateCheckContext>>
RunDriver::BeginReport(const std::string& client_id,
                       const proto::ReportRequest& request) {
  TANDEM_ASSIGN_OR_RETURN(const std::optional<TaskRow> task,
                          FindTask(client_id, request.task_id()));
  if (!task) {
    return Response(proto::WRONG_ROUND,
                    fmt::format("'{}' is no task of client '{}'",
                                Printable(request.task_id()), client_id));
  }
  if (task->outcome != proto::OUTCOME_UNSPECIFIED) {
    return AnswerEnded(*task, request);
  }
  if (const auto verdict = VerdictWithoutUpdate(*task, request)) {
    return EndTask(*task, request, *verdict);
  }
  return UpdateCheckContext{global_, UpdateLimitsFrom(parts_.config)};
}

StatusOr<proto::ReportResponse> RunDriver::EndReport(
    const std::string& client_id, const proto::ReportRequest& request,
    const UpdateVerdict& verdict) {
  TANDEM_ASSIGN_OR_RETURN(const std::optional<TaskRow> task,
                          FindTask(client_id, request.task_id()));
  if (!task) return Response(proto::WRONG_ROUND, "the task is gone");
  // Ended while the update was being checked.
  if (task->outcome != proto::OUTCOME_UNSPECIFIED) {
    return AnswerEnded(*task, request);
  }
  // Removed while it was being checked: after another report of the same bytes.
  if (verdict.outcome == proto::ACCEPTED &&
      !parts_.objects->Has(request.update().sha256())) {
    return EndTask(
        *task, request,
        {proto::MISSING_OBJECT,
         fmt::format("update {} is no longer there", request.update().sha256()),
         0});
  }
  return EndTask(*task, request, verdict);
}

StatusOr<std::optional<TaskRow>> RunDriver::FindTask(
    const std::string& client_id, const std::string& task_id) {
  TANDEM_RETURN_IF_ERROR(CheckServing());
  const TaskRow* current = round_ ? round_->Find(task_id) : nullptr;
  std::optional<TaskRow> task;
  if (current != nullptr) {
    task = *current;
  } else {
    TANDEM_ASSIGN_OR_RETURN(task, parts_.store->LoadTask(task_id));
  }
  if (task && task->client_id != client_id) task.reset();
  return task;
}

// Repeating a report repeats its answer. Another update for a task that has
// ended changes nothing, and is dropped.
proto::ReportResponse RunDriver::AnswerEnded(
    const TaskRow& task, const proto::ReportRequest& request) {
  const std::string& update = request.update().sha256();
  if (task.update == update) return Response(task.outcome, task.message);
  RemoveUnlessKept(update);
  if (task.update.empty()) return Response(task.outcome, task.message);
  const bool current = round_ && round_->Find(task.task_id) != nullptr;
  return Response(current ? proto::LATE : proto::WRONG_ROUND,
                  fmt::format("task '{}' was answered with update {} already",
                              task.task_id, task.update));
}

std::optional<UpdateVerdict> RunDriver::VerdictWithoutUpdate(
    const TaskRow& task, const proto::ReportRequest& request) const {
  if (!request.failure().empty()) {
    return UpdateVerdict{proto::CLIENT_FAILED, Printable(request.failure()), 0};
  }
  if (const Status status = CheckMetrics(request.metrics()); !status.ok()) {
    return UpdateVerdict{proto::MALFORMED, ToString(status), 0};
  }
  if (task.kind == proto::EVALUATE)
    return UpdateVerdict{proto::ACCEPTED, "", 0};
  return std::nullopt;
}

StatusOr<proto::ReportResponse> RunDriver::EndTask(
    TaskRow task, const proto::ReportRequest& request,
    const UpdateVerdict& verdict) {
  task.outcome = verdict.outcome;
  task.message = verdict.message;
  if (IsSha256Hex(request.update().sha256())) {
    task.update = request.update().sha256();
  }
  const double loss = request.metrics().train_loss();
  task.train_loss = std::isfinite(loss) ? loss : 0;
  const Status status = round_->EndTask(task, [&]() -> Status {
    TANDEM_RETURN_IF_ERROR(StoreMetrics(task, request.metrics()));
    if (task.outcome != proto::ACCEPTED) return OkStatus();
    if (task.kind == proto::EVALUATE) return StoreEvaluations(task, request);
    return parts_.store->SaveContribution({task.number, task.attempt,
                                           task.client_id, task.update,
                                           request.weight(), verdict.norm_l2});
  });
  if (!status.ok()) {
    FailOrStop(status, "storing a report");
    return Unavailable("the report of task '{}' could not be stored",
                       task.task_id);
  }
  if (task.outcome != proto::ACCEPTED) {
    spdlog::warn("client {}: task {} ended as {}: {}", task.client_id,
                 task.task_id, proto::TaskOutcome_Name(task.outcome),
                 task.message);
  }
  TaskEnded();
  return Response(task.outcome, task.message);
}

Status RunDriver::StoreMetrics(const TaskRow& task,
                               const proto::TaskMetrics& metrics) {
  if (!CheckMetrics(metrics).ok()) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(std::optional<ClientRow> client,
                          parts_.store->LoadClient(task.client_id));
  if (!client) return OkStatus();
  AddMetrics(metrics, *client);
  return parts_.store->SaveClient(*client);
}

Status RunDriver::StoreEvaluations(const TaskRow& task,
                                   const proto::ReportRequest& request) {
  for (const auto& result : request.metrics().evaluation()) {
    TANDEM_RETURN_IF_ERROR(parts_.store->SaveEvaluation(
        {task.number,
         task.attempt,
         task.client_id,
         Printable(result.name()),
         {result.loss_nats(), result.target_tokens(), result.target_bytes(),
          result.examples()}}));
  }
  return OkStatus();
}

Status RunDriver::LoseTask(const std::string& client_id,
                           const std::string& why) {
  const TaskRow* open = round_ ? round_->OpenTaskOf(client_id) : nullptr;
  if (open == nullptr) return OkStatus();
  TaskRow task = *open;
  task.outcome = proto::CLIENT_LOST;
  task.message = why;
  TANDEM_RETURN_IF_ERROR(round_->EndTask(task));
  spdlog::warn("client {}: task {} is lost: {}", client_id, task.task_id, why);
  TaskEnded();
  return OkStatus();
}

}  // namespace tandem
