// The life of a run: initial adapter, one round after another, the end.
#ifndef TANDEM_SERVER_RUN_DRIVER_H_
#define TANDEM_SERVER_RUN_DRIVER_H_

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "model/tensor_map.h"
#include "privacy/budget_ledger.h"
#include "proto/config.pb.h"
#include "proto/federation.pb.h"
#include "server/held_calls.h"
#include "server/object_store.h"
#include "server/published_objects.h"
#include "server/round.h"
#include "server/round_work.h"
#include "server/run_observer.h"
#include "server/serial_executor.h"
#include "server/server_model.h"
#include "server/session_table.h"
#include "server/state_store.h"
#include "server/task_message.h"
#include "server/update_check.h"

namespace tandem {

// What a run is made of.
struct RunParts {
  proto::ServerConfig config;
  StateStore* store = nullptr;
  ObjectStore* objects = nullptr;
  ServerModel* model = nullptr;
  Clock* clock = nullptr;
  RunObserver observer;
};

// What an update is checked against, off the executor thread.
struct UpdateCheckContext {
  std::shared_ptr<const TensorMap> global;
  UpdateLimits limits;
};

// Everything runs on the executor thread, but for Open, which runs before it
// has anything to do, and observers. Errors of the state store end the service
// (`ended` gets the reason), never the run.
class RunDriver {
 public:
  // REQUIRES: everything passed outlives the driver.
  RunDriver(const RunParts& parts, SessionTable& sessions,
            PublishedObjects& published, SerialExecutor& executor,
            SerialExecutor& worker, const std::atomic<bool>& stopping);

  // Errors as Coordinator::Start.
  Status Open();
  void Start();
  // Ready at the end of the run or of the service.
  std::future<Status> Ended() { return ended_.get_future(); }

  // Unavailable once the service has ended, here and below.
  Status Joined(const std::string& client_id);
  void NextTask(const std::string& client_id, HeldCalls::Done done);
  // Either the final answer, or what to check the update against before
  // EndReport.
  StatusOr<std::variant<proto::ReportResponse, UpdateCheckContext>> BeginReport(
      const std::string& client_id, const proto::ReportRequest& request);
  StatusOr<proto::ReportResponse> EndReport(const std::string& client_id,
                                            const proto::ReportRequest& request,
                                            const UpdateVerdict& verdict);
  // True where the client should stop working on it.
  bool IsCancelled(const std::string& client_id,
                   const std::string& task_id) const;

  const RunRow& run() const { return run_; }
  // Every client that is present has been told that the run is over.
  bool EveryoneHeardOfTheEnd() const;
  // Answers held calls and ends the service.
  void Stop(const Status& reason);

 private:
  // What a round has come to so far.
  struct Candidate {
    TensorMap tensors;
    std::string adapter;  // their digest, once stored
    std::string optimizer_state;
    double epsilon = 0;
    double delta = 0;
    bool server_evaluated = false;
    bool clients_timed_out = false;
    std::vector<NamedEvaluation> evaluations;
  };

  // Opening (run_driver_open.cc).
  Status CreateRun();
  Status ResumeRun();
  Status AbandonInterruptedRound(RoundRow round);

  // The start, selection and collection (run_driver.cc).
  void Prepare();
  Status Prepared(const std::string& adapter, const std::string& targets);
  void BeginNextRound();  // as an event of its own
  void BeginRound();
  Status TryBeginRound();
  void TrySelect();
  int64_t ClientsNeeded() const;
  Status Select(const std::vector<PresentClient>& present);
  void OfferTasks(double deadline_seconds);
  void WatchSilence(int64_t watch);
  void TaskEnded();
  void EndCollecting();
  int64_t Quorum() const;
  void AbandonRound(const std::string& reason);

  // From the accepted updates to the commit (run_driver_commit.cc).
  ReleaseEntry NextRelease(const RoundRow& round) const;
  // Empty where the next release is within the budget; else why not.
  StatusOr<std::string> BudgetObjection(const ReleaseEntry& release) const;
  Status RecordRelease();
  // True where the attempt got so far that the ledger holds it.
  bool WasReleased(const RoundRow& round) const;
  void AggregateUpdates();
  void FinishAdapter();
  void BeginEvaluation();
  Status OfferEvaluations();
  void EvaluateOnServer();
  void TryCommit();
  Status Commit();
  bool EvaluatesThisRound() const;
  // The updates of a round that is over are not needed any more.
  void RemoveUpdates();
  void RemoveUnlessKept(const std::string& object);
  StatusOr<std::set<std::string>> KeptObjects() const;

  // Reports (run_driver_calls.cc). Nullopt: no such task of this client.
  StatusOr<std::optional<TaskRow>> FindTask(const std::string& client_id,
                                            const std::string& task_id);
  proto::ReportResponse AnswerEnded(const TaskRow& task,
                                    const proto::ReportRequest& request);
  // Nullopt: the update decides.
  std::optional<UpdateVerdict> VerdictWithoutUpdate(
      const TaskRow& task, const proto::ReportRequest& request) const;
  StatusOr<proto::ReportResponse> EndTask(TaskRow task,
                                          const proto::ReportRequest& request,
                                          const UpdateVerdict& verdict);
  Status StoreMetrics(const TaskRow& task, const proto::TaskMetrics& metrics);
  Status StoreEvaluations(const TaskRow& task,
                          const proto::ReportRequest& request);
  Status LoseTask(const std::string& client_id, const std::string& why);

  // Ends (run_driver_end.cc).
  void FailRun(const std::string& reason);
  void ExhaustBudget(const std::string& reason);
  // The round fails, and the run ends in `state`.
  void FailRound(RunState state, const std::string& reason);
  void EndRun(RunState state, const std::string& reason);
  void FailOrStop(const Status& status, const std::string& doing);
  Status CheckServing() const;

  // Work on the worker thread, its result back on the executor.
  template <typename Result>
  void Work(std::function<StatusOr<Result>()> work,
            std::function<void(StatusOr<Result>)> then);
  ServerModel::Progress ProgressOf(const std::string& phase);
  void Observe(const std::string& phase, int64_t done, int64_t total);
  void ObserveRoundEnd(const RoundRow& round);
  std::string PhaseName(const char* doing) const;
  void UpdateServerUsage(RunRow& run) const;
  TimePoint Now() const { return parts_.clock->Now(); }

  const RunParts& parts_;
  SessionTable& sessions_;
  PublishedObjects& published_;
  SerialExecutor& executor_;
  SerialExecutor& worker_;
  const std::atomic<bool>& stopping_;
  std::mutex observer_mutex_;  // held while an observer is called

  RunRow run_;
  std::optional<BudgetLedger> ledger_;
  TimePoint opened_;
  double seconds_before_ = 0;
  // Set at the end of the service.
  std::optional<Status> service_ended_;
  std::promise<Status> ended_;
  bool ended_is_set_ = false;

  HeldCalls held_;
  std::set<std::string> heard_of_end_;
  bool selected_before_ = false;  // by this process
  int64_t waiting_with_ = -1;     // clients that observers were told of
  std::optional<Round> round_;
  // Attempts at it, for want of a quorum.
  int64_t abandoned_in_a_row_ = 0;
  std::shared_ptr<const TensorMap> global_;
  TaskObjects objects_;
  TimePoint task_deadline_;
  Candidate candidate_;
  // Goes up whenever what timers wait for is over.
  int64_t watch_ = 0;
};

template <typename Result>
void RunDriver::Work(std::function<StatusOr<Result>()> work,
                     std::function<void(StatusOr<Result>)> then) {
  worker_.Post([this, work = std::move(work), then = std::move(then)] {
    auto result = std::make_shared<StatusOr<Result>>(
        CatchExceptions("the server's own work", work));
    executor_.Post([this, then, result] {
      if (!service_ended_) then(std::move(*result));
    });
  });
}

}  // namespace tandem

#endif  // TANDEM_SERVER_RUN_DRIVER_H_
