#include "distill/distiller.h"

#include <utility>

#include "model/aten.h"
#include "model/chunked_head_loss.h"

namespace tandem {
namespace {

Status CheckOptions(const TeacherTargets& targets,
                    const DistillerOptions& options) {
  if (targets.examples.empty()) {
    return InvalidArgument("no examples to distil on");
  }
  if (options.batch_size < 1) {
    return InvalidArgument("batch size is {}, expected at least 1",
                           options.batch_size);
  }
  if (!(options.teacher_weight >= 0 && options.teacher_weight <= 1)) {
    return InvalidArgument("teacher weight is {}, expected 0 to 1",
                           options.teacher_weight);
  }
  return OkStatus();
}

// Throws what the numeric code throws.
StatusOr<DistillationResult> RunSteps(
    const Decoder& student, const Adapter& initial,
    const TeacherTargets& targets, const DistillerOptions& options,
    const std::function<bool(int64_t, const StepResult&)>& on_step) {
  BatchSampler sampler(targets.examples, options.batch_size, options.seed);
  LoraTrainer trainer(student, initial, options.trainer);
  DistillationResult result;
  double loss_sum = 0;
  int64_t target_tokens = 0;
  for (int64_t step = 1; step <= options.steps; ++step) {
    const DistillationBatch batch = PackTargets(targets, sampler.NextIndices());
    const StepResult done = trainer.Step(
        {{.batch = &batch.batch,
          .loss = DistillationRows(batch, options.loss, options.teacher_weight,
                                   targets.temperature, options.jsd_beta)}});
    loss_sum += done.loss * static_cast<double>(done.target_tokens);
    target_tokens += done.target_tokens;
    result.tokens += done.tokens;
    if (on_step && !on_step(step, done)) {
      return Cancelled("distillation stopped after step {} of {}", step,
                       options.steps);
    }
  }
  result.adapter = trainer.CurrentAdapter();
  result.steps = options.steps;
  if (target_tokens > 0) {
    result.mean_loss = loss_sum / static_cast<double>(target_tokens);
  }
  return result;
}

}  // namespace

StatusOr<DistillationResult> Distill(
    const Decoder& student, const Adapter& initial,
    const TeacherTargets& targets, const DistillerOptions& options,
    const std::function<bool(int64_t, const StepResult&)>& on_step) {
  TANDEM_RETURN_IF_ERROR(CheckOptions(targets, options));
  return CatchExceptions("distillation", [&] {
    return RunSteps(student, initial, targets, options, on_step);
  });
}

RowsLoss DistillationRows(const DistillationBatch& batch, DistillationLoss loss,
                          double teacher_weight, double temperature,
                          double jsd_beta) {
  const RowsLoss text = CrossEntropyRows(batch.batch.targets);
  if (teacher_weight == 0) return text;
  return [=, targets = batch.targets](const at::Tensor& logits,
                                      int64_t first_row) {
    const at::Tensor teacher =
        TopKLoss(loss, logits, targets.Rows(first_row, logits.size(0)),
                 temperature, jsd_beta);
    if (teacher_weight == 1) return teacher;
    return teacher_weight * teacher +
           (1 - teacher_weight) * text(logits, first_row);
  };
}

}  // namespace tandem
