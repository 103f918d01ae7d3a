// The loss of an adapter on some batches, and its gradient.
#ifndef TANDEM_MODEL_ADAPTER_GRADIENTS_H_
#define TANDEM_MODEL_ADAPTER_GRADIENTS_H_

#include <cstdint>
#include <vector>

#include "model/adapter.h"
#include "model/chunked_head_loss.h"
#include "model/decoder.h"
#include "model/packed_batch.h"

namespace tandem {

// Part of a step's loss: `weight` times the mean of `loss` over the target rows
// of `batch`.
struct LossTerm {
  const PackedBatch* batch;
  RowsLoss loss;
  double weight = 1;
};

struct AdapterGradient {
  double loss = 0;     // the weighted sum of the terms' means, nats
  TensorMap tensors;   // by the adapter's names, fp32
  int64_t tokens = 0;  // in all batches
  int64_t target_tokens = 0;
};

// d loss / d tensor for every tensor of the adapter, or for all but the A
// factors where `freeze_lora_a`. With the adapter's dropout_seed each term
// drops in its own way, the same each time. Terms run one after another, so
// that only one term's activations are alive. Throws std::invalid_argument for
// a term without target rows, and what LibTorch throws.
AdapterGradient ComputeAdapterGradient(const Decoder& model,
                                       const Adapter& adapter,
                                       const std::vector<LossTerm>& terms,
                                       bool freeze_lora_a = false);

// FFA-LoRA's frozen half: names that end in ".lora_A.weight".
bool IsLoraA(const std::string& name);

}  // namespace tandem

#endif  // TANDEM_MODEL_ADAPTER_GRADIENTS_H_
