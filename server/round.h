// One attempt at a round: its stored state, and the tasks in it.
#ifndef TANDEM_SERVER_ROUND_H_
#define TANDEM_SERVER_ROUND_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/status.h"
#include "proto/federation.pb.h"
#include "server/state_store.h"

namespace tandem {

// Single-threaded. Every change is stored before it shows here; where storing
// fails, nothing has changed. Tasks end exactly once, so that for each kind
//   tasks = ACCEPTED + each of the other outcomes + open.
class Round {
 public:
  // Stores the row, SELECTING. REQUIRES: the store outlives the round.
  static StatusOr<Round> Begin(StateStore& store, RoundRow row);

  const RoundRow& row() const { return row_; }
  // ChangeRoundState.
  Status Advance(RoundState to,
                 const std::function<Status(RoundRow&)>& also = {});
  // To `to`, with a task of this kind for each client.
  Status AdvanceWithTasks(RoundState to, proto::TaskKind kind,
                          const std::vector<std::string>& clients);
  // To `to`, where tasks that are still open end with `outcome`.
  Status AdvanceEndingTasks(RoundState to, proto::TaskOutcome outcome,
                            const std::string& message,
                            const std::function<Status(RoundRow&)>& also = {});

  // Ends the open task of this id as `answered` says, in one transaction with
  // `also`. FailedPrecondition where it is not open.
  Status EndTask(const TaskRow& answered,
                 const std::function<Status()>& also = {});

  // Null where this attempt has no such task.
  const TaskRow* Find(const std::string& task_id) const;
  // A client has at most one open task.
  const TaskRow* OpenTaskOf(const std::string& client_id) const;
  std::vector<TaskRow> OpenTasks() const;
  int64_t Count(proto::TaskKind kind) const;
  int64_t Count(proto::TaskKind kind, proto::TaskOutcome outcome) const;

  // "r2.1-train-client_a": round 2, attempt 1.
  static std::string TaskId(const RoundRow& round, proto::TaskKind kind,
                            const std::string& client_id);

 private:
  Round(StateStore& store, RoundRow row)
      : store_(&store), row_(std::move(row)) {}

  StateStore* store_;
  RoundRow row_;
  std::map<std::string, TaskRow> tasks_;  // by task_id
  // Of open tasks: client_id to task_id.
  std::map<std::string, std::string> open_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_ROUND_H_
