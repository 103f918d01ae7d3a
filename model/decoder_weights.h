// The weights of a decoder, checked, by role: matrices in one storage, vectors
// in fp32.
#ifndef TANDEM_MODEL_DECODER_WEIGHTS_H_
#define TANDEM_MODEL_DECODER_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/dora.h"
#include "model/frozen_weight.h"
#include "model/lora_linear.h"

namespace tandem {

// A linear layer and the names of its tensors in an adapter.
struct AdaptableLinear {
  FrozenWeight weight;  // [out, in]
  std::string module, lora_a_name, lora_b_name, magnitude_name;
  at::Tensor bias = {};  // [out] fp32; undefined: none
  std::shared_ptr<RowSquaresCache> row_squares = {};
};

// The layer's weight with the tensors that `adapter` (may be null) has for it.
LoraProjection WithFactors(const AdaptableLinear& linear,
                           const Adapter* adapter);

// Norms as Architecture names them, their offset added; undefined: the
// architecture has none.
struct LayerWeights {
  AdaptableLinear q, k, v, o, gate, up, down;
  at::Tensor attention_norm, attention_output_norm;        // [hidden_size]
  at::Tensor feed_forward_norm, feed_forward_output_norm;  // [hidden_size]
  at::Tensor query_norm, key_norm;                         // [head_size]
};

struct DecoderWeights {
  FrozenWeight embedding;  // [vocabulary_size, hidden_size]
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  // [hidden_size]
  FrozenWeight head;      // [vocabulary_size, hidden_size]
};

// Weights that are stored so already are shared. InvalidArgument: what
// CheckDecoderConfig refuses, a missing or misshapen tensor.
StatusOr<DecoderWeights> CollectWeights(const Checkpoint& checkpoint,
                                        const WeightStorage& storage);

}  // namespace tandem

#endif  // TANDEM_MODEL_DECODER_WEIGHTS_H_
