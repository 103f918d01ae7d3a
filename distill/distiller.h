// Trains a student's adapter towards a teacher's stored targets.
#ifndef TANDEM_DISTILL_DISTILLER_H_
#define TANDEM_DISTILL_DISTILLER_H_

#include <cstdint>
#include <functional>

#include "common/status.h"
#include "distill/teacher_targets.h"
#include "model/lora_trainer.h"

namespace tandem {

struct DistillerOptions {
  int64_t steps = 24;
  int64_t batch_size = 4;
  DistillationLoss loss = DistillationLoss::kForwardKl;
  double jsd_beta = 0.5;
  // Share of the loss that comes from the teacher; the rest is cross entropy on
  // the text.
  double teacher_weight = 0.5;
  TrainerOptions trainer;
  uint64_t seed = 1;
};

struct DistillationResult {
  Adapter adapter;
  double mean_loss = 0;  // over all steps, nats per target token
  int64_t tokens = 0;
  int64_t steps = 0;
};

// `on_step(done, result)` may be empty; returning false stops early with
// Cancelled. InvalidArgument: no examples. Internal: what the numeric code
// threw.
StatusOr<DistillationResult> Distill(
    const Decoder& student, const Adapter& initial,
    const TeacherTargets& targets, const DistillerOptions& options,
    const std::function<bool(int64_t, const StepResult&)>& on_step = {});

// teacher_weight * TopKLoss + (1 - teacher_weight) * cross entropy for the rows
// of `batch`; the loss of every distillation step, on the server and on
// clients.
RowsLoss DistillationRows(const DistillationBatch& batch, DistillationLoss loss,
                          double teacher_weight, double temperature,
                          double jsd_beta);

}  // namespace tandem

#endif  // TANDEM_DISTILL_DISTILLER_H_
