#include "server/sqlite_state_store.h"

#include <utility>

#include "server/sqlite_schema.h"

namespace tandem {
namespace {

int64_t Microseconds(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint Time(int64_t microseconds) {
  return TimePoint(Duration(microseconds));
}

Status ReadRun(const SqliteRow& row, RunRow& run) {
  run.run_id = row.Text(0);
  run.name = row.Text(1);
  TANDEM_ASSIGN_OR_RETURN(run.state, ParseRunState(row.Text(2)));
  run.reason = row.Text(3);
  run.config = row.Text(4);
  run.base_model_digest = row.Text(5);
  run.selection_seed = static_cast<uint64_t>(row.Integer(6));
  run.initial_adapter = row.Text(7);
  run.auxiliary_targets = row.Text(8);
  run.adapter = row.Text(9);
  run.optimizer_state = row.Text(10);
  run.committed_rounds = row.Integer(11);
  run.started = Time(row.Integer(12));
  run.ended = Time(row.Integer(13));
  run.server_seconds = row.Real(14);
  run.server_peak_rss_bytes = row.Integer(15);
  return OkStatus();
}

Status ReadRound(const SqliteRow& row, RoundRow& round) {
  round.number = row.Integer(0);
  round.attempt = row.Integer(1);
  round.draw = row.Integer(2);
  TANDEM_ASSIGN_OR_RETURN(round.state, ParseRoundState(row.Text(3)));
  round.reason = row.Text(4);
  round.interrupted = row.Integer(5) != 0;
  round.started = Time(row.Integer(6));
  round.ended = Time(row.Integer(7));
  round.adapter_before = row.Text(8);
  round.adapter_after = row.Text(9);
  round.epsilon = row.Real(10);
  round.delta = row.Real(11);
  return OkStatus();
}

Status ReadClient(const SqliteRow& row, ClientRow& client) {
  client.client_id = row.Text(0);
  client.joined = Time(row.Integer(1));
  client.joins = row.Integer(2);
  client.trained_tokens = row.Integer(3);
  client.train_seconds = row.Real(4);
  client.peak_rss_bytes = row.Integer(5);
  client.bytes_downloaded = row.Integer(6);
  client.bytes_uploaded = row.Integer(7);
  client.bytes_downloaded_by_earlier = row.Integer(8);
  client.bytes_uploaded_by_earlier = row.Integer(9);
  return OkStatus();
}

Status ReadTask(const SqliteRow& row, TaskRow& task) {
  task.task_id = row.Text(0);
  task.number = row.Integer(1);
  task.attempt = row.Integer(2);
  task.kind = static_cast<proto::TaskKind>(row.Integer(3));
  task.client_id = row.Text(4);
  if (!proto::TaskOutcome_Parse(row.Text(5), &task.outcome)) {
    return DataLoss("task {}: '{}' is not an outcome", task.task_id,
                    row.Text(5));
  }
  task.message = row.Text(6);
  task.update = row.Text(7);
  task.train_loss = row.Real(8);
  return OkStatus();
}

Status ReadContribution(const SqliteRow& row, ContributionRow& contribution) {
  contribution = {row.Integer(0), row.Integer(1), row.Text(2),
                  row.Text(3),    row.Real(4),    row.Real(5)};
  return OkStatus();
}

Status ReadEvaluation(const SqliteRow& row, EvaluationRow& evaluation) {
  evaluation.number = row.Integer(0);
  evaluation.attempt = row.Integer(1);
  evaluation.source = row.Text(2);
  evaluation.name = row.Text(3);
  evaluation.result.loss_nats = row.Real(4);
  evaluation.result.target_tokens = row.Integer(5);
  evaluation.result.target_bytes = row.Integer(6);
  evaluation.result.examples = row.Integer(7);
  return OkStatus();
}

Status ReadRelease(const SqliteRow& row, ReleaseEntry& entry) {
  entry = {row.Text(0), row.Real(1), row.Real(2)};
  return OkStatus();
}

template <typename Row>
StatusOr<std::vector<Row>> LoadAll(SqliteDatabase& database,
                                   const std::string& sql,
                                   const std::vector<SqliteValue>& values,
                                   Status (*read)(const SqliteRow&, Row&)) {
  std::vector<Row> rows;
  TANDEM_RETURN_IF_ERROR(database.Query(sql, values, [&](const SqliteRow& row) {
    return read(row, rows.emplace_back());
  }));
  return rows;
}

template <typename Row>
StatusOr<std::optional<Row>> LoadOne(SqliteDatabase& database,
                                     const std::string& sql,
                                     const std::vector<SqliteValue>& values,
                                     Status (*read)(const SqliteRow&, Row&)) {
  TANDEM_ASSIGN_OR_RETURN(std::vector<Row> rows,
                          LoadAll(database, sql, values, read));
  if (rows.empty()) return std::optional<Row>();
  return std::optional<Row>(std::move(rows.front()));
}

}  // namespace

StatusOr<std::unique_ptr<SqliteStateStore>> SqliteStateStore::Open(
    const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(SqliteDatabase database,
                          SqliteDatabase::OpenOrCreate(path));
  TANDEM_RETURN_IF_ERROR(CreateSchemaIfEmpty(database, kSchemaVersion));
  TANDEM_RETURN_IF_ERROR(CheckSchema(database, kSchemaVersion));
  return std::unique_ptr<SqliteStateStore>(
      new SqliteStateStore(std::move(database)));
}

StatusOr<std::unique_ptr<SqliteStateStore>> SqliteStateStore::OpenReadOnly(
    const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(SqliteDatabase database,
                          SqliteDatabase::OpenReadOnly(path));
  TANDEM_RETURN_IF_ERROR(CheckSchema(database, kSchemaVersion));
  return std::unique_ptr<SqliteStateStore>(
      new SqliteStateStore(std::move(database)));
}

Status SqliteStateStore::ReadTransaction(const std::function<Status()>& body) {
  return database_.Transact(body, SqliteDatabase::Access::kRead);
}

Status SqliteStateStore::Transact(const std::function<Status()>& body) {
  return database_.Transact(body);
}

StatusOr<std::optional<RunRow>> SqliteStateStore::LoadRun() {
  return LoadOne<RunRow>(database_, "SELECT * FROM runs", {}, ReadRun);
}

Status SqliteStateStore::SaveRun(const RunRow& run) {
  return database_.Run(
      "INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      {run.run_id, run.name, std::string(NameOf(run.state)), run.reason,
       run.config, run.base_model_digest,
       static_cast<int64_t>(run.selection_seed), run.initial_adapter,
       run.auxiliary_targets, run.adapter, run.optimizer_state,
       run.committed_rounds, Microseconds(run.started), Microseconds(run.ended),
       run.server_seconds, run.server_peak_rss_bytes});
}

StatusOr<std::vector<RoundRow>> SqliteStateStore::LoadRounds() {
  return LoadAll<RoundRow>(database_,
                           "SELECT * FROM rounds ORDER BY number, attempt", {},
                           ReadRound);
}

// An upsert rather than a replacement: other tables refer to the row.
Status SqliteStateStore::SaveRound(const RoundRow& round) {
  return database_.Run(
      "INSERT INTO rounds VALUES (?,?,?,?,?,?,?,?,?,?,?,?) "
      "ON CONFLICT (number, attempt) DO UPDATE SET draw=excluded.draw, "
      "state=excluded.state, reason=excluded.reason, "
      "interrupted=excluded.interrupted, "
      "started_us=excluded.started_us, ended_us=excluded.ended_us, "
      "adapter_before=excluded.adapter_before, "
      "adapter_after=excluded.adapter_after, epsilon=excluded.epsilon, "
      "delta=excluded.delta",
      {round.number, round.attempt, round.draw,
       std::string(NameOf(round.state)), round.reason,
       int64_t{round.interrupted}, Microseconds(round.started),
       Microseconds(round.ended), round.adapter_before, round.adapter_after,
       round.epsilon, round.delta});
}

StatusOr<std::vector<ClientRow>> SqliteStateStore::LoadClients() {
  return LoadAll<ClientRow>(
      database_, "SELECT * FROM clients ORDER BY client_id", {}, ReadClient);
}

StatusOr<std::optional<ClientRow>> SqliteStateStore::LoadClient(
    const std::string& client_id) {
  return LoadOne<ClientRow>(database_,
                            "SELECT * FROM clients WHERE client_id=?",
                            {client_id}, ReadClient);
}

Status SqliteStateStore::SaveClient(const ClientRow& client) {
  return database_.Run(
      "INSERT OR REPLACE INTO clients VALUES (?,?,?,?,?,?,?,?,?,?)",
      {client.client_id, Microseconds(client.joined), client.joins,
       client.trained_tokens, client.train_seconds, client.peak_rss_bytes,
       client.bytes_downloaded, client.bytes_uploaded,
       client.bytes_downloaded_by_earlier, client.bytes_uploaded_by_earlier});
}

StatusOr<std::optional<TaskRow>> SqliteStateStore::LoadTask(
    const std::string& task_id) {
  return LoadOne<TaskRow>(database_, "SELECT * FROM tasks WHERE task_id=?",
                          {task_id}, ReadTask);
}

StatusOr<std::vector<TaskRow>> SqliteStateStore::LoadTasks(int64_t number,
                                                           int64_t attempt) {
  return LoadAll<TaskRow>(
      database_,
      "SELECT * FROM tasks WHERE number=? AND attempt=? ORDER BY task_id",
      {number, attempt}, ReadTask);
}

Status SqliteStateStore::SaveTask(const TaskRow& task) {
  return database_.Run(
      "INSERT OR REPLACE INTO tasks VALUES (?,?,?,?,?,?,?,?,?)",
      {task.task_id, task.number, task.attempt, int64_t{task.kind},
       task.client_id, proto::TaskOutcome_Name(task.outcome), task.message,
       task.update, task.train_loss});
}

StatusOr<std::vector<ContributionRow>> SqliteStateStore::LoadContributions(
    int64_t number, int64_t attempt) {
  return LoadAll<ContributionRow>(
      database_,
      "SELECT * FROM contributions WHERE number=? AND attempt=? "
      "ORDER BY client_id",
      {number, attempt}, ReadContribution);
}

Status SqliteStateStore::SaveContribution(const ContributionRow& row) {
  return database_.Run("INSERT INTO contributions VALUES (?,?,?,?,?,?)",
                       {row.number, row.attempt, row.client_id, row.update,
                        row.weight, row.norm_l2});
}

StatusOr<std::vector<EvaluationRow>> SqliteStateStore::LoadEvaluations(
    int64_t number, int64_t attempt) {
  return LoadAll<EvaluationRow>(
      database_,
      "SELECT * FROM evaluations WHERE number=? AND attempt=? "
      "ORDER BY source, name",
      {number, attempt}, ReadEvaluation);
}

Status SqliteStateStore::SaveEvaluation(const EvaluationRow& row) {
  return database_.Run(
      "INSERT OR REPLACE INTO evaluations VALUES (?,?,?,?,?,?,?,?)",
      {row.number, row.attempt, row.source, row.name, row.result.loss_nats,
       row.result.target_tokens, row.result.target_bytes, row.result.examples});
}

Status SqliteStateStore::Append(const ReleaseEntry& entry) {
  return database_.Run(
      "INSERT INTO ledger (release_id, noise_multiplier, sampling_rate) "
      "VALUES (?,?,?)",
      {entry.release_id, entry.noise_multiplier, entry.sampling_rate});
}

StatusOr<std::vector<ReleaseEntry>> SqliteStateStore::Load() {
  return LoadAll<ReleaseEntry>(
      database_,
      "SELECT release_id, noise_multiplier, sampling_rate FROM ledger "
      "ORDER BY position",
      {}, ReadRelease);
}

}  // namespace tandem
