// What a run must remember: an interface, and the rows that go through it.
#ifndef TANDEM_SERVER_STATE_STORE_H_
#define TANDEM_SERVER_STATE_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "model/evaluation.h"
#include "privacy/budget_ledger.h"
#include "proto/federation.pb.h"
#include "server/round_state.h"

namespace tandem {

// Objects are named by their SHA-256 here; "" where there is none (yet).
struct RunRow {
  std::string run_id;
  std::string name;
  RunState state = RunState::kRunning;
  std::string reason;  // why it ended in that state; empty while RUNNING
  std::string config;  // the ServerConfig in protobuf's text format
  std::string base_model_digest;
  // Root of every cohort's draw: run.seed, or under privacy a secret that no
  // report may show.
  uint64_t selection_seed = 0;
  std::string initial_adapter;    // the first global adapter
  std::string auxiliary_targets;  // teacher targets for clients
  std::string adapter;            // global adapter of the last committed round
  std::string optimizer_state;    // of the server optimiser, likewise
  int64_t committed_rounds = 0;
  TimePoint started;
  TimePoint ended;            // the epoch while it runs
  double server_seconds = 0;  // of all processes that served it
  int64_t server_peak_rss_bytes = 0;
};

// One attempt at a round.
struct RoundRow {
  int64_t number = 0;   // from 1
  int64_t attempt = 1;  // from 1, over restarts and redraws
  // Earlier attempts that were abandoned for want of a quorum, or had released
  // something under privacy. Another that the end of the server cut short is
  // repeated with the same draw, so that its seeds are the same.
  int64_t draw = 0;
  RoundState state = RoundState::kSelecting;
  std::string reason;  // why FAILED or ABANDONED
  // ABANDONED because the server stopped, not for want of a quorum.
  bool interrupted = false;
  TimePoint started;
  TimePoint ended;
  std::string adapter_before;
  std::string adapter_after;
  // Spent in all up to and with this round's release; 0 without privacy.
  double epsilon = 0;
  double delta = 0;
};

// What a client has said about itself, summed over tasks.
struct ClientRow {
  std::string client_id;
  TimePoint joined;  // first
  int64_t joins = 0;
  int64_t trained_tokens = 0;
  double train_seconds = 0;
  int64_t peak_rss_bytes = 0;
  // Over all of its processes. A process counts from 0: *_by_earlier holds the
  // sum of those before the one that reported last.
  int64_t bytes_downloaded = 0;
  int64_t bytes_uploaded = 0;
  int64_t bytes_downloaded_by_earlier = 0;
  int64_t bytes_uploaded_by_earlier = 0;
};

struct TaskRow {
  std::string task_id;
  int64_t number = 0;
  int64_t attempt = 0;
  proto::TaskKind kind = proto::TASK_KIND_UNSPECIFIED;
  std::string client_id;
  // OUTCOME_UNSPECIFIED: still open.
  proto::TaskOutcome outcome = proto::OUTCOME_UNSPECIFIED;
  std::string message;
  std::string update;  // the digest that was reported
  double train_loss = 0;
};

// An accepted update.
struct ContributionRow {
  int64_t number = 0;
  int64_t attempt = 0;
  std::string client_id;
  std::string update;
  double weight = 0;
  double norm_l2 = 0;
  bool operator==(const ContributionRow&) const = default;
};

struct EvaluationRow {
  int64_t number = 0;
  int64_t attempt = 0;
  std::string source;  // "" for the server, else the client_id
  std::string name;    // of the data
  EvaluationResult result;
};

// Not thread-safe: the coordinator's executor thread is its only caller. Save*
// inserts a row or replaces the one of the same key. A write returns once it is
// durable (in a transaction: once Transact returns). Errors leave everything as
// it was: ResourceExhausted on a full disk, PermissionDenied where it cannot be
// written, DataLoss where it cannot be understood, Internal for the rest.
class StateStore : public LedgerStorage {
 public:
  // Everything that `body` writes, or, where it returns an error, nothing of
  // it. No transaction inside another.
  virtual Status Transact(const std::function<Status()>& body) = 0;

  // A store holds at most one run.
  virtual StatusOr<std::optional<RunRow>> LoadRun() = 0;
  virtual Status SaveRun(const RunRow& run) = 0;
  // By number, then attempt.
  virtual StatusOr<std::vector<RoundRow>> LoadRounds() = 0;
  virtual Status SaveRound(const RoundRow& round) = 0;
  // By client_id.
  virtual StatusOr<std::vector<ClientRow>> LoadClients() = 0;
  virtual StatusOr<std::optional<ClientRow>> LoadClient(
      const std::string& client_id) = 0;
  virtual Status SaveClient(const ClientRow& client) = 0;
  virtual StatusOr<std::optional<TaskRow>> LoadTask(
      const std::string& task_id) = 0;
  // By task_id.
  virtual StatusOr<std::vector<TaskRow>> LoadTasks(int64_t number,
                                                   int64_t attempt) = 0;
  virtual Status SaveTask(const TaskRow& task) = 0;
  // By client_id.
  virtual StatusOr<std::vector<ContributionRow>> LoadContributions(
      int64_t number, int64_t attempt) = 0;
  virtual Status SaveContribution(const ContributionRow& contribution) = 0;
  // By source, name.
  virtual StatusOr<std::vector<EvaluationRow>> LoadEvaluations(
      int64_t number, int64_t attempt) = 0;
  virtual Status SaveEvaluation(const EvaluationRow& evaluation) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_STATE_STORE_H_
