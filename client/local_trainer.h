// What a client does for a task, apart from all communication: trains the
// global adapter on its own examples, or evaluates it on them.
#ifndef TANDEM_CLIENT_LOCAL_TRAINER_H_
#define TANDEM_CLIENT_LOCAL_TRAINER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "common/status.h"
#include "distill/teacher_targets.h"
#include "model/adapter.h"
#include "model/decoder.h"
#include "model/evaluation.h"
#include "model/examples.h"
#include "model/tensor_map.h"
#include "proto/config.pb.h"

namespace tandem {

// Pointers are borrowed for the call.
struct LocalTask {
  const Decoder* model = nullptr;
  const Adapter* global = nullptr;
  // Private; each has a target.
  const std::vector<TokenizedExample>* examples = nullptr;
  // On auxiliary examples; may be null where distillation_weight is 0.
  const TeacherTargets* targets = nullptr;
  proto::TrainingConfig training;
  bool freeze_lora_a = false;
  uint64_t seed = 1;
};

struct LocalUpdate {
  TensorMap delta;             // trained adapter minus global adapter, fp32
  double mean_loss = 0;        // of the weighted loss over all steps, nats
  int64_t trained_tokens = 0;  // in all batches, auxiliary ones included
  // What the update stands for: the different private examples that it saw, at
  // most steps times batch size and at most all there are. (Auxiliary ones,
  // where distillation_weight is 1.)
  int64_t examples = 0;
};

struct Progress {
  int64_t done = 0;  // steps of training, examples of evaluation
  int64_t total = 0;
  double loss = 0;             // of the last step; 0 in evaluation
  int64_t trained_tokens = 0;  // so far
};
// Called after every step; anything but OK ends the work with that status.
using OnProgress = std::function<Status(const Progress&)>;

// training.steps optimiser steps from `global` on the loss
//   (1 - w) CE(private batch) + w KL(teacher || student)(auxiliary batch),
// w = training.distillation_weight, each mean over target tokens, nats.
// Deterministic in its input. InvalidArgument: a config out of range or
// sequences longer than the model's context, no examples, targets missing.
// Internal: what the numeric code threw.
StatusOr<LocalUpdate> TrainLocally(const LocalTask& task,
                                   const OnProgress& on_progress = {});

// model/evaluation.h with progress and an early end. Internal: what the numeric
// code threw.
StatusOr<EvaluationResult> EvaluateLocally(
    const Decoder& model, const Adapter& adapter,
    const std::vector<TokenizedExample>& examples,
    const OnProgress& on_progress = {});

}  // namespace tandem

#endif  // TANDEM_CLIENT_LOCAL_TRAINER_H_
