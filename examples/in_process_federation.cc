// A whole federation in one process: a server and two clients, on a student
// model of your own.
//
//   example_in_process_federation MODEL A.jsonl B.jsonl [RUN_DIR]
//
// MODEL is a GGUF file or a Hugging Face folder; A and B are the private texts
// of the two clients, each line {"text"}, {"prompt", "completion"} or
// {"messages"}. The run's state, tuned adapter included, stays in RUN_DIR
// (runs/example): `tandem run show --state RUN_DIR`, `tandem export --run
// RUN_DIR`. Started again on it, a finished run is only reported.
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>
#include <stop_token>
#include <string>
#include <thread>

#include "client/client_runner.h"
#include "client/in_process_connection.h"
#include "common/status.h"
#include "server/run_host.h"
#include "server/run_report.h"

namespace {

using tandem::Status;

tandem::proto::ServerConfig ConfigFor(const std::string& model,
                                      const std::string& directory) {
  tandem::proto::ServerConfig config;
  config.mutable_run()->set_directory(directory);
  config.mutable_model()->set_student(model);
  config.mutable_rounds()->set_count(2);
  config.mutable_rounds()->set_min_clients(2);
  config.mutable_training()->set_steps(4);
  config.mutable_distillation()->set_enabled(false);
  return config;
}

// One client's life, on a thread of its own: join, train, report, until the
// server says that the run has ended.
Status RunOneClient(const std::string& name, const std::string& file,
                    const tandem::LocalModel& model,
                    tandem::FederationHandler& server, std::stop_token stop) {
  tandem::proto::ClientDataConfig data_config;
  data_config.set_train(file);
  TANDEM_ASSIGN_OR_RETURN(const tandem::LocalData data,
                          tandem::ReadLocalData(data_config));
  const auto connection =
      tandem::ConnectInProcess(server, tandem::proto::ConnectionConfig());
  tandem::SystemClock clock;
  tandem::ClientOptions options;
  options.client_id = name;
  TANDEM_ASSIGN_OR_RETURN(
      const tandem::ClientSummary summary,
      tandem::RunClient({model, data, *connection, clock}, options, stop));
  std::printf("%s: %ld tokens trained, %ld bytes up, %ld bytes down\n",
              name.c_str(), summary.trained_tokens, summary.bytes_uploaded,
              summary.bytes_downloaded);
  return tandem::OkStatus();
}

Status RunFederation(const std::string& model_path, const std::string& a,
                     const std::string& b, const std::string& directory) {
  // What both clients share: the frozen base model.
  TANDEM_ASSIGN_OR_RETURN(const tandem::LocalModel model,
                          tandem::LoadLocalModel(model_path, "auto"));
  tandem::RunObserver observer;
  observer.on_round_ended = [](const tandem::RoundReport& round) {
    std::printf("round %ld: %s, training loss %.3f nats per token\n",
                round.number, round.state.c_str(), round.mean_train_loss);
  };
  tandem::SystemClock clock;
  TANDEM_ASSIGN_OR_RETURN(
      const auto host,
      tandem::RunHost::Open(ConfigFor(model_path, directory), observer, clock));
  // A client that cannot go on stops the run; it could otherwise wait for ever.
  std::atomic<bool> stop_run = false;
  const auto client = [&](std::stop_token stop, const std::string& name,
                          const std::string& file) {
    const Status status =
        RunOneClient(name, file, model, host->handler(), stop);
    if (status.ok()) return;
    spdlog::error("{}: {}", name, tandem::ToString(status));
    stop_run = true;
  };
  // At the end of this function both are told to stop and waited for; by then
  // they have heard that the run is over.
  std::jthread client_a(client, "client-a", a);
  std::jthread client_b(client, "client-b", b);
  TANDEM_ASSIGN_OR_RETURN(const tandem::RunSummary summary,
                          host->WaitForEnd(stop_run));
  TANDEM_ASSIGN_OR_RETURN(const tandem::RunReport report,
                          tandem::ReadRunReport(summary.directory));
  std::printf("run %s: the tuned adapter is %s\n", report.state.c_str(),
              report.adapter_file.c_str());
  return tandem::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "usage: %s MODEL A.jsonl B.jsonl [RUN_DIR]\n",
                 argv[0]);
    return 2;
  }
  const Status status = RunFederation(argv[1], argv[2], argv[3],
                                      argc == 5 ? argv[4] : "runs/example");
  if (status.ok()) return 0;
  spdlog::error("{}", tandem::ToString(status));
  return 1;
}
