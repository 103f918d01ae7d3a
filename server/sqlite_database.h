// SQLite with Status instead of result codes.
#ifndef TANDEM_SERVER_SQLITE_DATABASE_H_
#define TANDEM_SERVER_SQLITE_DATABASE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tandem {

using SqliteValue = std::variant<int64_t, double, std::string>;

// One row of a result; columns count from 0.
class SqliteRow {
 public:
  explicit SqliteRow(sqlite3_stmt* statement) : statement_(statement) {}
  std::string Text(int column) const;
  int64_t Integer(int column) const;
  double Real(int column) const;  // NaN for NULL, which is how NaN is stored

 private:
  sqlite3_stmt* statement_;
};

// Not thread-safe. Codes: ResourceExhausted (disk full), PermissionDenied
// (cannot be opened or written), Unavailable (locked by another process for
// longer than 5 s), DataLoss (not a database, or damaged), AlreadyExists (a
// constraint), Internal (anything else); messages name the file.
class SqliteDatabase {
 public:
  // WAL, synchronous=FULL: a committed transaction survives a power cut.
  static StatusOr<SqliteDatabase> OpenOrCreate(
      const std::filesystem::path& path);
  // NotFound where there is no such file.
  static StatusOr<SqliteDatabase> OpenReadOnly(
      const std::filesystem::path& path);

  // One or more statements without results.
  Status Execute(const std::string& script);
  // One statement, its `?` filled in with `values` in order.
  Status Run(const std::string& sql, const std::vector<SqliteValue>& values);
  // The same with results; an error of `each` ends it.
  Status Query(const std::string& sql, const std::vector<SqliteValue>& values,
               const std::function<Status(const SqliteRow&)>& each);
  // Everything that `body` does, or, where it returns an error, nothing of it.
  enum class Access { kRead, kWrite };
  Status Transact(const std::function<Status()>& body,
                  Access access = Access::kWrite);
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Closer {
    void operator()(sqlite3* database) const;
  };
  SqliteDatabase(std::unique_ptr<sqlite3, Closer> database,
                 std::filesystem::path path)
      : database_(std::move(database)), path_(std::move(path)) {}
  static StatusOr<SqliteDatabase> Open(const std::filesystem::path& path,
                                       int flags);
  Status Error(int code) const;

  std::unique_ptr<sqlite3, Closer> database_;
  std::filesystem::path path_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_SQLITE_DATABASE_H_
