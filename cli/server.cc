// tandem server
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/run_progress.h"
#include "cli/stop_signal.h"
#include "common/config_reader.h"
#include "common/log.h"
#include "proto/config.pb.h"
#include "server/server_runner.h"

namespace tandem::cli {
namespace {

struct ServerFlags {
  std::string config;
  std::vector<std::string> overrides;
  bool json = false;
};

Status ServerMain(const ServerFlags& flags) {
  proto::ServerConfig config;
  TANDEM_RETURN_IF_ERROR(ReadConfig(flags.config, flags.overrides, &config));
  TANDEM_RETURN_IF_ERROR(
      InitLogging(config.log().level(), config.log().file()));
  SetThreads(config.model().threads());
  StopRequest stop;
  RunProgress progress(flags.json);
  TANDEM_ASSIGN_OR_RETURN(const RunSummary summary,
                          RunServer(config, progress.Observer(), stop.flag()));
  return ShowEnd(summary, flags.json);
}

}  // namespace

void AddServer(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<ServerFlags>();
  CLI::App* command = AddCommand(
      app, "server",
      "Serve a run until it ends; started again after a stop or a crash, it "
      "goes on",
      "tandem server --config configs/quickstart/server.yaml --set "
      "rounds.count=5",
      chosen, [flags] { return ServerMain(*flags); });
  command->add_option("--config", flags->config, "YAML, see proto/config.proto")
      ->required();
  AddOverrides(*command, flags->overrides);
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
