#include "server/round.h"

#include <algorithm>
#include <utility>

namespace tandem {

StatusOr<Round> Round::Begin(StateStore& store, RoundRow row) {
  row.state = RoundState::kSelecting;
  TANDEM_RETURN_IF_ERROR(store.SaveRound(row));
  return Round(store, std::move(row));
}

Status Round::Advance(RoundState to,
                      const std::function<Status(RoundRow&)>& also) {
  return ChangeRoundState(*store_, row_, to, also);
}

Status Round::AdvanceWithTasks(RoundState to, proto::TaskKind kind,
                               const std::vector<std::string>& clients) {
  std::vector<TaskRow> added;
  for (const std::string& client : clients) {
    TaskRow& task = added.emplace_back();
    task.task_id = TaskId(row_, kind, client);
    task.number = row_.number;
    task.attempt = row_.attempt;
    task.kind = kind;
    task.client_id = client;
  }
  TANDEM_RETURN_IF_ERROR(Advance(to, [&](RoundRow&) -> Status {
    for (const TaskRow& task : added) {
      TANDEM_RETURN_IF_ERROR(store_->SaveTask(task));
    }
    return OkStatus();
  }));
  for (TaskRow& task : added) {
    open_[task.client_id] = task.task_id;
    tasks_[task.task_id] = std::move(task);
  }
  return OkStatus();
}

Status Round::AdvanceEndingTasks(RoundState to, proto::TaskOutcome outcome,
                                 const std::string& message,
                                 const std::function<Status(RoundRow&)>& also) {
  std::vector<TaskRow> ended = OpenTasks();
  for (TaskRow& task : ended) {
    task.outcome = outcome;
    task.message = message;
  }
  TANDEM_RETURN_IF_ERROR(Advance(to, [&](RoundRow& next) -> Status {
    for (const TaskRow& task : ended) {
      TANDEM_RETURN_IF_ERROR(store_->SaveTask(task));
    }
    return also ? also(next) : OkStatus();
  }));
  for (TaskRow& task : ended) tasks_[task.task_id] = std::move(task);
  open_.clear();
  return OkStatus();
}

Status Round::EndTask(const TaskRow& answered,
                      const std::function<Status()>& also) {
  const auto found = tasks_.find(answered.task_id);
  if (found == tasks_.end() ||
      found->second.outcome != proto::OUTCOME_UNSPECIFIED) {
    return FailedPrecondition("task '{}' is not open", answered.task_id);
  }
  TANDEM_RETURN_IF_ERROR(store_->Transact([&]() -> Status {
    TANDEM_RETURN_IF_ERROR(store_->SaveTask(answered));
    return also ? also() : OkStatus();
  }));
  open_.erase(answered.client_id);
  found->second = answered;
  return OkStatus();
}

const TaskRow* Round::Find(const std::string& task_id) const {
  const auto found = tasks_.find(task_id);
  return found == tasks_.end() ? nullptr : &found->second;
}

const TaskRow* Round::OpenTaskOf(const std::string& client_id) const {
  const auto found = open_.find(client_id);
  return found == open_.end() ? nullptr : Find(found->second);
}

std::vector<TaskRow> Round::OpenTasks() const {
  std::vector<TaskRow> tasks;
  tasks.reserve(open_.size());
  for (const auto& [client, task_id] : open_) {
    tasks.push_back(tasks_.at(task_id));
  }
  return tasks;
}

int64_t Round::Count(proto::TaskKind kind) const {
  return std::count_if(tasks_.begin(), tasks_.end(), [&](const auto& task) {
    return task.second.kind == kind;
  });
}

int64_t Round::Count(proto::TaskKind kind, proto::TaskOutcome outcome) const {
  return std::count_if(tasks_.begin(), tasks_.end(), [&](const auto& task) {
    return task.second.kind == kind && task.second.outcome == outcome;
  });
}

std::string Round::TaskId(const RoundRow& round, proto::TaskKind kind,
                          const std::string& client_id) {
  return fmt::format("r{}.{}-{}-{}", round.number, round.attempt,
                     kind == proto::TRAIN ? "train" : "evaluate", client_id);
}

}  // namespace tandem
