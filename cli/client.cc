// tandem client
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/progress_bar.h"
#include "cli/stop_signal.h"
#include "client/client_observer.h"
#include "client/client_runner.h"
#include "common/config_reader.h"
#include "common/log.h"
#include "proto/config.pb.h"

namespace tandem::cli {
namespace {

struct ClientFlags {
  std::string config;
  std::string server;
  std::vector<std::string> overrides;
  bool json = false;
};

// A bar for each task, a log line for each outcome.
class ClientProgress : public ClientObserver {
 public:
  void OnTask(const proto::Task& task) override {
    bar_.reset();
    const bool trains = task.kind() == proto::TRAIN;
    bar_ = std::make_unique<ProgressBar>(
        fmt::format("round {}: {}", task.round(),
                    trains ? "training" : "evaluating"),
        trains ? "steps" : "examples", clock_, std::cerr,
        StandardErrorIsTerminal());
  }
  void OnProgress(const proto::Task&, const Progress& progress) override {
    bar_->Update(
        progress.done, progress.total,
        progress.loss > 0 ? fmt::format("loss {:.3f}", progress.loss) : "");
  }
  void OnOutcome(const proto::Task& task, const proto::ReportRequest&,
                 const proto::ReportResponse& response) override {
    bar_.reset();
    spdlog::info("round {}: {} {}", task.round(),
                 proto::TaskOutcome_Name(response.outcome()),
                 response.message());
  }

 private:
  const SystemClock clock_;
  std::unique_ptr<ProgressBar> bar_;
};

void Print(const ClientSummary& summary, bool json) {
  if (json) {
    PrintJson({{"client_id", summary.client_id},
               {"run_id", summary.run_id},
               {"run_state", summary.run_state},
               {"tasks_reported", summary.tasks_reported},
               {"tasks_accepted", summary.tasks_accepted},
               {"tokens_trained", summary.trained_tokens},
               {"bytes_downloaded", summary.bytes_downloaded},
               {"bytes_uploaded", summary.bytes_uploaded},
               {"seconds", summary.seconds},
               {"peak_rss_bytes", summary.peak_rss_bytes}});
    return;
  }
  PrintLine(fmt::format(
      "{}: {}, {} of {} reports accepted, {} tokens, {} bytes down, {} up, {}",
      summary.client_id, summary.run_state, summary.tasks_accepted,
      summary.tasks_reported, summary.trained_tokens, summary.bytes_downloaded,
      summary.bytes_uploaded, FormatDuration(Seconds(summary.seconds))));
}

Status ClientMain(const ClientFlags& flags) {
  proto::ClientConfig config;
  TANDEM_RETURN_IF_ERROR(ReadConfig(flags.config, flags.overrides, &config));
  if (!flags.server.empty()) config.set_server(flags.server);
  TANDEM_RETURN_IF_ERROR(
      InitLogging(config.log().level(), config.log().file()));
  const StopRequest stop;
  ClientProgress progress;
  TANDEM_ASSIGN_OR_RETURN(const ClientSummary summary,
                          RunClient(config, &progress, stop.token()));
  Print(summary, flags.json);
  return OkStatus();
}

}  // namespace

void AddClient(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<ClientFlags>();
  CLI::App* command = AddCommand(
      app, "client", "Take part in a run with private data, until the run ends",
      "tandem client --config configs/quickstart/client-a.yaml --server "
      "127.0.0.1:50551",
      chosen, [flags] { return ClientMain(*flags); });
  command->add_option("--config", flags->config, "YAML, see proto/config.proto")
      ->required();
  command->add_option("--server", flags->server,
                      "HOST:PORT, in place of the configuration's");
  AddOverrides(*command, flags->overrides);
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
