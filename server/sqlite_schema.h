// Tables and version of RUN_DIR/state.db.
#ifndef TANDEM_SERVER_SQLITE_SCHEMA_H_
#define TANDEM_SERVER_SQLITE_SCHEMA_H_

#include <cstdint>

#include "server/sqlite_database.h"

namespace tandem {

// Creates the tables in an empty database.
Status CreateSchemaIfEmpty(SqliteDatabase& database, int64_t version);
// FailedPrecondition, naming both, for another version; DataLoss for a database
// of another application.
Status CheckSchema(SqliteDatabase& database, int64_t version);

}  // namespace tandem

#endif  // TANDEM_SERVER_SQLITE_SCHEMA_H_
