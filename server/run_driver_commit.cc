// From the accepted updates of a round to its commit.
#include <utility>

#include "common/log.h"
#include "common/random.h"
#include "server/run_config.h"
#include "server/run_driver.h"

namespace tandem {
namespace {

std::unique_ptr<NoiseSource> NoiseFor(const proto::ServerConfig& config,
                                      int64_t round) {
  if (!config.privacy().enabled()) return nullptr;
  const uint64_t seed = config.privacy().insecure_noise_seed_for_tests();
  if (seed == 0) return NewSecureNoiseSource();
  return NewInsecureNoiseSourceForTests(
      DeriveSeed(seed, "noise", static_cast<uint64_t>(round)));
}

}  // namespace

// Each attempt is a release of its own: a repeated one draws fresh noise.
ReleaseEntry RunDriver::NextRelease(const RoundRow& round) const {
  return {fmt::format("round-{}.{}", round.number, round.attempt),
          parts_.config.privacy().noise_multiplier(),
          SamplingRateForPrivacy(parts_.config.rounds())};
}

bool RunDriver::WasReleased(const RoundRow& round) const {
  return ledger_ && ledger_->Contains(NextRelease(round).release_id);
}

StatusOr<std::string> RunDriver::BudgetObjection(
    const ReleaseEntry& release) const {
  const double budget = parts_.config.privacy().epsilon_budget();
  if (!ledger_ || budget == 0) return std::string();
  TANDEM_ASSIGN_OR_RETURN(const PrivacyGuarantee next,
                          ledger_->SpentWith(release));
  if (next.epsilon <= budget) return std::string();
  return fmt::format(
      "another release would spend epsilon {:.6g} at delta {:g}, the budget is "
      "{:g}",
      next.epsilon, next.delta, budget);
}

Status RunDriver::RecordRelease() {
  if (!ledger_) return OkStatus();
  TANDEM_RETURN_IF_ERROR(ledger_->Record(NextRelease(round_->row())));
  TANDEM_ASSIGN_OR_RETURN(const PrivacyGuarantee spent, ledger_->Spent());
  candidate_.epsilon = spent.epsilon;
  candidate_.delta = spent.delta;
  return OkStatus();
}

void RunDriver::AggregateUpdates() {
  const Status status = RecordRelease();
  if (!status.ok()) return FailOrStop(status, "recording a privacy release");
  const RoundRow& row = round_->row();
  auto contributions = parts_.store->LoadContributions(row.number, row.attempt);
  if (!contributions.ok()) {
    return FailOrStop(contributions.status(), "reading the contributions");
  }
  Observe(PhaseName("aggregating"), 0, 1);
  const AggregationWork work{
      AggregationOptionsFrom(parts_.config),
      ServerOptimizerOptionsFrom(parts_.config.aggregation()), run_.adapter,
      run_.optimizer_state, *std::move(contributions)};
  Work<AggregationResult>(
      [this, work, number = row.number] {
        const auto noise = NoiseFor(parts_.config, number);
        return AggregateRound(*parts_.objects, work, noise.get());
      },
      [this](StatusOr<AggregationResult> result) {
        if (!result.ok()) return FailOrStop(result.status(), "aggregating");
        candidate_.tensors = std::move(result->adapter);
        candidate_.optimizer_state = std::move(result->optimizer_state);
        FinishAdapter();
      });
}

// Distils the aggregated adapter where the run asks for it, and stores it.
void RunDriver::FinishAdapter() {
  const bool distils = parts_.model->DistilsRounds();
  if (distils) {
    const Status status = round_->Advance(RoundState::kDistilling);
    if (!status.ok()) return FailOrStop(status, "beginning to distil");
  }
  using Finished = std::pair<TensorMap, std::string>;
  Work<Finished>(
      [this, distils, tensors = candidate_.tensors,
       number = round_->row().number,
       phase = PhaseName("distilling")]() mutable -> StatusOr<Finished> {
        if (distils) {
          TANDEM_ASSIGN_OR_RETURN(
              tensors,
              parts_.model->Distil(tensors, number, ProgressOf(phase)));
        }
        TANDEM_ASSIGN_OR_RETURN(std::string digest,
                                StoreTensors(*parts_.objects, tensors));
        return Finished(std::move(tensors), std::move(digest));
      },
      [this](StatusOr<Finished> finished) {
        if (!finished.ok()) return FailOrStop(finished.status(), "distilling");
        candidate_.tensors = std::move(finished->first);
        candidate_.adapter = std::move(finished->second);
        BeginEvaluation();
      });
}

bool RunDriver::EvaluatesThisRound() const {
  const int64_t number = round_->row().number;
  return number == parts_.config.rounds().count() ||
         number % parts_.config.evaluation().every_rounds() == 0;
}

void RunDriver::BeginEvaluation() {
  const Status status = OfferEvaluations();
  if (!status.ok()) return FailOrStop(status, "beginning to evaluate");
  if (EvaluatesThisRound()) return EvaluateOnServer();
  candidate_.server_evaluated = true;
  TryCommit();
}

Status RunDriver::OfferEvaluations() {
  const auto& evaluation = parts_.config.evaluation();
  std::vector<std::string> clients;
  if (EvaluatesThisRound() && evaluation.at_clients()) {
    for (const PresentClient& client : sessions_.Present(Now())) {
      if (client.can_evaluate) clients.push_back(client.client_id);
    }
  }
  TANDEM_ASSIGN_OR_RETURN(const int64_t size,
                          parts_.objects->Size(candidate_.adapter));
  TANDEM_RETURN_IF_ERROR(round_->AdvanceWithTasks(RoundState::kEvaluating,
                                                  proto::EVALUATE, clients));
  published_.Add(candidate_.adapter);
  objects_.global_adapter.set_sha256(candidate_.adapter);
  objects_.global_adapter.set_size_bytes(size);
  OfferTasks(evaluation.client_deadline_seconds());
  executor_.PostAt(task_deadline_, [this, watch = watch_] {
    if (watch != watch_ || service_ended_) return;
    candidate_.clients_timed_out = true;
    TryCommit();
  });
  return OkStatus();
}

void RunDriver::EvaluateOnServer() {
  using Evaluations = std::vector<NamedEvaluation>;
  Work<Evaluations>(
      [this, tensors = candidate_.tensors,
       phase = PhaseName("evaluating")]() -> StatusOr<Evaluations> {
        return parts_.model->EvaluateAdapter(tensors, ProgressOf(phase));
      },
      [this](StatusOr<Evaluations> results) {
        if (!results.ok()) return FailOrStop(results.status(), "evaluating");
        candidate_.evaluations = *std::move(results);
        candidate_.server_evaluated = true;
        TryCommit();
      });
}

void RunDriver::TryCommit() {
  if (!candidate_.server_evaluated) return;
  if (!round_->OpenTasks().empty() && !candidate_.clients_timed_out) return;
  ++watch_;
  const Status status = Commit();
  if (!status.ok()) return FailOrStop(status, "committing a round");
  spdlog::info("round {} is committed: adapter {}", round_->row().number,
               run_.adapter);
  RemoveUpdates();
  ObserveRoundEnd(round_->row());
  BeginNextRound();
}

Status RunDriver::Commit() {
  RunRow run = run_;
  run.adapter = candidate_.adapter;
  run.optimizer_state = candidate_.optimizer_state;
  run.committed_rounds = round_->row().number;
  UpdateServerUsage(run);
  TANDEM_RETURN_IF_ERROR(round_->AdvanceEndingTasks(
      RoundState::kCommitted, proto::LATE, "the evaluation's time was over",
      [&](RoundRow& next) -> Status {
        next.adapter_after = candidate_.adapter;
        next.epsilon = candidate_.epsilon;
        next.delta = candidate_.delta;
        next.ended = Now();
        for (const auto& [name, result] : candidate_.evaluations) {
          TANDEM_RETURN_IF_ERROR(parts_.store->SaveEvaluation(
              {next.number, next.attempt, "", name, result}));
        }
        return parts_.store->SaveRun(run);
      }));
  run_ = std::move(run);
  return OkStatus();
}

StatusOr<std::set<std::string>> RunDriver::KeptObjects() const {
  std::set<std::string> kept = {
      run_.initial_adapter, run_.auxiliary_targets, run_.adapter,
      run_.optimizer_state, candidate_.adapter,     candidate_.optimizer_state};
  TANDEM_ASSIGN_OR_RETURN(const std::vector<RoundRow> rounds,
                          parts_.store->LoadRounds());
  for (const RoundRow& round : rounds) {
    kept.insert(round.adapter_before);
    kept.insert(round.adapter_after);
    if (IsFinal(round.state)) continue;
    TANDEM_ASSIGN_OR_RETURN(
        const std::vector<ContributionRow> contributions,
        parts_.store->LoadContributions(round.number, round.attempt));
    for (const ContributionRow& row : contributions) kept.insert(row.update);
  }
  return kept;
}

// A peer names the update, so that it may be the digest of anything.
void RunDriver::RemoveUnlessKept(const std::string& object) {
  if (object.empty()) return;
  const auto kept = KeptObjects();
  if (!kept.ok() || kept->contains(object)) return;
  const Status status = parts_.objects->Remove(object);
  if (!status.ok()) spdlog::warn("cannot remove {}", ToString(status));
}

void RunDriver::RemoveUpdates() {
  const RoundRow& row = round_->row();
  const auto tasks = parts_.store->LoadTasks(row.number, row.attempt);
  if (!tasks.ok()) return;
  for (const TaskRow& task : *tasks) RemoveUnlessKept(task.update);
}

}  // namespace tandem
