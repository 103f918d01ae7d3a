#include "client/local_trainer.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "common/random.h"
#include "distill/distiller.h"
#include "distill/options_from_config.h"
#include "model/aten.h"
#include "model/chunked_head_loss.h"
#include "model/lora_trainer.h"
#include "model/packed_batch.h"

namespace tandem {
namespace {

Status CheckTask(const LocalTask& task) {
  TANDEM_RETURN_IF_ERROR(CheckConfigRanges(task.training, "training"));
  TANDEM_RETURN_IF_ERROR(CheckFitsContext("training.max_sequence_tokens",
                                          task.training.max_sequence_tokens(),
                                          task.model->config().context_length));
  const double weight = task.training.distillation_weight();
  if (weight < 1 && task.examples->empty()) {
    return InvalidArgument("there are no private examples to train on");
  }
  if (weight > 0 && (!task.targets || task.targets->examples.empty())) {
    return InvalidArgument(
        "training.distillation_weight is {}, but the task has no teacher "
        "targets",
        weight);
  }
  return OkStatus();
}

// The batches of one run of training and the loss terms over them.
class Batches {
 public:
  explicit Batches(const LocalTask& task)
      : targets_(task.targets), weight_(task.training.distillation_weight()) {
    const int64_t size = task.training.batch_size();
    if (weight_ < 1) {
      private_.emplace(*task.examples, size, DeriveSeed(task.seed, "private"));
    }
    if (weight_ > 0) {
      auxiliary_.emplace(task.targets->examples, size,
                         DeriveSeed(task.seed, "auxiliary"));
    }
  }

  // Valid until the next call.
  const std::vector<LossTerm>& Next() {
    terms_.clear();
    if (private_) {
      private_batch_ = private_->Next();
      terms_.push_back({&private_batch_,
                        CrossEntropyRows(private_batch_.targets), 1 - weight_});
    }
    if (auxiliary_) {
      auxiliary_batch_ = PackTargets(*targets_, auxiliary_->NextIndices());
      terms_.push_back(
          {&auxiliary_batch_.batch,
           DistillationRows(auxiliary_batch_, DistillationLoss::kForwardKl,
                            /*teacher_weight=*/1, targets_->temperature,
                            /*jsd_beta=*/0.5),
           weight_});
    }
    return terms_;
  }

 private:
  const TeacherTargets* targets_;
  const double weight_;
  std::optional<BatchSampler> private_, auxiliary_;
  PackedBatch private_batch_;
  DistillationBatch auxiliary_batch_;
  std::vector<LossTerm> terms_;
};

TensorMap Difference(const TensorMap& local, const TensorMap& global) {
  TensorMap delta;
  for (const auto& [name, tensor] : local) {
    delta[name] = tensor.sub(global.at(name));
  }
  return delta;
}

// Where nothing private is trained on, the auxiliary examples count.
int64_t DistinctExamples(const LocalTask& task) {
  const auto& trained_on = task.training.distillation_weight() < 1
                               ? *task.examples
                               : task.targets->examples;
  return std::min<int64_t>(
      static_cast<int64_t>(trained_on.size()),
      int64_t{task.training.steps()} * task.training.batch_size());
}

StatusOr<LocalUpdate> Train(const LocalTask& task,
                            const OnProgress& on_progress) {
  const int64_t steps = task.training.steps();
  TANDEM_ASSIGN_OR_RETURN(
      TrainerOptions options,
      TrainerOptionsFrom(task.training.optimizer(), steps, task.freeze_lora_a));
  options.dropout_seed = task.seed;
  LoraTrainer trainer(*task.model, *task.global, options);
  Batches batches(task);
  LocalUpdate update;
  double loss_sum = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const StepResult result = trainer.Step(batches.Next());
    loss_sum += result.loss;
    update.trained_tokens += result.tokens;
    if (!on_progress) continue;
    TANDEM_RETURN_IF_ERROR(
        on_progress({step + 1, steps, result.loss, update.trained_tokens}));
  }
  update.delta =
      Difference(trainer.CurrentAdapter().tensors, task.global->tensors);
  update.mean_loss = steps > 0 ? loss_sum / static_cast<double>(steps) : 0;
  update.examples = DistinctExamples(task);
  return update;
}

// Carries a status out through Evaluate, which knows exceptions only.
struct EndedEarly : std::runtime_error {
  explicit EndedEarly(Status why)
      : std::runtime_error("ended early"), status(std::move(why)) {}
  Status status;
};

}  // namespace

StatusOr<LocalUpdate> TrainLocally(const LocalTask& task,
                                   const OnProgress& on_progress) {
  TANDEM_RETURN_IF_ERROR(CheckTask(task));
  return CatchExceptions("local training",
                         [&] { return Train(task, on_progress); });
}

StatusOr<EvaluationResult> EvaluateLocally(
    const Decoder& model, const Adapter& adapter,
    const std::vector<TokenizedExample>& examples,
    const OnProgress& on_progress) {
  const auto on_examples = [&](int64_t done, int64_t total) {
    if (!on_progress) return;
    Status status = on_progress({done, total, 0, 0});
    if (!status.ok()) throw EndedEarly(std::move(status));
  };
  return CatchExceptions(
      "local evaluation", [&]() -> StatusOr<EvaluationResult> {
        try {
          return Evaluate(model, &adapter, examples, on_examples);
        } catch (const EndedEarly& early) {
          return early.status;
        }
      });
}

}  // namespace tandem
