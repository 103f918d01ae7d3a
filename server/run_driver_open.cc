// Opening a run: created, or found again and gone on with.
#include <openssl/rand.h>

#include <array>

#include "common/log.h"
#include "privacy/secure_random.h"
#include "server/run_config.h"
#include "server/run_driver.h"

namespace tandem {
namespace {

StatusOr<std::string> NewRunId() {
  std::array<unsigned char, 8> bytes;
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) {
    return Internal("the system has no randomness for a run id");
  }
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

// Sampling amplifies only against those who cannot repeat the draw, and
// run.seed is no secret.
StatusOr<uint64_t> NewSelectionSeed(const proto::ServerConfig& config) {
  const auto& privacy = config.privacy();
  if (privacy.enabled() && privacy.insecure_noise_seed_for_tests() == 0) {
    return NewSecretSeed();
  }
  return config.run().seed();
}

}  // namespace

Status RunDriver::Open() {
  TANDEM_RETURN_IF_ERROR(CheckServerConfig(parts_.config));
  TANDEM_ASSIGN_OR_RETURN(const std::optional<RunRow> stored,
                          parts_.store->LoadRun());
  if (stored) run_ = *stored;
  TANDEM_RETURN_IF_ERROR(stored ? ResumeRun() : CreateRun());
  opened_ = Now();
  seconds_before_ = run_.server_seconds;
  if (!parts_.config.privacy().enabled()) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(
      ledger_,
      BudgetLedger::Open(*parts_.store, parts_.config.privacy().delta(),
                         parts_.config.privacy().epsilon_budget()));
  return OkStatus();
}

Status RunDriver::CreateRun() {
  TANDEM_ASSIGN_OR_RETURN(run_.run_id, NewRunId());
  TANDEM_ASSIGN_OR_RETURN(run_.selection_seed, NewSelectionSeed(parts_.config));
  run_.name = parts_.config.run().name();
  run_.config = ConfigToText(parts_.config);
  run_.base_model_digest = parts_.model->base_model_digest();
  run_.started = Now();
  return parts_.store->SaveRun(run_);
}

Status RunDriver::ResumeRun() {
  TANDEM_RETURN_IF_ERROR(CheckSameConfig(run_.config, parts_.config));
  if (run_.base_model_digest != parts_.model->base_model_digest()) {
    return FailedPrecondition(
        "the run in {} was started with base model {}, model.student is now {}",
        parts_.config.run().directory(), run_.base_model_digest,
        parts_.model->base_model_digest());
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<RoundRow> rounds,
                          parts_.store->LoadRounds());
  for (const RoundRow& round : rounds) {
    if (!IsFinal(round.state)) {
      TANDEM_RETURN_IF_ERROR(AbandonInterruptedRound(round));
    }
  }
  spdlog::info("going on with run {}: {} rounds are committed", run_.run_id,
               run_.committed_rounds);
  return OkStatus();
}

Status RunDriver::AbandonInterruptedRound(RoundRow round) {
  const std::string reason =
      fmt::format("the server stopped while {}", NameOf(round.state));
  return ChangeRoundState(
      *parts_.store, round, RoundState::kAbandoned,
      [&](RoundRow& next) -> Status {
        next.reason = reason;
        next.interrupted = true;
        next.ended = Now();
        TANDEM_ASSIGN_OR_RETURN(
            std::vector<TaskRow> tasks,
            parts_.store->LoadTasks(round.number, round.attempt));
        for (TaskRow& task : tasks) {
          if (task.outcome != proto::OUTCOME_UNSPECIFIED) continue;
          task.outcome = proto::LATE;
          task.message = reason;
          TANDEM_RETURN_IF_ERROR(parts_.store->SaveTask(task));
        }
        return OkStatus();
      });
}

}  // namespace tandem
