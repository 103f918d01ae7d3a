#include "cli/run_progress.h"

#include <iostream>
#include <utility>

#include "cli/command.h"
#include "cli/run_json.h"
#include "server/round_state.h"

namespace tandem::cli {
namespace {

std::unique_ptr<ProgressBar> NewBar(const std::string& phase) {
  static const SystemClock clock;
  return std::make_unique<ProgressBar>(phase, "done", clock, std::cerr,
                                       StandardErrorIsTerminal());
}

std::string EndLine(const RunSummary& summary) {
  const std::string where = summary.directory.string();
  if (summary.state == RunState::kRunning) {
    return fmt::format("run {} stopped; the same command goes on with it",
                       where);
  }
  return fmt::format("run {}: {}{}", where, NameOf(summary.state),
                     summary.reason.empty() ? "" : ", " + summary.reason);
}

Status ShowEndAsJson(const RunSummary& summary) {
  TANDEM_ASSIGN_OR_RETURN(const RunReport report,
                          ReadRunReport(summary.directory));
  PrintJson(RunJson(report));
  return OkStatus();
}

}  // namespace

std::string RoundLine(const RoundReport& round) {
  std::string line =
      fmt::format("round {}: {} in {}", round.number, round.state,
                  FormatDuration(Seconds(round.seconds)));
  if (!round.reason.empty()) line += " (" + round.reason + ")";
  if (round.mean_train_loss > 0) {
    line += fmt::format(", train loss {:.3f}", round.mean_train_loss);
  }
  for (const auto& [outcome, count] : round.outcomes) {
    line += fmt::format(", {} {}", outcome, count);
  }
  for (const EvaluationReport& evaluation : round.evaluations) {
    line += fmt::format(", {}/{} {:.4f} bits/byte", evaluation.source,
                        evaluation.name, evaluation.result.BitsPerByte());
  }
  return line;
}

RunObserver RunProgress::Observer() {
  RunObserver observer;
  observer.on_listening = [this](const std::string& address) {
    address_out_ << "listening on " << address << std::endl;
  };
  observer.on_phase = [this](const std::string& phase, int64_t done,
                             int64_t total) { ShowPhase(phase, done, total); };
  observer.on_round_ended = [this](const RoundReport& round) {
    ShowRound(round);
  };
  return observer;
}

void RunProgress::ShowPhase(const std::string& phase, int64_t done,
                            int64_t total) {
  if (!bar_ || phase != phase_) {
    bar_.reset();  // ends its line first
    bar_ = NewBar(phase);
    phase_ = phase;
  }
  bar_->Update(done, total);
}

void RunProgress::ShowRound(const RoundReport& round) {
  bar_.reset();
  std::cerr << RoundLine(round) << std::endl;
}

Status ShowEnd(const RunSummary& summary, bool json) {
  if (json) TANDEM_RETURN_IF_ERROR(ShowEndAsJson(summary));
  if (summary.state == RunState::kFailed) {
    return Aborted("run {} failed: {}", summary.directory.string(),
                   summary.reason);
  }
  if (!json) PrintLine(EndLine(summary));
  return OkStatus();
}

}  // namespace tandem::cli
