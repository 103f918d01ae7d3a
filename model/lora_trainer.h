// One optimiser step after another on a LoRA adapter: forward, chunked loss,
// backward, clipping, AdamW.
#ifndef TANDEM_MODEL_LORA_TRAINER_H_
#define TANDEM_MODEL_LORA_TRAINER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "common/status.h"
#include "model/adamw.h"
#include "model/adapter.h"
#include "model/adapter_gradients.h"
#include "model/decoder.h"
#include "model/learning_rate.h"
#include "model/tensor_map.h"

namespace tandem {

struct TrainerOptions {
  AdamWOptions optimizer;
  ScheduleOptions schedule;
  double max_grad_norm_l2 = 1;  // 0: no clipping
  bool freeze_lora_a = false;   // FFA-LoRA (Sun et al., 2024): A stays
  // LoRA+ (Hayou et al., 2024): what is not A learns so many times faster.
  double lora_plus_ratio = 1;
  uint64_t dropout_seed = 1;  // of the adapter's dropout, with the step
  // Activations are recomputed in the backward pass (model/recompute.h): the
  // same bits from far less memory, for a third more time.
  bool gradient_checkpointing = false;
};

struct StepResult {
  double loss = 0;          // the weighted sum of the terms' means, nats
  double grad_norm_l2 = 0;  // before clipping
  int64_t tokens = 0;       // in all batches
  int64_t target_tokens = 0;
};

// Numeric code: throws on a non-finite loss or gradient (std::runtime_error,
// naming the step; the adapter is then as before it), std::invalid_argument
// for a term without target rows, and what LibTorch throws. Equal input gives
// equal bits where the number of threads is the same.
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

  // All that later steps depend on: the adapter's tensors under their names,
  // "optimizer.first_moment" and "optimizer.second_moment" [trained elements]
  // fp32, and "optimizer.steps" [1] int64. A trainer of the same model and
  // options goes on from it with the same bits.
  TensorMap State() const;
  // InvalidArgument, with the trainer as it was, where `state` is not one of
  // such a trainer; the message names the first tensor that does not fit.
  Status Restore(const TensorMap& state);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_LORA_TRAINER_H_
