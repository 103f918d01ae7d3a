#include "server/run_host.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "server/local_server_model.h"
#include "server/run_config.h"
#include "server/sqlite_state_store.h"

namespace tandem {
namespace {

constexpr auto kLook = std::chrono::milliseconds(100);

Status CreateDirectory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (!error) return OkStatus();
  return ErrnoStatus(error.value(), "create", directory);
}

}  // namespace

StatusOr<std::unique_ptr<DirectoryLock>> DirectoryLock::Take(
    const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "lock";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return ErrnoStatus(errno, "open", path);
  std::unique_ptr<DirectoryLock> lock(new DirectoryLock(file));
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "lock", path);
    return FailedPrecondition("another process serves the run in {}",
                              directory.string());
  }
  return lock;
}

DirectoryLock::~DirectoryLock() { ::close(file_); }

StatusOr<std::unique_ptr<RunHost>> RunHost::Open(
    const proto::ServerConfig& config, RunObserver observer, Clock& clock) {
  // Before minutes go into reading models.
  TANDEM_RETURN_IF_ERROR(CheckServerConfig(config));
  TANDEM_ASSIGN_OR_RETURN(
      std::unique_ptr<ServerModel> model,
      CatchExceptions("loading the models",
                      [&]() -> StatusOr<std::unique_ptr<ServerModel>> {
                        return LoadServerModel(config);
                      }));
  return OpenWithModel(config, std::move(model), std::move(observer), clock);
}

StatusOr<std::unique_ptr<RunHost>> RunHost::OpenWithModel(
    const proto::ServerConfig& config, std::unique_ptr<ServerModel> model,
    RunObserver observer, Clock& clock) {
  std::unique_ptr<RunHost> host(new RunHost);
  host->directory_ = config.run().directory();
  host->model_ = std::move(model);
  TANDEM_RETURN_IF_ERROR(CreateDirectory(host->directory_));
  TANDEM_ASSIGN_OR_RETURN(host->lock_, DirectoryLock::Take(host->directory_));
  TANDEM_ASSIGN_OR_RETURN(
      host->store_, SqliteStateStore::Open(host->directory_ / "state.db"));
  TANDEM_ASSIGN_OR_RETURN(
      host->objects_,
      FileObjectStore::Open(host->directory_ / "objects",
                            config.limits().max_object_bytes()));
  const RunParts parts{
      config, host->store_.get(), host->objects_.get(), host->model_.get(),
      &clock, std::move(observer)};
  TANDEM_ASSIGN_OR_RETURN(host->coordinator_, Coordinator::Start(parts));
  return host;
}

RunHost::~RunHost() { Shutdown(); }

void RunHost::Shutdown() {
  if (coordinator_) coordinator_->Shutdown();
}

StatusOr<RunSummary> RunHost::WaitForEnd(const std::atomic<bool>& stop,
                                         double grace_seconds) {
  const auto ended = coordinator_->ended();
  while (!stop && ended.wait_for(kLook) == std::future_status::timeout) {
  }
  if (ended.wait_for(kLook * 0) == std::future_status::ready) {
    TANDEM_RETURN_IF_ERROR(ended.get());
    const auto give_up = std::chrono::steady_clock::now() +
                         std::chrono::duration<double>(grace_seconds);
    while (!stop && !coordinator_->EveryoneHeardOfTheEnd() &&
           std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(kLook);
    }
  }
  const RunRow run = coordinator_->Run();
  return RunSummary{run.run_id, directory_, run.state, run.reason};
}

}  // namespace tandem
