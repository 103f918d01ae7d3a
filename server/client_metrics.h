// What clients say about themselves: checked, then added up.
#ifndef TANDEM_SERVER_CLIENT_METRICS_H_
#define TANDEM_SERVER_CLIENT_METRICS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "proto/federation.pb.h"
#include "server/state_store.h"

namespace tandem {

inline constexpr int kMaxEvaluationResults = 64;
inline constexpr size_t kMaxEvaluationNameSize = 128;

// InvalidArgument, naming the field, where a number is negative or not finite,
// or there are more results, or longer names, than above. NaN as train_loss is
// let through: a task of zero steps has no loss.
Status CheckMetrics(const proto::TaskMetrics& metrics);

// Adds a finished task's metrics to the client's sums. Byte counts are since
// the client's start: one that is lower than before began a new process.
// REQUIRES: CheckMetrics is OK.
void AddMetrics(const proto::TaskMetrics& metrics, ClientRow& client);

// The same counting for a field: `total` becomes earlier processes' sum plus
// `now`.
void AddSinceStart(int64_t now, int64_t& total, int64_t& by_earlier);

// Text from a peer made fit for logs and listings: at most `max_size` bytes,
// control characters and non-ASCII bytes replaced by '?'.
std::string Printable(const std::string& text, size_t max_size = 500);

}  // namespace tandem

#endif  // TANDEM_SERVER_CLIENT_METRICS_H_
