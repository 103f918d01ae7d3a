#include "server/run_report.h"

#include <algorithm>
#include <set>

#include "privacy/budget_ledger.h"
#include "server/run_config.h"
#include "server/sqlite_state_store.h"

namespace tandem {
namespace {

std::filesystem::path StateFile(const std::filesystem::path& directory) {
  return directory / "state.db";
}

bool HoldsRun(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(StateFile(directory), ignored);
}

std::filesystem::path ObjectFile(const std::filesystem::path& directory,
                                 const std::string& sha256) {
  return sha256.empty() ? std::filesystem::path()
                        : directory / "objects" / sha256;
}

Status AddRounds(SqliteStateStore& store, RunReport& report) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<RoundRow> rounds,
                          store.LoadRounds());
  const TimePoint now = SystemClock().Now();
  for (const RoundRow& round : rounds) {
    TANDEM_ASSIGN_OR_RETURN(const auto tasks,
                            store.LoadTasks(round.number, round.attempt));
    TANDEM_ASSIGN_OR_RETURN(const auto evaluations,
                            store.LoadEvaluations(round.number, round.attempt));
    RoundReport row = MakeRoundReport(round, tasks, evaluations, now);
    const bool again =
        !report.rounds.empty() && report.rounds.back().number == row.number;
    if (again) report.rounds.pop_back();
    report.rounds.push_back(std::move(row));
  }
  return OkStatus();
}

Status AddClients(SqliteStateStore& store, RunReport& report) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<ClientRow> clients,
                          store.LoadClients());
  for (const ClientRow& client : clients) {
    report.clients.push_back({client.client_id, client.trained_tokens,
                              client.bytes_downloaded, client.bytes_uploaded,
                              client.train_seconds, client.peak_rss_bytes});
  }
  return OkStatus();
}

Status AddPrivacy(SqliteStateStore& store, RunReport& report) {
  if (!report.config.privacy().enabled()) return OkStatus();
  TANDEM_ASSIGN_OR_RETURN(
      const BudgetLedger ledger,
      BudgetLedger::Open(store, report.config.privacy().delta(), 0));
  TANDEM_ASSIGN_OR_RETURN(const PrivacyGuarantee spent, ledger.Spent());
  report.epsilon = spent.epsilon;
  report.delta = report.config.privacy().delta();
  return OkStatus();
}

}  // namespace

RoundReport MakeRoundReport(const RoundRow& round,
                            const std::vector<TaskRow>& tasks,
                            const std::vector<EvaluationRow>& evaluations,
                            TimePoint now) {
  RoundReport report;
  report.number = round.number;
  report.attempt = round.attempt;
  report.state = NameOf(round.state);
  report.reason = round.reason;
  report.seconds =
      ToSeconds((IsFinal(round.state) ? round.ended : now) - round.started);
  report.epsilon = round.epsilon;
  report.delta = round.delta;
  double loss_sum = 0;
  for (const TaskRow& task : tasks) {
    if (task.kind != proto::TRAIN) continue;
    ++report.train_tasks;
    const bool open = task.outcome == proto::OUTCOME_UNSPECIFIED;
    ++report.outcomes[open ? "OPEN" : proto::TaskOutcome_Name(task.outcome)];
    if (task.outcome == proto::ACCEPTED) loss_sum += task.train_loss;
  }
  const auto accepted = report.outcomes.find("ACCEPTED");
  if (accepted != report.outcomes.end()) {
    report.mean_train_loss = loss_sum / static_cast<double>(accepted->second);
  }
  for (const EvaluationRow& row : evaluations) {
    report.evaluations.push_back(
        {row.source.empty() ? "server" : row.source, row.name, row.result});
  }
  return report;
}

StatusOr<RunReport> ReadRunReport(const std::filesystem::path& directory) {
  if (!HoldsRun(directory)) {
    return NotFound("{} holds no run (there is no state.db in it)",
                    directory.string());
  }
  TANDEM_ASSIGN_OR_RETURN(const auto store,
                          SqliteStateStore::OpenReadOnly(StateFile(directory)));
  RunReport report;
  // One transaction, so that a running server's next commit is seen as a whole
  // or not at all.
  TANDEM_RETURN_IF_ERROR(store->ReadTransaction([&]() -> Status {
    TANDEM_ASSIGN_OR_RETURN(const auto run, store->LoadRun());
    if (!run) return NotFound("{} holds no run yet", directory.string());
    report.directory = directory;
    report.run_id = run->run_id;
    report.name = run->name;
    report.state = NameOf(run->state);
    report.reason = run->reason;
    TANDEM_ASSIGN_OR_RETURN(report.config, ConfigFromText(run->config));
    report.base_model_digest = run->base_model_digest;
    report.server_seconds = run->server_seconds;
    report.server_peak_rss_bytes = run->server_peak_rss_bytes;
    report.adapter_file = ObjectFile(directory, run->adapter);
    report.initial_adapter_file = ObjectFile(directory, run->initial_adapter);
    TANDEM_RETURN_IF_ERROR(AddRounds(*store, report));
    TANDEM_RETURN_IF_ERROR(AddClients(*store, report));
    return AddPrivacy(*store, report);
  }));
  return report;
}

StatusOr<std::vector<RunReport>> ListRunReports(
    const std::filesystem::path& directory) {
  std::set<std::filesystem::path> folders;
  if (HoldsRun(directory)) {
    folders.insert(directory);
  } else {
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator(directory, error)) {
      if (HoldsRun(entry.path())) folders.insert(entry.path());
    }
  }
  if (folders.empty()) {
    return NotFound("there is no run in {} or the folders in it",
                    directory.string());
  }
  std::vector<RunReport> reports;
  for (const auto& folder : folders) {
    TANDEM_ASSIGN_OR_RETURN(RunReport report, ReadRunReport(folder));
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace tandem
