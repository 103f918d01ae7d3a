// Rotary position embedding (Su et al., 2021), as Hugging Face lays heads out:
// element i of a head's first half turns with element i of its second half.
#ifndef TANDEM_MODEL_ROTARY_EMBEDDING_H_
#define TANDEM_MODEL_ROTARY_EMBEDDING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decoder_config.h"

namespace tandem {

// Angles of each token's position, fp32: [tokens, head_size / 2] each.
struct RotaryAngles {
  at::Tensor cosine, sine;
};

// positions[t] RotaryFrequencies(...)[i], in fp32 as transformers computes it.
RotaryAngles RotaryAnglesAt(const std::vector<int64_t>& positions,
                            int64_t head_size, double theta,
                            const RopeScaling& scaling = {});

// x: [tokens, heads * head_size], turned head by head. Differentiable in x.
at::Tensor Rotate(const at::Tensor& x, const RotaryAngles& angles);

}  // namespace tandem

#endif  // TANDEM_MODEL_ROTARY_EMBEDDING_H_
