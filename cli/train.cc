// tandem train
#include <iostream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/loaded_model.h"
#include "cli/lora_flags.h"
#include "cli/metrics_files.h"
#include "cli/profile_table.h"
#include "cli/stop_signal.h"
#include "cli/train_flags.h"
#include "common/peak_memory.h"
#include "model/examples.h"
#include "model/training_run.h"

namespace tandem::cli {
namespace {

StatusOr<Adapter> FirstAdapter(const LoadedModel& model,
                               const LoraFlags& flags) {
  if (model.adapter) return *model.adapter;
  return CreateAdapter(model.decoder, flags.lora, flags.seed);
}

StatusOr<BatchStream> OpenBatches(const LoadedModel& model,
                                  const TrainFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const ExampleStreamOptions options,
                          StreamOptionsOf(flags));
  TANDEM_ASSIGN_OR_RETURN(
      ExampleStream examples,
      ExampleStream::Open(flags.lora.data, model.tokenizer, options));
  return BatchStream(std::move(examples),
                     {flags.lora.batch_size, flags.batch_tokens});
}

StatusOr<std::vector<TokenizedExample>> LoadValidation(
    const LoadedModel& model, const TrainFlags& flags) {
  if (flags.validation.empty()) return std::vector<TokenizedExample>();
  return LoadTokenizedExamples(model.tokenizer, flags.validation,
                               flags.max_validation_examples,
                               flags.lora.max_sequence_tokens);
}

// A training as its user sees it: progress on standard error, files of metrics,
// SIGINT as a request for a checkpoint and an end.
class ShownTraining {
 public:
  ShownTraining(const TrainFlags& flags, const Clock& clock)
      : flags_(flags), clock_(clock) {
    if (!flags.checkpoint_dir.empty()) stop_.emplace();
  }

  TrainingObserver Observer() {
    return {[this](int64_t step) { Start(step); },
            [this](const StepMetrics& metrics) { return Show(metrics); }};
  }

  // What a run that the observer stopped returns.
  Status WhyStopped(const Status& stopped) const {
    if (!status_.ok()) return status_;
    if (stopped.code() != StatusCode::kCancelled) return stopped;
    return Cancelled("{}; the same command goes on from there",
                     ToString(stopped));
  }

  std::optional<MeasuredProfile> EndProfile() {
    if (!profile_) return std::nullopt;
    const ProfileReport report = profile_->Report();
    profile_.reset();
    return WithPeaks(report);
  }

  // Ends the progress line.
  void EndProgress() { bar_.reset(); }
  int64_t first_step() const { return first_step_; }
  double TokensPerSecond() const {
    return seconds_ > 0 ? static_cast<double>(tokens_) / seconds_ : 0;
  }

 private:
  void Start(int64_t step) {
    first_step_ = step;
    bar_ = std::make_unique<ProgressBar>("Training", "steps", clock_, std::cerr,
                                         StandardErrorIsTerminal());
    bar_->StartAt(step);
    if (!flags_.metrics_dir.empty()) {
      StatusOr<MetricsFiles> files =
          MetricsFiles::Open(flags_.metrics_dir, step, clock_);
      status_ = files.status();
      if (files.ok()) metrics_.emplace(*std::move(files));
    }
    if (flags_.profile) profile_ = std::make_unique<OperationProfile>();
  }

  bool Show(const StepMetrics& metrics) {
    tokens_ += metrics.result.tokens;
    seconds_ += metrics.seconds;
    if (metrics.evaluation) validation_loss_ = MeanLoss(*metrics.evaluation);
    if (status_.ok() && metrics_) status_ = metrics_->Write(metrics);
    bar_->Update(metrics.step, flags_.lora.steps, Note(metrics));
    return status_.ok() && !(stop_ && stop_->flag());
  }

  std::string Note(const StepMetrics& metrics) const {
    // Nothing is ever padded; the figure behind says what rectangles would be.
    std::string note =
        fmt::format("loss {:.3f}, {:.0f} tokens/s, padding 0% ({:.0f}% saved)",
                    metrics.result.loss, TokensPerSecond(),
                    100 * metrics.batches.packing.SavedPadding());
    if (validation_loss_) {
      note += fmt::format(", validation {:.3f}", *validation_loss_);
    }
    return note;
  }

  const TrainFlags& flags_;
  const Clock& clock_;
  std::optional<StopRequest> stop_;
  std::unique_ptr<ProgressBar> bar_;
  std::optional<MetricsFiles> metrics_;
  std::unique_ptr<OperationProfile> profile_;
  Status status_;  // of the files
  int64_t first_step_ = 0;
  int64_t tokens_ = 0;  // of this process
  double seconds_ = 0;
  std::optional<double> validation_loss_;
};

double CutShare(const ExampleCounts& counts) {
  const int64_t all = counts.tokens + counts.cut_tokens;
  return all > 0
             ? static_cast<double>(counts.cut_tokens) / static_cast<double>(all)
             : 0;
}

Json DetailsOf(const TrainingResult& result, const ShownTraining& shown,
               const BatchStream::State& batches, const TrainFlags& flags) {
  const ExampleCounts& counts = batches.examples.counts;
  Json details = {{"target_tokens", result.progress.target_tokens},
                  {"tokens_per_second", shown.TokensPerSecond()},
                  {"resumed_from_step", shown.first_step()},
                  {"epoch", batches.examples.position.epoch},
                  {"examples", batches.packing.examples},
                  {"padding_share", 0},
                  {"saved_padding_share", batches.packing.SavedPadding()},
                  {"cut_token_share", CutShare(counts)},
                  {"malformed_lines", counts.malformed},
                  {"lines_without_target", counts.without_target},
                  {"peak_rss_bytes", PeakRssBytes()}};
  if (flags.batch_tokens > 0) {
    details["batch_fill_share"] = batches.packing.Fill(flags.batch_tokens);
  }
  if (result.progress.best_loss) {
    details["validation"] = {{"best_loss", *result.progress.best_loss},
                             {"best_step", result.progress.best_step},
                             {"stopped_early", result.stopped_early}};
  }
  return details;
}

void PrintDetails(const TrainingResult& result, const ShownTraining& shown,
                  const BatchStream::State& batches, const TrainFlags& flags) {
  const ExampleCounts& counts = batches.examples.counts;
  std::string line = fmt::format(
      "{:.0f} tokens/s; padding 0% ({:.1f}% saved by packing)",
      shown.TokensPerSecond(), 100 * batches.packing.SavedPadding());
  if (flags.batch_tokens > 0) {
    line += fmt::format(", batches {:.1f}% full",
                        100 * batches.packing.Fill(flags.batch_tokens));
  }
  PrintLine(line + fmt::format("; {:.1f}% of tokens cut off; {} malformed "
                               "lines, {} without a token to learn",
                               100 * CutShare(counts), counts.malformed,
                               counts.without_target));
  if (result.progress.best_loss) {
    PrintLine(fmt::format("best validation loss {:.4f} after step {}{}",
                          *result.progress.best_loss, result.progress.best_step,
                          result.stopped_early ? "; stopped early" : ""));
  }
}

Status TrainMain(const TrainFlags& flags) {
  const bool has_checkpoints = !flags.checkpoint_dir.empty();
  TANDEM_ASSIGN_OR_RETURN(const LoadedModel model,
                          Load(flags.model, has_checkpoints));
  TANDEM_RETURN_IF_ERROR(
      CheckBeforeTraining(flags.lora, model.decoder.config()));
  TANDEM_ASSIGN_OR_RETURN(BatchStream batches, OpenBatches(model, flags));
  TANDEM_ASSIGN_OR_RETURN(const auto validation, LoadValidation(model, flags));
  TANDEM_ASSIGN_OR_RETURN(const Adapter initial,
                          FirstAdapter(model, flags.lora));
  TrainingRunOptions options = RunOptionsOf(flags);
  if (has_checkpoints) {
    TANDEM_ASSIGN_OR_RETURN(options.fingerprint, FingerprintOf(flags, model));
  }
  const SystemClock clock;
  ShownTraining shown(flags, clock);
  const StatusOr<TrainingResult> result =
      RunTraining(model.decoder, initial, batches, validation, options, clock,
                  shown.Observer());
  shown.EndProgress();
  if (!result.ok()) return shown.WhyStopped(result.status());

  const TrainingProgress& progress = result->progress;
  const double steps = static_cast<double>(progress.steps);
  TrainingSummary summary{progress.loss_sum / steps, progress.tokens,
                          progress.steps,
                          DetailsOf(*result, shown, batches.state(), flags)};
  const std::optional<MeasuredProfile> profile = shown.EndProfile();
  if (profile) summary.details["profile"] = ProfileJson(*profile);
  TANDEM_RETURN_IF_ERROR(
      SaveAndPrint(result->adapter, flags.model.model, summary, flags.lora));
  if (flags.lora.json) return OkStatus();
  PrintDetails(*result, shown, batches.state(), flags);
  if (profile) PrintProfile(*profile);
  return OkStatus();
}

}  // namespace

void AddTrain(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = AddCommand(
      app, "train", "Fine-tune a model with LoRA; writes a PEFT folder",
      "tandem train --model data/models/SmolLM2-135M-Instruct.Q4_1.gguf --data "
      "data/quickstart/jargon.train.jsonl --steps 50 --out runs/adapter",
      chosen, [flags] { return TrainMain(*flags); });
  AddTrainFlags(*command, *flags);
}

}  // namespace tandem::cli
