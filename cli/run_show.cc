// tandem run show
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/progress_bar.h"
#include "cli/run_json.h"
#include "cli/run_progress.h"
#include "server/run_report.h"

namespace tandem::cli {
namespace {

struct RunShowFlags {
  std::string state;
  bool json = false;
};

constexpr double kMebibyte = 1024.0 * 1024.0;

std::string Process(const std::string& name, double seconds,
                    int64_t peak_rss_bytes) {
  return fmt::format("{}: {}, peak memory {:.0f} MiB", name,
                     FormatDuration(Seconds(seconds)),
                     static_cast<double>(peak_rss_bytes) / kMebibyte);
}

std::string ClientLine(const ClientReport& client) {
  return fmt::format(
      "{} of training, {} tokens, {:.1f} MiB down, {:.1f} MiB up",
      Process("client " + client.client_id, client.train_seconds,
              client.peak_rss_bytes),
      client.tokens_trained,
      static_cast<double>(client.bytes_downloaded) / kMebibyte,
      static_cast<double>(client.bytes_uploaded) / kMebibyte);
}

void PrintReport(const RunReport& report) {
  PrintLine(fmt::format("{} ({}): {}{}", report.name, report.directory.string(),
                        report.state,
                        report.reason.empty() ? "" : ", " + report.reason));
  for (const RoundReport& round : report.rounds) PrintLine(RoundLine(round));
  PrintLine(
      Process("server", report.server_seconds, report.server_peak_rss_bytes));
  for (const ClientReport& client : report.clients) {
    PrintLine(ClientLine(client));
  }
  PrintLine(PrivacySentence(report));
}

Status RunShowMain(const RunShowFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const RunReport report, ReadRunReport(flags.state));
  if (flags.json) {
    PrintJson(RunJson(report));
  } else {
    PrintReport(report);
  }
  return OkStatus();
}

}  // namespace

void AddRunShow(CLI::App& run, Chosen& chosen) {
  auto flags = std::make_shared<RunShowFlags>();
  CLI::App* command = AddCommand(
      run, "show",
      "One run: its rounds and their outcomes, clients, traffic, memory and "
      "privacy spent",
      "tandem run show --state runs/quickstart/full --json", chosen,
      [flags] { return RunShowMain(*flags); });
  command->add_option("--state", flags->state, "The run's state directory")
      ->required();
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
