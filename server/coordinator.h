// One run's coordination: the server's side of proto/federation.proto.
//
// Threads. One executor thread owns all state and the StateStore. Handlers
// decode and check on their caller's thread and post what is left; long work
// (initial distillation, aggregation, distillation, evaluation) runs on one
// worker thread and posts its result.
#ifndef TANDEM_SERVER_COORDINATOR_H_
#define TANDEM_SERVER_COORDINATOR_H_

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "common/clock.h"
#include "common/status.h"
#include "proto/config.pb.h"
#include "proto/federation_handler.h"
#include "server/run_driver.h"
#include "server/serial_executor.h"
#include "server/session_table.h"

namespace tandem {

// After Shutdown, or when the server cannot go on, every method answers
// Unavailable, which clients retry.
class Coordinator : public FederationHandler {
 public:
  // Opens the stored run, or creates it, and starts working on it. REQUIRES:
  // everything in `parts` outlives the coordinator; nobody else uses the state
  // store. FailedPrecondition: the stored run was started with another base
  // model, or with another value of a field that matters (named).
  // InvalidArgument: the configuration contradicts itself. Errors of the
  // stores.
  static StatusOr<std::unique_ptr<Coordinator>> Start(const RunParts& parts);
  // Shutdown.
  ~Coordinator() override;

  StatusOr<proto::JoinResponse> Join(
      const proto::JoinRequest& request) override;
  // `done` is called on the executor thread (or on the caller's): it must not
  // block.
  void NextTask(
      const proto::NextTaskRequest& request,
      std::function<void(StatusOr<proto::NextTaskResponse>)> done) override;
  // Only global adapters and teacher targets, never another client's update.
  StatusOr<proto::GetObjectResponse> GetObject(
      const proto::GetObjectRequest& request) override;
  // FailedPrecondition where the client has no open task to train.
  // InvalidArgument for an object of more than twice the global adapter's size
  // and 1 MiB: no update is.
  StatusOr<proto::PutObjectResponse> PutObject(
      const proto::PutObjectRequest& request) override;
  StatusOr<proto::ReportResponse> Report(
      const proto::ReportRequest& request) override;
  StatusOr<proto::HeartbeatResponse> Heartbeat(
      const proto::HeartbeatRequest& request) override;

  // Ready once the run has ended (OK, whatever its state), or the server cannot
  // go on (why), or Shutdown was called (Cancelled).
  std::shared_future<Status> ended() const { return ended_; }
  // The stored run as it is now.
  RunRow Run();
  // After the end: every client that is still present was told.
  bool EveryoneHeardOfTheEnd();
  // Answers held calls, ends work under way and waits for its end. The run
  // stays as it is, to be gone on with. Idempotent; not to be called by two
  // threads at a time. Handlers may still be called until the destruction.
  void Shutdown();

 private:
  explicit Coordinator(const RunParts& parts);
  // What a client was last asked to train.
  struct TrainTask {
    std::string task_id;
    int64_t max_update_bytes = 0;
    std::set<std::string> uploads = {};  // digests it was begun with
  };

  StatusOr<std::string> ClientOf(const std::string& session);
  // Both on the executor thread.
  void RememberTask(const std::string& client, const proto::Task& task);
  Status CheckUpload(const std::string& client, const proto::ObjectRef& object);
  UpdateVerdict Check(const proto::ReportRequest& request,
                      const UpdateCheckContext& context) const;

  const RunParts parts_;
  SessionTable sessions_;
  PublishedObjects published_;
  std::atomic<bool> stopping_{false};
  std::shared_future<Status> ended_;
  std::unique_ptr<RunDriver> driver_;
  std::map<std::string, TrainTask> train_tasks_;  // the executor thread's
  // Destroyed from below: the worker posts to the executor, the executor calls
  // the driver.
  std::unique_ptr<SerialExecutor> executor_;
  std::unique_ptr<SerialExecutor> worker_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_COORDINATOR_H_
