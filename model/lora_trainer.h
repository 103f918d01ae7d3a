// One optimiser step after another on a LoRA adapter: forward, chunked loss,
// backward, clipping, AdamW.
#ifndef TANDEM_MODEL_LORA_TRAINER_H_
#define TANDEM_MODEL_LORA_TRAINER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "model/adapter.h"
#include "model/chunked_head_loss.h"
#include "model/decoder.h"
#include "model/packed_batch.h"

namespace tandem {

// AdamW (Loshchilov and Hutter, 2019), decoupled weight decay, bias correction.
struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

// learning_rate * ScheduleFactor(step): linear warm-up over warmup_steps, then
// a cosine from 1 to final_ratio at total_steps.
struct ScheduleOptions {
  int64_t warmup_steps = 0;
  int64_t total_steps = 1;
  double final_ratio = 0.1;
};
double ScheduleFactor(const ScheduleOptions& options,
                      int64_t step);  // step counts from 0

struct TrainerOptions {
  AdamWOptions optimizer;
  ScheduleOptions schedule;
  double max_grad_norm_l2 = 1;  // 0: no clipping
  bool freeze_lora_a = false;   // FFA-LoRA (Sun et al., 2024): only B trains
};

// Part of a step's loss: `weight` times the mean of `loss` over the target rows
// of `batch`.
struct LossTerm {
  const PackedBatch* batch;
  RowsLoss loss;
  double weight = 1;
};

struct StepResult {
  double loss = 0;          // the weighted sum of the terms' means, nats
  double grad_norm_l2 = 0;  // before clipping
  int64_t tokens = 0;       // in all batches
  int64_t target_tokens = 0;
};

// Numeric code: throws on non-finite loss (std::runtime_error, naming the step)
// and what LibTorch throws.
class LoraTrainer {
 public:
  // REQUIRES: model outlives the trainer. The initial adapter's tensors are
  // copied.
  LoraTrainer(const Decoder& model, const Adapter& initial,
              const TrainerOptions& options);
  ~LoraTrainer();
  StepResult Step(const std::vector<LossTerm>& terms);
  // A copy, detached.
  Adapter CurrentAdapter() const;
  int64_t steps_done() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_LORA_TRAINER_H_
