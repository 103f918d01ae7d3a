// A run as people look at it, read from its state directory; no server needs to
// be running, and one may be.
#ifndef TANDEM_SERVER_RUN_REPORT_H_
#define TANDEM_SERVER_RUN_REPORT_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/evaluation.h"
#include "proto/config.pb.h"
#include "server/state_store.h"

namespace tandem {

struct EvaluationReport {
  std::string source;  // "server" or the client_id
  std::string name;    // of the data
  EvaluationResult result;
};

// The last attempt at a round.
struct RoundReport {
  int64_t number = 0;
  int64_t attempt = 1;
  std::string state;   // "COMMITTED", ...
  std::string reason;  // why FAILED or ABANDONED
  int64_t train_tasks = 0;
  // Of train tasks, by name ("ACCEPTED", "LATE", ...; "OPEN" while there is no
  // outcome); they add up to train_tasks.
  std::map<std::string, int64_t> outcomes;
  double seconds = 0;          // so far, where it is not over
  double mean_train_loss = 0;  // over accepted updates, nats per target token
  // The server's first, then by client; empty where the round was not
  // evaluated.
  std::vector<EvaluationReport> evaluations;
  // Spent up to and with this round; 0 without privacy.
  double epsilon = 0;
  double delta = 0;
};

struct ClientReport {
  std::string client_id;
  int64_t tokens_trained = 0;
  int64_t bytes_downloaded = 0;
  int64_t bytes_uploaded = 0;
  double train_seconds = 0;
  int64_t peak_rss_bytes = 0;
};

struct RunReport {
  std::filesystem::path directory;
  std::string run_id;
  std::string name;
  std::string state;   // "RUNNING", "FINISHED", "FAILED", "BUDGET_EXHAUSTED"
  std::string reason;  // why it ended so
  proto::ServerConfig config;  // as the run was started with
  std::string base_model_digest;
  std::vector<RoundReport> rounds;    // by number
  std::vector<ClientReport> clients;  // by client_id
  double server_seconds = 0;
  int64_t server_peak_rss_bytes = 0;
  // Of the release recorded last, whether or not its round was committed; 0
  // without privacy.
  double epsilon = 0;
  double delta = 0;
  // The global adapter of the last committed round (before that the initial
  // one): safetensors, PEFT names, fp32. Empty before the initial one. Its LoRA
  // options are config.lora(), the student it belongs to config.model()
  // .student().
  std::filesystem::path adapter_file;
  // The same of the first global adapter, after the initial distillation.
  std::filesystem::path initial_adapter_file;
};

// `directory` as in RunConfig. NotFound where it holds no run; errors of
// SqliteStateStore::OpenReadOnly.
StatusOr<RunReport> ReadRunReport(const std::filesystem::path& directory);

// The run in `directory` itself, or those in its immediate subfolders, by
// folder name. NotFound where there is none, or no such folder.
StatusOr<std::vector<RunReport>> ListRunReports(
    const std::filesystem::path& directory);

// One round out of its rows; what a report and a progress line share.
RoundReport MakeRoundReport(const RoundRow& round,
                            const std::vector<TaskRow>& tasks,
                            const std::vector<EvaluationRow>& evaluations,
                            TimePoint now);

}  // namespace tandem

#endif  // TANDEM_SERVER_RUN_REPORT_H_
