// A whole LoRA training: steps with accumulated gradients, evaluation on
// held-out examples, early stopping, and checkpoints from which a killed run
// goes on.
#ifndef TANDEM_MODEL_TRAINING_RUN_H_
#define TANDEM_MODEL_TRAINING_RUN_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/status.h"
#include "model/adapter.h"
#include "model/batch_stream.h"
#include "model/decoder.h"
#include "model/evaluation.h"
#include "model/lora_trainer.h"
#include "model/training_checkpoint.h"

namespace tandem {

// Nats per target token.
double MeanLoss(const EvaluationResult& evaluation);

struct TrainingRunOptions {
  int64_t steps = 100;
  int64_t accumulation_steps = 1;  // micro-batches per optimiser step
  TrainerOptions trainer;
  int64_t evaluate_every = 0;  // steps; 0: no evaluation
  // Evaluations in a row without a lower loss that end the run; 0: none do.
  int64_t patience = 0;
  std::filesystem::path checkpoint_folder;  // empty: no checkpoints
  int64_t checkpoint_every = 100;           // steps; the last one has one too
  // What the result depends on, by option name. A checkpoint that was made with
  // other values is refused.
  std::map<std::string, std::string> fingerprint;
};

struct StepMetrics {
  int64_t step = 0;  // from 1
  StepResult result;
  double learning_rate = 0;
  double seconds = 0;  // of this step
  BatchStream::State batches;
  std::optional<EvaluationResult> evaluation = {};  // where it was due
};

struct TrainingObserver {
  // Before the first step; `step`: how many the checkpoint had done.
  std::function<void(int64_t step)> on_start = {};
  // After each. False stops the run, after a checkpoint where there is a folder
  // for it.
  std::function<bool(const StepMetrics&)> on_step = {};
};

struct TrainingResult {
  Adapter adapter;  // the best one of the evaluations, or the last
  TrainingProgress progress;
  bool stopped_early = false;  // by `patience`
};

// `validation` may be empty: then nothing is evaluated. FailedPrecondition: a
// checkpoint made with other options, the first of which is named;
// InvalidArgument: a damaged checkpoint, or what BatchStream::Next returns;
// Cancelled where the observer stopped it. Throws what LoraTrainer::Step does.
StatusOr<TrainingResult> RunTraining(
    const Decoder& model, const Adapter& initial, BatchStream& batches,
    const std::vector<TokenizedExample>& validation,
    const TrainingRunOptions& options, const Clock& clock,
    const TrainingObserver& observer = {});

}  // namespace tandem

#endif  // TANDEM_MODEL_TRAINING_RUN_H_
