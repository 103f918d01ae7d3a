// tandem simulate
#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cli/command.h"
#include "cli/run_progress.h"
#include "cli/stop_signal.h"
#include "cli/training_slots.h"
#include "client/client_runner.h"
#include "client/in_process_connection.h"
#include "client/local_data.h"
#include "client/local_model.h"
#include "common/config_reader.h"
#include "common/log.h"
#include "proto/config.pb.h"
#include "server/run_host.h"

namespace tandem::cli {
namespace {

struct SimulateFlags {
  std::string config;
  std::vector<std::string> overrides;
  int clients = 2;
  bool json = false;
};

// Client i holds file i modulo their number; clients that share a file take
// turns with its examples.
StatusOr<std::vector<LocalData>> ShareOut(
    const proto::SimulationConfig& simulation, int clients) {
  const int files = simulation.private_data_size();
  if (files == 0) {
    return InvalidArgument(
        "simulation.private_data is empty: expected a data file for each "
        "client, or for some to share");
  }
  std::vector<LocalData> whole;
  for (const proto::ClientDataConfig& config : simulation.private_data()) {
    TANDEM_ASSIGN_OR_RETURN(LocalData data, ReadLocalData(config));
    whole.push_back(std::move(data));
  }
  std::vector<LocalData> shares;
  for (int client = 0; client < clients; ++client) {
    const int file = client % files;
    const int sharing = (clients - file + files - 1) / files;
    TANDEM_ASSIGN_OR_RETURN(
        LocalData share, PartOfLocalData(whole[file], client / files, sharing));
    shares.push_back(std::move(share));
  }
  return shares;
}

// Nobody is lost in a simulation: all clients are there from the first round
// on, and one that waits for its turn is no cause for concern.
void AdaptToSimulation(int clients, proto::ServerConfig& config) {
  config.mutable_rounds()->set_min_clients(clients);
  proto::LimitsConfig& limits = *config.mutable_limits();
  limits.set_max_clients(std::max(limits.max_clients(), clients));
  limits.set_client_timeout_seconds(1e7);
}

// The clients' threads; the first error among them stops the run.
class SimulatedClients {
 public:
  SimulatedClients(const proto::ServerConfig& config, const LocalModel& model,
                   std::vector<LocalData> data, FederationHandler& handler,
                   StopRequest& stop)
      : config_(config),
        model_(model),
        data_(std::move(data)),
        handler_(handler),
        stop_(stop),
        slots_(config.simulation().parallel_clients()),
        threads_per_client_(std::max(
            1,
            at::get_num_threads() / config.simulation().parallel_clients())) {
    for (size_t i = 0; i < data_.size(); ++i) {
      threads_.emplace_back([this, i] { Run(i); });
    }
  }

  // Waits for all of them.
  Status Join() {
    threads_.clear();
    const std::lock_guard lock(mutex_);
    return first_error_;
  }

 private:
  void Run(size_t index) {
    SetThreads(threads_per_client_);
    ClientOptions options;
    options.client_id = fmt::format("client-{:03}", index);
    options.cache_directory = config_.run().directory() + "/client-cache";
    options.retry_jitter_seed = index + 1;
    const proto::ConnectionConfig defaults;
    const std::unique_ptr<Connection> connection =
        LimitTasks(ConnectInProcess(handler_, defaults), slots_);
    const auto summary = RunClient({model_, data_[index], *connection, clock_},
                                   options, stop_.token());
    if (!summary.ok()) Fail(Annotate(summary.status(), options.client_id));
  }

  void Fail(const Status& status) {
    const std::lock_guard lock(mutex_);
    if (first_error_.ok()) first_error_ = status;
    stop_.Request();
  }

  const proto::ServerConfig& config_;
  const LocalModel& model_;
  const std::vector<LocalData> data_;
  FederationHandler& handler_;
  StopRequest& stop_;
  SystemClock clock_;
  TrainingSlots slots_;
  // Those of the main thread, shared out: threads do not inherit their number.
  const int threads_per_client_;
  std::mutex mutex_;
  Status first_error_;
  std::vector<std::jthread> threads_;  // the last member: uses the others
};

Status Simulate(const proto::ServerConfig& config, int clients, bool json) {
  TANDEM_ASSIGN_OR_RETURN(std::vector<LocalData> data,
                          ShareOut(config.simulation(), clients));
  SystemClock clock;
  StopRequest stop;
  RunProgress progress(json);
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<RunHost> host,
                          RunHost::Open(config, progress.Observer(), clock));
  TANDEM_ASSIGN_OR_RETURN(
      const LocalModel model,
      LoadLocalModel(config.model().student(), config.model().compute_dtype()));
  SimulatedClients threads(config, model, std::move(data), host->handler(),
                           stop);
  const auto summary = host->WaitForEnd(stop.flag());
  // By now every client was told how the run ended, or cannot be.
  stop.Request();
  host->Shutdown();
  const Status clients_status = threads.Join();
  TANDEM_RETURN_IF_ERROR(summary.status());
  TANDEM_RETURN_IF_ERROR(clients_status);
  return ShowEnd(*summary, json);
}

Status SimulateMain(const SimulateFlags& flags) {
  proto::ServerConfig config;
  TANDEM_RETURN_IF_ERROR(ReadConfig(flags.config, flags.overrides, &config));
  TANDEM_RETURN_IF_ERROR(
      InitLogging(config.log().level(), config.log().file()));
  SetThreads(config.model().threads());
  AdaptToSimulation(flags.clients, config);
  return Simulate(config, flags.clients, flags.json);
}

}  // namespace

void AddSimulate(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<SimulateFlags>();
  CLI::App* command = AddCommand(
      app, "simulate",
      "A run with all of its clients in one process: the same coordinator and "
      "trainer, no network",
      "tandem simulate --config configs/quickstart/server.yaml --clients 2",
      chosen, [flags] { return SimulateMain(*flags); });
  command
      ->add_option("--config", flags->config,
                   "The server's YAML; its simulation.private_data names the "
                   "clients' files")
      ->required();
  command
      ->add_option("--clients", flags->clients,
                   "All of them join before the first round")
      ->required()
      ->check(CLI::Range(1, 100000));
  AddOverrides(*command, flags->overrides);
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
