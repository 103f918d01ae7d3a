// tandem run list
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/run_json.h"
#include "server/run_report.h"

namespace tandem::cli {
namespace {

struct RunListFlags {
  std::string state;
  bool json = false;
};

Status RunListMain(const RunListFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<RunReport> reports,
                          ListRunReports(flags.state));
  Json runs = Json::array();
  for (const RunReport& report : reports) {
    runs.push_back(RunSummaryJson(report));
  }
  if (flags.json) {
    PrintJson(runs);
    return OkStatus();
  }
  PrintLine(fmt::format("{:<20} {:<16} {:>8} {:>8}  {}", "NAME", "STATE",
                        "ROUNDS", "CLIENTS", "DIRECTORY"));
  for (const Json& run : runs) {
    PrintLine(fmt::format(
        "{:<20} {:<16} {:>8} {:>8}  {}", run["name"].get<std::string>(),
        run["state"].get<std::string>(),
        fmt::format("{}/{}", run["rounds_committed"].get<int64_t>(),
                    run["rounds_planned"].get<int64_t>()),
        run["clients"].get<int64_t>(), run["directory"].get<std::string>()));
  }
  return OkStatus();
}

}  // namespace

void AddRunList(CLI::App& run, Chosen& chosen) {
  auto flags = std::make_shared<RunListFlags>();
  CLI::App* command =
      AddCommand(run, "list", "The runs in a folder, one line each",
                 "tandem run list --state runs", chosen,
                 [flags] { return RunListMain(*flags); });
  command
      ->add_option("--state", flags->state,
                   "A run's state directory, or a folder of such")
      ->required();
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
