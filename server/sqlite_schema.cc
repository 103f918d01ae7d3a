#include "server/sqlite_schema.h"

#include <string>

namespace tandem {
namespace {

constexpr int64_t kApplicationId = 0x54414e44;  // "TAND"

// Times are microseconds since the Unix epoch; objects are SHA-256 in
// hexadecimal; states, kinds and outcomes are named as in round_state.h and
// federation.proto. SQLite keeps NaN as NULL, and a seed's 64 bits as a signed
// number.
constexpr const char* kTables = R"sql(
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL,
  reason TEXT NOT NULL, config TEXT NOT NULL, base_model_digest TEXT NOT NULL,
  selection_seed INTEGER NOT NULL,
  initial_adapter TEXT NOT NULL, auxiliary_targets TEXT NOT NULL,
  adapter TEXT NOT NULL, optimizer_state TEXT NOT NULL,
  committed_rounds INTEGER NOT NULL, started_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL, server_seconds REAL NOT NULL,
  server_peak_rss_bytes INTEGER NOT NULL);
CREATE TABLE rounds (
  number INTEGER NOT NULL, attempt INTEGER NOT NULL, draw INTEGER NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL, interrupted INTEGER NOT NULL,
  started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
  adapter_before TEXT NOT NULL,
  adapter_after TEXT NOT NULL, epsilon REAL NOT NULL, delta REAL NOT NULL,
  PRIMARY KEY (number, attempt));
CREATE TABLE clients (
  client_id TEXT PRIMARY KEY, joined_us INTEGER NOT NULL,
  joins INTEGER NOT NULL, trained_tokens INTEGER NOT NULL,
  train_seconds REAL NOT NULL, peak_rss_bytes INTEGER NOT NULL,
  bytes_downloaded INTEGER NOT NULL, bytes_uploaded INTEGER NOT NULL,
  bytes_downloaded_by_earlier INTEGER NOT NULL,
  bytes_uploaded_by_earlier INTEGER NOT NULL);
CREATE TABLE tasks (
  task_id TEXT PRIMARY KEY, number INTEGER NOT NULL, attempt INTEGER NOT NULL,
  kind INTEGER NOT NULL, client_id TEXT NOT NULL, outcome TEXT NOT NULL,
  message TEXT NOT NULL, update_sha256 TEXT NOT NULL, train_loss REAL,
  FOREIGN KEY (number, attempt) REFERENCES rounds);
CREATE INDEX tasks_of_round ON tasks (number, attempt);
CREATE TABLE contributions (
  number INTEGER NOT NULL, attempt INTEGER NOT NULL, client_id TEXT NOT NULL,
  update_sha256 TEXT NOT NULL, weight REAL NOT NULL, norm_l2 REAL NOT NULL,
  PRIMARY KEY (number, attempt, client_id),
  FOREIGN KEY (number, attempt) REFERENCES rounds);
CREATE TABLE ledger (
  position INTEGER PRIMARY KEY AUTOINCREMENT, release_id TEXT NOT NULL UNIQUE,
  noise_multiplier REAL NOT NULL, sampling_rate REAL NOT NULL);
CREATE TABLE evaluations (
  number INTEGER NOT NULL, attempt INTEGER NOT NULL, source TEXT NOT NULL,
  name TEXT NOT NULL, loss_nats REAL, target_tokens INTEGER NOT NULL,
  target_bytes INTEGER NOT NULL, examples INTEGER NOT NULL,
  PRIMARY KEY (number, attempt, source, name),
  FOREIGN KEY (number, attempt) REFERENCES rounds);
)sql";

StatusOr<int64_t> Pragma(SqliteDatabase& database, const std::string& sql) {
  int64_t value = 0;
  TANDEM_RETURN_IF_ERROR(database.Query(sql, {}, [&](const SqliteRow& row) {
    value = row.Integer(0);
    return OkStatus();
  }));
  return value;
}

}  // namespace

Status CreateSchemaIfEmpty(SqliteDatabase& database, int64_t version) {
  return database.Transact([&]() -> Status {
    TANDEM_ASSIGN_OR_RETURN(
        const int64_t objects,
        Pragma(database, "SELECT count(*) FROM sqlite_master"));
    if (objects > 0) return OkStatus();
    TANDEM_RETURN_IF_ERROR(database.Execute(kTables));
    return database.Execute(
        fmt::format("PRAGMA application_id={}; PRAGMA user_version={};",
                    kApplicationId, version));
  });
}

Status CheckSchema(SqliteDatabase& database, int64_t version) {
  TANDEM_ASSIGN_OR_RETURN(const int64_t application,
                          Pragma(database, "PRAGMA application_id"));
  if (application != kApplicationId) {
    return DataLoss("{} is not the state of a Tandem run",
                    database.path().string());
  }
  TANDEM_ASSIGN_OR_RETURN(const int64_t found,
                          Pragma(database, "PRAGMA user_version"));
  if (found != version) {
    return FailedPrecondition(
        "{} has schema version {}, this build reads version {}",
        database.path().string(), found, version);
  }
  return OkStatus();
}

}  // namespace tandem
