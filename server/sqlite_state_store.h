// The embedded StateStore: RUN_DIR/state.db, an SQLite database.
#ifndef TANDEM_SERVER_SQLITE_STATE_STORE_H_
#define TANDEM_SERVER_SQLITE_STATE_STORE_H_

#include <filesystem>
#include <memory>

#include "server/sqlite_database.h"
#include "server/state_store.h"

namespace tandem {

class SqliteStateStore : public StateStore {
 public:
  // What this build writes and reads (PRAGMA user_version).
  static constexpr int64_t kSchemaVersion = 2;

  // Creates the file and its tables where there are none. FailedPrecondition,
  // naming both versions, where the schema is another one; DataLoss where the
  // file is no database or one of another application.
  static StatusOr<std::unique_ptr<SqliteStateStore>> Open(
      const std::filesystem::path& path);
  // For reports, also beside a running server; every write is PermissionDenied.
  // NotFound where there is no such file.
  static StatusOr<std::unique_ptr<SqliteStateStore>> OpenReadOnly(
      const std::filesystem::path& path);

  // All that `body` reads is of one moment.
  Status ReadTransaction(const std::function<Status()>& body);

  Status Transact(const std::function<Status()>& body) override;
  StatusOr<std::optional<RunRow>> LoadRun() override;
  Status SaveRun(const RunRow& run) override;
  StatusOr<std::vector<RoundRow>> LoadRounds() override;
  Status SaveRound(const RoundRow& round) override;
  StatusOr<std::vector<ClientRow>> LoadClients() override;
  StatusOr<std::optional<ClientRow>> LoadClient(
      const std::string& client_id) override;
  Status SaveClient(const ClientRow& client) override;
  StatusOr<std::optional<TaskRow>> LoadTask(
      const std::string& task_id) override;
  StatusOr<std::vector<TaskRow>> LoadTasks(int64_t number,
                                           int64_t attempt) override;
  Status SaveTask(const TaskRow& task) override;
  StatusOr<std::vector<ContributionRow>> LoadContributions(
      int64_t number, int64_t attempt) override;
  Status SaveContribution(const ContributionRow& contribution) override;
  StatusOr<std::vector<EvaluationRow>> LoadEvaluations(
      int64_t number, int64_t attempt) override;
  Status SaveEvaluation(const EvaluationRow& evaluation) override;

  // LedgerStorage. AlreadyExists where the release is recorded.
  Status Append(const ReleaseEntry& entry) override;
  StatusOr<std::vector<ReleaseEntry>> Load() override;

 private:
  explicit SqliteStateStore(SqliteDatabase database)
      : database_(std::move(database)) {}
  SqliteDatabase database_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_SQLITE_STATE_STORE_H_
