// One run opened on its state directory and served to whoever holds its
// handler: what a server process and a simulation have in common.
#ifndef TANDEM_SERVER_RUN_HOST_H_
#define TANDEM_SERVER_RUN_HOST_H_

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "common/clock.h"
#include "common/status.h"
#include "proto/config.pb.h"
#include "proto/federation_handler.h"
#include "server/coordinator.h"
#include "server/object_store.h"
#include "server/run_observer.h"
#include "server/server_model.h"
#include "server/state_store.h"

namespace tandem {

struct RunSummary {
  std::string run_id;
  std::filesystem::path directory;      // for ReadRunReport
  RunState state = RunState::kRunning;  // RUNNING: stopped before the end
  std::string reason;
};

// Holds a lock on the directory, so that no two processes serve one run.
class DirectoryLock {
 public:
  // FailedPrecondition where another process holds it.
  static StatusOr<std::unique_ptr<DirectoryLock>> Take(
      const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  explicit DirectoryLock(int file) : file_(file) {}
  int file_;
};

class RunHost {
 public:
  // Creates config.run().directory where it is missing, loads the models (which
  // takes a while) and starts the run or goes on with it. `clock` must outlive
  // the host. Errors of LocalServerModel::Load, of the stores, and of
  // Coordinator::Start.
  static StatusOr<std::unique_ptr<RunHost>> Open(
      const proto::ServerConfig& config, RunObserver observer, Clock& clock);
  // The same with a model of the caller's.
  static StatusOr<std::unique_ptr<RunHost>> OpenWithModel(
      const proto::ServerConfig& config, std::unique_ptr<ServerModel> model,
      RunObserver observer, Clock& clock);
  // Stops the coordinator.
  ~RunHost();

  // For in-process connections and the gRPC service; lives as long as the host.
  FederationHandler& handler() { return *coordinator_; }
  // Blocks until the run has ended, or `stop` is set (looked at ten times a
  // second), and gives connected clients up to `grace_seconds` to hear of the
  // end. The error that the server could not go on after, a full disk say; the
  // run is then still RUNNING and another process can go on with it.
  StatusOr<RunSummary> WaitForEnd(const std::atomic<bool>& stop,
                                  double grace_seconds = 10);
  // Ends held calls and work under way; the run stays as it is. Idempotent.
  void Shutdown();

 private:
  RunHost() = default;

  std::filesystem::path directory_;
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<ObjectStore> objects_;
  std::unique_ptr<ServerModel> model_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace tandem

#endif  // TANDEM_SERVER_RUN_HOST_H_
