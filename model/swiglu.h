// The gated activation of llama's feed-forward block (Shazeer, 2020).
#ifndef TANDEM_MODEL_SWIGLU_H_
#define TANDEM_MODEL_SWIGLU_H_

#include <ATen/core/Tensor.h>

namespace tandem {

// silu(gate) * up, element by element; silu(x) = x sigmoid(x). Both of one
// shape. Differentiable in both; keeps the inputs for the backward pass, and
// nothing else.
at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace tandem

#endif  // TANDEM_MODEL_SWIGLU_H_
