// Frozen linear layers that share one input, each with or without LoRA factors.
#ifndef TANDEM_MODEL_LORA_LINEAR_H_
#define TANDEM_MODEL_LORA_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace tandem {

// One frozen weight [out, in] and its factors: A [r, in] and B [out, r], or
// both undefined.
struct LoraProjection {
  at::Tensor weight, a, b;
};

// y_i = x W_i^T + scale (x A_i^T) B_i^T for every projection. x: [tokens, in];
// weights as FrozenProduct takes them; factors of another dtype than x are
// computed in x's, and their gradients come back in their own. Differentiable
// in x and the factors; never in W. The A_i are stacked, so that x A^T is one
// product.
std::vector<at::Tensor> LoraLinear(
    const at::Tensor& x, const std::vector<LoraProjection>& projections,
    double scale);

}  // namespace tandem

#endif  // TANDEM_MODEL_LORA_LINEAR_H_
