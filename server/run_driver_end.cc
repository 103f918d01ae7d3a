// How a run or its service ends, and what observers are told.
#include <algorithm>
#include <utility>

#include "common/log.h"
#include "common/peak_memory.h"
#include "server/run_driver.h"

namespace tandem {

void RunDriver::FailRun(const std::string& reason) {
  FailRound(RunState::kFailed, reason);
}

void RunDriver::ExhaustBudget(const std::string& reason) {
  FailRound(RunState::kBudgetExhausted, reason);
}

void RunDriver::FailRound(RunState state, const std::string& reason) {
  if (round_ && !IsFinal(round_->row().state)) {
    const Status status =
        round_->AdvanceEndingTasks(RoundState::kFailed, proto::LATE,
                                   "the round failed", [&](RoundRow& next) {
                                     next.reason = reason;
                                     next.ended = Now();
                                     return OkStatus();
                                   });
    if (!status.ok()) return Stop(status);
    RemoveUpdates();
    ObserveRoundEnd(round_->row());
  }
  EndRun(state, reason);
}

void RunDriver::EndRun(RunState state, const std::string& reason) {
  ++watch_;
  if (run_.state == RunState::kRunning) {
    RunRow next = run_;
    next.state = state;
    next.reason = reason;
    next.ended = Now();
    UpdateServerUsage(next);
    const Status status = parts_.store->SaveRun(next);
    if (!status.ok()) return Stop(status);
    run_ = std::move(next);
  }
  spdlog::info("run {} is {}{}{}", run_.run_id, NameOf(run_.state),
               run_.reason.empty() ? "" : ": ", run_.reason);
  for (const std::string& client : held_.Clients()) {
    sessions_.SetHeld(client, false, Now());
    heard_of_end_.insert(client);
  }
  held_.AnswerAll(RunFinished(std::string(NameOf(run_.state))));
  if (!std::exchange(ended_is_set_, true)) ended_.set_value(OkStatus());
}

// What another process may go on after (a full disk) ends the service; what
// would only happen again ends the run.
void RunDriver::FailOrStop(const Status& status, const std::string& doing) {
  const Status annotated = Annotate(status, doing);
  switch (status.code()) {
    case StatusCode::kCancelled:
    case StatusCode::kResourceExhausted:
    case StatusCode::kPermissionDenied:
    case StatusCode::kUnavailable:
    case StatusCode::kDataLoss:
    case StatusCode::kNotFound:
      return Stop(annotated);
    default:
      return FailRun(ToString(annotated));
  }
}

void RunDriver::Stop(const Status& reason) {
  ++watch_;
  if (service_ended_) return;
  service_ended_ = reason;
  if (reason.code() != StatusCode::kCancelled) {
    spdlog::error("the server cannot go on: {}", ToString(reason));
  }
  held_.AnswerAll(CheckServing());
  if (!std::exchange(ended_is_set_, true)) ended_.set_value(reason);
}

Status RunDriver::CheckServing() const {
  if (!service_ended_) return OkStatus();
  return Unavailable("the server is stopping: {}", ToString(*service_ended_));
}

void RunDriver::UpdateServerUsage(RunRow& run) const {
  run.server_seconds = seconds_before_ + ToSeconds(Now() - opened_);
  run.server_peak_rss_bytes =
      std::max(run.server_peak_rss_bytes, PeakRssBytes());
}

void RunDriver::Observe(const std::string& phase, int64_t done, int64_t total) {
  const std::lock_guard lock(observer_mutex_);
  if (parts_.observer.on_phase) parts_.observer.on_phase(phase, done, total);
}

void RunDriver::ObserveRoundEnd(const RoundRow& round) {
  if (!parts_.observer.on_round_ended) return;
  const auto tasks = parts_.store->LoadTasks(round.number, round.attempt);
  const auto evaluations =
      parts_.store->LoadEvaluations(round.number, round.attempt);
  if (!tasks.ok() || !evaluations.ok()) return;
  const RoundReport report =
      MakeRoundReport(round, *tasks, *evaluations, Now());
  const std::lock_guard lock(observer_mutex_);
  parts_.observer.on_round_ended(report);
}

std::string RunDriver::PhaseName(const char* doing) const {
  return fmt::format("round {}: {}", round_->row().number, doing);
}

ServerModel::Progress RunDriver::ProgressOf(const std::string& phase) {
  return [this, phase](int64_t done, int64_t total) {
    Observe(phase, done, total);
    return !stopping_.load();
  };
}

}  // namespace tandem
