#include "client/client_runner.h"

#include <ATen/Parallel.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

#include "client/grpc_connection.h"
#include "client/heartbeat.h"
#include "client/object_cache.h"
#include "client/session.h"
#include "client/task_worker.h"
#include "common/peak_memory.h"
#include "proto/federation_handler.h"

namespace tandem {
namespace {

constexpr double kMaxWaitSeconds = 3600;

proto::JoinRequest IdentityOf(const ClientParts& parts,
                              const ClientOptions& options) {
  proto::JoinRequest identity;
  identity.set_protocol_version(kProtocolVersion);
  identity.set_client_id(options.client_id);
  identity.set_base_model_digest(parts.model.digest);
  identity.set_can_evaluate(!parts.data.evaluation.empty());
  return identity;
}

proto::ReportRequest FailureReport(const proto::Task& task,
                                   const Status& failure) {
  proto::ReportRequest report;
  report.set_task_id(task.task_id());
  report.set_failure(fmt::format(
      "{}: {}", absl::StatusCodeToString(failure.code()), ToString(failure)));
  return report;
}

// The server is gone or will not have this client: no next task will do better.
bool EndsClient(const Status& status) {
  return status.code() == StatusCode::kUnavailable ||
         status.code() == StatusCode::kUnauthenticated;
}

class ClientLoop {
 public:
  ClientLoop(const ClientParts& parts, const ClientOptions& options,
             ObjectCache& cache, std::stop_token stop)
      : parts_(parts),
        observer_(parts.observer ? *parts.observer : silent_),
        stop_(std::move(stop)),
        sleeper_(parts.clock, stop_),
        retrier_(options.retry, parts.connection.server(), parts.clock,
                 sleeper_, options.retry_jitter_seed),
        session_(parts.connection, retrier_, IdentityOf(parts, options)),
        worker_(parts.model, parts.data, session_, cache, parts.clock) {
    summary_.client_id = options.client_id;
  }

  StatusOr<ClientSummary> Run() {
    const TimePoint start = parts_.clock.Now();
    const Status status = JoinAndWork();
    if (!status.ok() && !stop_.stop_requested()) return status;
    if (summary_.run_state.empty()) summary_.run_state = "STOPPED";
    summary_.bytes_downloaded = session_.bytes_downloaded();
    summary_.bytes_uploaded = session_.bytes_uploaded();
    summary_.seconds = ToSeconds(parts_.clock.Now() - start);
    summary_.peak_rss_bytes = PeakRssBytes();
    return summary_;
  }

 private:
  Status JoinAndWork() {
    TANDEM_RETURN_IF_ERROR(session_.Join());
    const proto::JoinResponse terms = session_.terms();
    summary_.run_id = terms.run_id();
    spdlog::info("joined run {} at {} as {}", terms.run_id(),
                 parts_.connection.server(), summary_.client_id);
    observer_.OnJoined(terms);
    while (summary_.run_state.empty()) {
      TANDEM_ASSIGN_OR_RETURN(const proto::NextTaskResponse next,
                              session_.NextTask());
      TANDEM_RETURN_IF_ERROR(Follow(next));
    }
    return OkStatus();
  }

  Status Follow(const proto::NextTaskResponse& next) {
    switch (next.next_case()) {
      case proto::NextTaskResponse::kTask:
        return DoTask(next.task());
      case proto::NextTaskResponse::kRetryAfterSeconds:
        // max first: it turns NaN into 0.
        return sleeper_.Sleep(Seconds(std::min(
            std::max(0.0, next.retry_after_seconds()), kMaxWaitSeconds)));
      case proto::NextTaskResponse::kRunFinished:
        summary_.run_state = next.run_finished();
        spdlog::info("run {} has finished: {}", summary_.run_id,
                     next.run_finished());
        return OkStatus();
      default:
        return InvalidArgument("the server's answer to NextTask is empty");
    }
  }

  // Errors only where the client cannot go on.
  Status DoTask(const proto::Task& task) {
    observer_.OnTask(task);
    auto report = Work(task);
    if (!report.ok()) {
      const Status& why = report.status();
      if (EndsClient(why)) return why;
      spdlog::warn("task {} of round {} ended: {}", task.task_id(),
                   task.round(), ToString(why));
      if (why.code() == StatusCode::kCancelled) return OkStatus();
      report = FailureReport(task, why);
    }
    return Report(task, *report);
  }

  // The work itself, with heartbeats beside it.
  StatusOr<proto::ReportRequest> Work(const proto::Task& task) {
    const TimePoint start = parts_.clock.Now();
    TANDEM_RETURN_IF_ERROR(CheckTimeLeft(task, start));
    Heartbeat heartbeat(session_, task.task_id(),
                        session_.terms().heartbeat_interval_seconds(),
                        parts_.clock);
    const auto on_progress = [&](const Progress& progress) -> Status {
      observer_.OnProgress(task, progress);
      if (stop_.stop_requested()) return Cancelled("this client was stopped");
      if (heartbeat.task_cancelled()) {
        return Cancelled("the server says that it no longer counts");
      }
      return CheckTimeLeft(task, start);
    };
    return CatchExceptions("the task",
                           [&] { return worker_.Do(task, on_progress); });
  }

  // A task may come with no time left (or less, or NaN): it is over then. One
  // that names no time has no end.
  Status CheckTimeLeft(const proto::Task& task, TimePoint start) const {
    if (!task.has_deadline_seconds()) return OkStatus();
    const double spent = ToSeconds(parts_.clock.Now() - start);
    if (spent < task.deadline_seconds()) return OkStatus();
    return Cancelled("its time of {} s is over", task.deadline_seconds());
  }

  Status Report(const proto::Task& task, const proto::ReportRequest& report) {
    const auto response = session_.Report(report);
    if (!response.ok()) {
      spdlog::warn("task {}: cannot report: {}", task.task_id(),
                   ToString(response.status()));
      return EndsClient(response.status()) ? response.status() : OkStatus();
    }
    ++summary_.tasks_reported;
    summary_.trained_tokens += report.metrics().trained_tokens();
    if (response->outcome() == proto::ACCEPTED) {
      ++summary_.tasks_accepted;
    } else {
      spdlog::warn("task {} of round {}: {}: {}", task.task_id(), task.round(),
                   proto::TaskOutcome_Name(response->outcome()),
                   response->message());
    }
    observer_.OnOutcome(task, report, *response);
    return OkStatus();
  }

  const ClientParts& parts_;
  ClientObserver silent_;
  ClientObserver& observer_;
  std::stop_token stop_;
  ClockSleeper sleeper_;
  Retrier retrier_;
  Session session_;
  TaskWorker worker_;
  ClientSummary summary_;
};

ClientOptions OptionsFrom(const proto::ClientConfig& config) {
  ClientOptions options;
  options.client_id = config.client_id();
  options.cache_directory = config.cache_directory();
  options.retry = RetryOptionsFrom(config.connection());
  options.retry_jitter_seed = std::random_device{}();
  return options;
}

}  // namespace

StatusOr<ClientSummary> RunClient(const ClientParts& parts,
                                  const ClientOptions& options,
                                  std::stop_token stop) {
  TANDEM_ASSIGN_OR_RETURN(
      ObjectCache cache,
      ObjectCache::Open(options.cache_directory, options.client_id,
                        options.max_cache_bytes));
  const std::stop_callback close(stop, [&] { parts.connection.Close(); });
  return ClientLoop(parts, options, cache, std::move(stop)).Run();
}

StatusOr<ClientSummary> RunClient(const proto::ClientConfig& config,
                                  ClientObserver* observer,
                                  std::stop_token stop) {
  if (config.threads() > 0) at::set_num_threads(config.threads());
  TANDEM_ASSIGN_OR_RETURN(const LocalData data, ReadLocalData(config.data()));
  TANDEM_ASSIGN_OR_RETURN(const auto connection,
                          ConnectGrpc(config.server(), config.connection()));
  TANDEM_ASSIGN_OR_RETURN(
      const LocalModel model,
      LoadLocalModel(config.model(), config.compute_dtype()));
  SystemClock clock;
  return RunClient({model, data, *connection, clock, observer},
                   OptionsFrom(config), std::move(stop));
}

}  // namespace tandem
