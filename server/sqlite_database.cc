#include "server/sqlite_database.h"

#include <sqlite3.h>

#include <cerrno>
#include <limits>

namespace tandem {
namespace {

constexpr int kBusyTimeoutMilliseconds = 5000;

StatusCode CodeFor(int sqlite_code, int system_errno) {
  switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
      return StatusCode::kResourceExhausted;
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return StatusCode::kPermissionDenied;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return StatusCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return StatusCode::kDataLoss;
    case SQLITE_CONSTRAINT:
      return StatusCode::kAlreadyExists;
    case SQLITE_IOERR:
      // A full disk shows as an I/O error where the shared memory cannot grow.
      return system_errno == ENOSPC || system_errno == EDQUOT
                 ? StatusCode::kResourceExhausted
                 : StatusCode::kInternal;
    default:
      return StatusCode::kInternal;
  }
}

struct Finalizer {
  void operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
  }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalizer>;

int Bind(sqlite3_stmt* statement, int index, const SqliteValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    return sqlite3_bind_int64(statement, index, *integer);
  }
  if (const auto* real = std::get_if<double>(&value)) {
    return sqlite3_bind_double(statement, index, *real);
  }
  const auto& text = std::get<std::string>(value);
  return sqlite3_bind_text64(statement, index, text.data(), text.size(),
                             SQLITE_TRANSIENT, SQLITE_UTF8);
}

}  // namespace

std::string SqliteRow::Text(int column) const {
  const auto* text = sqlite3_column_text(statement_, column);
  const int size = sqlite3_column_bytes(statement_, column);
  return text == nullptr
             ? std::string()
             : std::string(reinterpret_cast<const char*>(text), size);
}
int64_t SqliteRow::Integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}
double SqliteRow::Real(int column) const {
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return sqlite3_column_double(statement_, column);
}

void SqliteDatabase::Closer::operator()(sqlite3* database) const {
  sqlite3_close(database);
}

Status SqliteDatabase::Error(int code) const {
  const int system_errno = sqlite3_system_errno(database_.get());
  return Status(
      CodeFor(code, system_errno),
      fmt::format("{}: {}", path_.string(), sqlite3_errmsg(database_.get())));
}

StatusOr<SqliteDatabase> SqliteDatabase::Open(const std::filesystem::path& path,
                                              int flags) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  SqliteDatabase database(std::unique_ptr<sqlite3, Closer>(raw), path);
  if (raw == nullptr) return Internal("{}: out of memory", path.string());
  if (code != SQLITE_OK) return database.Error(code);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyTimeoutMilliseconds);
  return database;
}

StatusOr<SqliteDatabase> SqliteDatabase::OpenOrCreate(
    const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(
      SqliteDatabase database,
      Open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  TANDEM_RETURN_IF_ERROR(
      database.Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                       "PRAGMA foreign_keys=ON;"));
  return database;
}

StatusOr<SqliteDatabase> SqliteDatabase::OpenReadOnly(
    const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return NotFound("{}: no such file", path.string());
  }
  return Open(path, SQLITE_OPEN_READONLY);
}

Status SqliteDatabase::Execute(const std::string& script) {
  const int code =
      sqlite3_exec(database_.get(), script.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? OkStatus() : Error(code);
}

Status SqliteDatabase::Run(const std::string& sql,
                           const std::vector<SqliteValue>& values) {
  return Query(sql, values, [](const SqliteRow&) { return OkStatus(); });
}

Status SqliteDatabase::Query(
    const std::string& sql, const std::vector<SqliteValue>& values,
    const std::function<Status(const SqliteRow&)>& each) {
  sqlite3_stmt* raw = nullptr;
  int code = sqlite3_prepare_v2(database_.get(), sql.c_str(),
                                static_cast<int>(sql.size()), &raw, nullptr);
  if (code != SQLITE_OK) return Error(code);
  const Statement statement(raw);
  for (size_t i = 0; i < values.size(); ++i) {
    code = Bind(raw, static_cast<int>(i) + 1, values[i]);
    if (code != SQLITE_OK) return Error(code);
  }
  while ((code = sqlite3_step(raw)) == SQLITE_ROW) {
    TANDEM_RETURN_IF_ERROR(each(SqliteRow(raw)));
  }
  return code == SQLITE_DONE ? OkStatus() : Error(code);
}

Status SqliteDatabase::Transact(const std::function<Status()>& body,
                                Access access) {
  TANDEM_RETURN_IF_ERROR(
      Execute(access == Access::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  Status status = body();
  if (status.ok()) status = Execute("COMMIT");
  // A full disk may have rolled back already, which makes ROLLBACK an error of
  // no interest.
  if (!status.ok() && sqlite3_get_autocommit(database_.get()) == 0) {
    (void)Execute("ROLLBACK");
  }
  return status;
}

}  // namespace tandem
