// The gated activation of Gemma's feed-forward block (Shazeer, 2020).
#ifndef TANDEM_MODEL_GEGLU_H_
#define TANDEM_MODEL_GEGLU_H_

#include <ATen/core/Tensor.h>

namespace tandem {

// gelu(gate) * up, element by element, with gelu's approximation by tanh:
// gelu(x) = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2. Both of one
// shape. Differentiable in both; keeps the inputs for the backward pass, and
// nothing else.
at::Tensor GeGlu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace tandem

#endif  // TANDEM_MODEL_GEGLU_H_
