#include "model/training_run.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace tandem {
namespace {

class TrainingRun {
 public:
  TrainingRun(const Decoder& model, const Adapter& initial,
              BatchStream& batches,
              const std::vector<TokenizedExample>& validation,
              const TrainingRunOptions& options, const Clock& clock,
              const TrainingObserver& observer)
      : model_(model),
        batches_(batches),
        validation_(validation),
        options_(options),
        clock_(clock),
        observer_(observer),
        trainer_(model, initial, options.trainer),
        best_{.options = initial.options} {}

  StatusOr<TrainingResult> Run() {
    TANDEM_RETURN_IF_ERROR(Resume());
    if (observer_.on_start) observer_.on_start(progress_.steps);
    while (progress_.steps < options_.steps && !LostPatience()) {
      TANDEM_ASSIGN_OR_RETURN(StepMetrics metrics, Step());
      metrics.evaluation = EvaluateIfDue();
      const bool goes_on = !observer_.on_step || observer_.on_step(metrics);
      TANDEM_RETURN_IF_ERROR(SaveIfDue(goes_on));
      if (!goes_on) {
        return Cancelled("training stopped after step {} of {}",
                         progress_.steps, options_.steps);
      }
    }
    return TrainingResult{
        best_.tensors.empty() ? trainer_.CurrentAdapter() : best_, progress_,
        LostPatience()};
  }

 private:
  Status Resume() {
    if (options_.checkpoint_folder.empty()) return OkStatus();
    TANDEM_ASSIGN_OR_RETURN(auto checkpoint,
                            LoadTrainingCheckpoint(options_.checkpoint_folder));
    if (!checkpoint) return OkStatus();
    return Annotate(Restore(*checkpoint), options_.checkpoint_folder.string());
  }

  Status Restore(TrainingCheckpoint& checkpoint) {
    TANDEM_RETURN_IF_ERROR(
        CheckFingerprint(checkpoint.fingerprint, options_.fingerprint));
    TANDEM_RETURN_IF_ERROR(trainer_.Restore(checkpoint.trainer));
    TANDEM_RETURN_IF_ERROR(CheckBest(checkpoint.best_adapter));
    TANDEM_RETURN_IF_ERROR(batches_.Restore(checkpoint.batches));
    progress_ = checkpoint.progress;
    best_.tensors = std::move(checkpoint.best_adapter);
    spdlog::info("going on after step {}", progress_.steps);
    return OkStatus();
  }

  Status CheckBest(const TensorMap& tensors) const {
    if (tensors.empty()) return OkStatus();
    return CheckAdapterTensors(model_.config(), best_.options, tensors);
  }

  bool LostPatience() const {
    return options_.patience > 0 &&
           progress_.evaluations_since_best >= options_.patience;
  }

  StatusOr<StepMetrics> Step() {
    const TimePoint start = clock_.Now();
    StepMetrics metrics;
    metrics.learning_rate =
        options_.trainer.optimizer.learning_rate *
        ScheduleFactor(options_.trainer.schedule, progress_.steps);
    std::vector<PackedBatch> batches;
    for (int64_t i = 0; i < options_.accumulation_steps; ++i) {
      TANDEM_ASSIGN_OR_RETURN(PackedBatch batch, batches_.Next());
      batches.push_back(std::move(batch));
    }
    metrics.result = trainer_.Step(AccumulatedTerms(batches));
    progress_.tokens += metrics.result.tokens;
    progress_.target_tokens += metrics.result.target_tokens;
    progress_.loss_sum += metrics.result.loss;
    metrics.step = ++progress_.steps;
    metrics.batches = batches_.state();
    metrics.seconds = ToSeconds(clock_.Now() - start);
    return metrics;
  }

  bool IsDue(int64_t every) const {
    return progress_.steps == options_.steps || progress_.steps % every == 0;
  }

  std::optional<EvaluationResult> EvaluateIfDue() {
    if (validation_.empty() || options_.evaluate_every < 1 ||
        !IsDue(options_.evaluate_every)) {
      return std::nullopt;
    }
    Adapter adapter = trainer_.CurrentAdapter();
    const EvaluationResult result = Evaluate(model_, &adapter, validation_);
    const double loss = MeanLoss(result);
    ++progress_.evaluations_since_best;
    if (!progress_.best_loss || loss < *progress_.best_loss) {
      progress_.best_loss = loss;
      progress_.best_step = progress_.steps;
      progress_.evaluations_since_best = 0;
      best_ = std::move(adapter);
    }
    return result;
  }

  Status SaveIfDue(bool goes_on) const {
    if (options_.checkpoint_folder.empty()) return OkStatus();
    if (goes_on && !LostPatience() && !IsDue(options_.checkpoint_every)) {
      return OkStatus();
    }
    TANDEM_RETURN_IF_ERROR(
        SaveTrainingCheckpoint({progress_, batches_.state(), trainer_.State(),
                                best_.tensors, options_.fingerprint},
                               options_.checkpoint_folder));
    spdlog::debug("checkpoint after step {}", progress_.steps);
    return OkStatus();
  }

  const Decoder& model_;
  BatchStream& batches_;
  const std::vector<TokenizedExample>& validation_;
  const TrainingRunOptions& options_;
  const Clock& clock_;
  const TrainingObserver& observer_;
  LoraTrainer trainer_;
  Adapter best_;  // without tensors before the first evaluation
  TrainingProgress progress_;
};

}  // namespace

double MeanLoss(const EvaluationResult& evaluation) {
  return evaluation.loss_nats / static_cast<double>(evaluation.target_tokens);
}

StatusOr<TrainingResult> RunTraining(
    const Decoder& model, const Adapter& initial, BatchStream& batches,
    const std::vector<TokenizedExample>& validation,
    const TrainingRunOptions& options, const Clock& clock,
    const TrainingObserver& observer) {
  return TrainingRun(model, initial, batches, validation, options, clock,
                     observer)
      .Run();
}

}  // namespace tandem
