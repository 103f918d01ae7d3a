#include "server/run_driver.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "server/client_selector.h"
#include "server/run_config.h"

namespace tandem {

RunDriver::RunDriver(const RunParts& parts, SessionTable& sessions,
                     PublishedObjects& published, SerialExecutor& executor,
                     SerialExecutor& worker, const std::atomic<bool>& stopping)
    : parts_(parts),
      sessions_(sessions),
      published_(published),
      executor_(executor),
      worker_(worker),
      stopping_(stopping) {}

void RunDriver::Start() {
  if (run_.state == RunState::kRunning) return Prepare();
  EndRun(run_.state, run_.reason);
}

// The initial adapter and the clients' targets are made once in a run; a
// restart finds them stored.
void RunDriver::Prepare() {
  using Made = std::pair<std::string, std::string>;
  const bool wants_targets = ClientDistillationWeight(parts_.config) > 0;
  auto make = [this, wants_targets, adapter = run_.initial_adapter,
               targets = run_.auxiliary_targets]() mutable -> StatusOr<Made> {
    if (adapter.empty()) {
      TANDEM_ASSIGN_OR_RETURN(
          const TensorMap tensors,
          parts_.model->InitialAdapter(ProgressOf("initial distillation")));
      TANDEM_ASSIGN_OR_RETURN(adapter, StoreTensors(*parts_.objects, tensors));
    }
    if (wants_targets && targets.empty()) {
      const std::filesystem::path file =
          std::filesystem::path(parts_.config.run().directory()) /
          "client-targets.new";
      TANDEM_RETURN_IF_ERROR(parts_.model->WriteClientTargets(
          file, ProgressOf("teacher targets for clients")));
      TANDEM_ASSIGN_OR_RETURN(const proto::ObjectRef ref,
                              parts_.objects->PutFile(file));
      targets = ref.sha256();
    }
    return Made(adapter, targets);
  };
  Work<Made>(make, [this](StatusOr<Made> made) {
    Status status = made.status();
    if (status.ok()) status = Prepared(made->first, made->second);
    // Nothing is lost yet: whatever it was can be mended.
    if (!status.ok()) Stop(Annotate(status, "preparing the run"));
  });
}

Status RunDriver::Prepared(const std::string& adapter,
                           const std::string& targets) {
  RunRow next = run_;
  next.initial_adapter = adapter;
  next.auxiliary_targets = targets;
  if (next.adapter.empty()) next.adapter = adapter;
  UpdateServerUsage(next);
  TANDEM_RETURN_IF_ERROR(parts_.store->SaveRun(next));
  run_ = std::move(next);
  if (!targets.empty()) {
    TANDEM_ASSIGN_OR_RETURN(const int64_t size, parts_.objects->Size(targets));
    objects_.auxiliary_targets.set_sha256(targets);
    objects_.auxiliary_targets.set_size_bytes(size);
    published_.Add(targets);
  }
  BeginRound();
  return OkStatus();
}

void RunDriver::BeginNextRound() {
  executor_.Post([this] {
    if (!service_ended_) BeginRound();
  });
}

void RunDriver::BeginRound() {
  if (run_.committed_rounds >= parts_.config.rounds().count()) {
    return EndRun(RunState::kFinished, "");
  }
  const Status status = TryBeginRound();
  if (!status.ok()) return FailOrStop(status, "beginning a round");
  // Before clients train in vain.
  const auto objection = BudgetObjection(NextRelease(round_->row()));
  if (!objection.ok()) return FailOrStop(objection.status(), "privacy budget");
  if (!objection->empty()) return ExhaustBudget(*objection);
  TrySelect();
}

Status RunDriver::TryBeginRound() {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<RoundRow> rounds,
                          parts_.store->LoadRounds());
  RoundRow row;
  row.number = run_.committed_rounds + 1;
  abandoned_in_a_row_ = 0;
  for (const RoundRow& earlier : rounds) {
    if (earlier.number != row.number) continue;
    ++row.attempt;
    abandoned_in_a_row_ += !earlier.interrupted;
    // Sampling amplifies a release only where its cohort is drawn anew.
    row.draw += !earlier.interrupted || WasReleased(earlier);
  }
  row.started = Now();
  row.adapter_before = run_.adapter;
  TANDEM_ASSIGN_OR_RETURN(TensorMap global,
                          LoadTensors(*parts_.objects, run_.adapter));
  TANDEM_ASSIGN_OR_RETURN(const int64_t size,
                          parts_.objects->Size(run_.adapter));
  TANDEM_ASSIGN_OR_RETURN(Round round, Round::Begin(*parts_.store, row));
  global_ = std::make_shared<const TensorMap>(std::move(global));
  objects_.global_adapter.set_sha256(run_.adapter);
  objects_.global_adapter.set_size_bytes(size);
  published_.Add(run_.adapter);
  candidate_ = {};
  round_ = std::move(round);
  return OkStatus();
}

int64_t RunDriver::ClientsNeeded() const {
  const auto& rounds = parts_.config.rounds();
  if (selected_before_) return rounds.quorum();
  return std::max(rounds.min_clients(), rounds.quorum());
}

void RunDriver::TrySelect() {
  if (!round_ || round_->row().state != RoundState::kSelecting) return;
  const std::vector<PresentClient> present = sessions_.Present(Now());
  const auto count = static_cast<int64_t>(present.size());
  if (count < ClientsNeeded()) {
    if (std::exchange(waiting_with_, count) != count) {
      Observe("waiting for clients", count, ClientsNeeded());
    }
    return;
  }
  waiting_with_ = -1;
  const Status status = Select(present);
  if (!status.ok()) return FailOrStop(status, "selecting clients");
  // Nobody was drawn.
  if (round_->OpenTasks().empty()) EndCollecting();
}

Status RunDriver::Select(const std::vector<PresentClient>& present) {
  const RoundRow& row = round_->row();
  std::vector<std::string> clients;
  clients.reserve(present.size());
  for (const PresentClient& client : present) {
    clients.push_back(client.client_id);
  }
  TANDEM_ASSIGN_OR_RETURN(
      const std::vector<std::string> cohort,
      SelectClients(SelectorOptionsFrom(parts_.config.rounds()), clients,
                    SelectionSeed(run_.selection_seed, row.number, row.draw)));
  TANDEM_RETURN_IF_ERROR(
      round_->AdvanceWithTasks(RoundState::kCollecting, proto::TRAIN, cohort));
  selected_before_ = true;
  spdlog::info("round {}: {} of {} clients train", row.number, cohort.size(),
               clients.size());
  OfferTasks(parts_.config.rounds().deadline_seconds());
  executor_.PostAt(task_deadline_, [this, watch = watch_] {
    if (watch == watch_) EndCollecting();
  });
  Observe(PhaseName("training"), 0, round_->Count(proto::TRAIN));
  return OkStatus();
}

// Starts the clock of the round's open tasks and answers clients that wait.
void RunDriver::OfferTasks(double deadline_seconds) {
  ++watch_;
  task_deadline_ = Now() + Seconds(deadline_seconds);
  for (const TaskRow& task : round_->OpenTasks()) {
    if (!held_.Holds(task.client_id)) continue;
    sessions_.SetHeld(task.client_id, false, Now());
    proto::NextTaskResponse response;
    *response.mutable_task() = MakeTaskMessage(
        parts_.config, round_->row(), task, objects_, deadline_seconds);
    held_.Answer(task.client_id, response);
  }
  WatchSilence(watch_);
}

void RunDriver::WatchSilence(int64_t watch) {
  if (watch != watch_ || service_ended_ || !round_) return;
  const TimePoint now = Now();
  TimePoint next =
      now + Seconds(parts_.config.limits().client_timeout_seconds());
  std::vector<std::string> silent;
  for (const TaskRow& task : round_->OpenTasks()) {
    const auto silent_at = sessions_.SilentAt(task.client_id, now);
    if (silent_at && *silent_at <= now) silent.push_back(task.client_id);
    if (silent_at && *silent_at > now) next = std::min(next, *silent_at);
  }
  executor_.PostAt(next, [this, watch] { WatchSilence(watch); });
  for (const std::string& client : silent) {
    if (watch != watch_ || service_ended_) return;
    const Status status = LoseTask(
        client, fmt::format("silent for {} s",
                            parts_.config.limits().client_timeout_seconds()));
    if (!status.ok()) return FailOrStop(status, "ending a lost task");
  }
}

// After every task's end: goes on where it was the last.
void RunDriver::TaskEnded() {
  const bool collecting = round_->row().state == RoundState::kCollecting;
  const proto::TaskKind kind = collecting ? proto::TRAIN : proto::EVALUATE;
  const auto open = static_cast<int64_t>(round_->OpenTasks().size());
  if (collecting) {
    Observe(PhaseName("training"), round_->Count(kind) - open,
            round_->Count(kind));
  }
  if (open > 0) return;
  collecting ? EndCollecting() : TryCommit();
}

// Under privacy with Poisson sampling an attempt must not be thrown away for
// who happened to be drawn: that would not be the mechanism that the accountant
// knows. Only clients that were drawn and then failed count against the quorum.
int64_t RunDriver::Quorum() const {
  const int64_t quorum = parts_.config.rounds().quorum();
  const bool drawn_privately = parts_.config.privacy().enabled() &&
                               parts_.config.rounds().selector() == "poisson";
  return drawn_privately ? std::min(quorum, round_->Count(proto::TRAIN))
                         : quorum;
}

void RunDriver::EndCollecting() {
  ++watch_;
  const int64_t accepted = round_->Count(proto::TRAIN, proto::ACCEPTED);
  if (accepted < Quorum()) {
    return AbandonRound(
        fmt::format("{} of {} updates were accepted, the quorum is {}",
                    accepted, round_->Count(proto::TRAIN), Quorum()));
  }
  const Status status = round_->AdvanceEndingTasks(
      RoundState::kAggregating, proto::LATE, "the round's deadline was over");
  if (!status.ok()) return FailOrStop(status, "ending the collection");
  AggregateUpdates();
}

void RunDriver::AbandonRound(const std::string& reason) {
  const Status status = round_->AdvanceEndingTasks(
      RoundState::kAbandoned, proto::LATE, "the round was abandoned",
      [&](RoundRow& next) {
        next.reason = reason;
        next.ended = Now();
        return OkStatus();
      });
  if (!status.ok()) return FailOrStop(status, "abandoning a round");
  const RoundRow row = round_->row();
  spdlog::warn("round {} is abandoned: {}", row.number, reason);
  RemoveUpdates();
  ObserveRoundEnd(row);
  ++abandoned_in_a_row_;
  if (abandoned_in_a_row_ >= parts_.config.rounds().max_abandoned_in_a_row()) {
    return EndRun(RunState::kFailed,
                  fmt::format("round {} was abandoned {} times in a row; the "
                              "last time, {}",
                              row.number, abandoned_in_a_row_, reason));
  }
  BeginNextRound();
}

}  // namespace tandem
