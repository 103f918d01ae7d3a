// Frozen linear layers that share one input, each with or without an adapter.
#ifndef TANDEM_MODEL_LORA_LINEAR_H_
#define TANDEM_MODEL_LORA_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "model/frozen_weight.h"

namespace tandem {

// One frozen weight [out, in] and its factors: A [r, in] and B [out, r], or
// both undefined. DoRA adds the magnitudes [out] and the squared norms of the
// weight's rows (RowSquares).
struct LoraProjection {
  FrozenWeight weight;
  at::Tensor a, b;
  double scale = 1;
  at::Tensor magnitude = {}, row_squares = {};
};

// Of the adapters' input: each element is zero with this probability, else
// divided by what remains. Equal seeds drop the same; the projections that
// share an input share the mask.
struct LoraDropout {
  double probability = 0;
  uint64_t seed = 0;
};

// What projections read: x [tokens, in]. Where there is a recipe, the backward
// pass makes x again, to the bit, of tensors that are kept anyway, and x is
// not.
struct LinearInput {
  at::Tensor x;
  std::vector<at::Tensor> kept = {};
  std::function<at::Tensor(const std::vector<at::Tensor>& kept)> recipe =
      nullptr;

  // NOLINTNEXTLINE(google-explicit-constructor)
  LinearInput(at::Tensor input) : x(std::move(input)) {}
  LinearInput(at::Tensor input, std::vector<at::Tensor> of,
              std::function<at::Tensor(const std::vector<at::Tensor>&)> make)
      : x(std::move(input)), kept(std::move(of)), recipe(std::move(make)) {}
};

// y_i = x W_i^T + scale_i (d A_i^T) B_i^T for every projection, with d = x or
// what dropout leaves of it. Weights as FrozenProduct takes
// them; factors of another dtype than x are computed in x's, and their
// gradients come back in their own. Differentiable in x, the factors and the
// magnitudes; never in W. The A_i are stacked, so that x A^T is one product.
//
// With magnitudes m (all adapted projections have them, or none):
//   y = x W^T - d W^T + m / n (d W^T + scale (d A^T) B^T),
// n the row norms of W + scale B A, through which no gradient flows (section
// 4.3 of the paper).
std::vector<at::Tensor> LoraLinear(
    const LinearInput& input, const std::vector<LoraProjection>& projections,
    const LoraDropout& dropout = {});

// m / n of a projection with a magnitude: [out] of the magnitude's dtype.
at::Tensor DoraGain(const LoraProjection& projection);

}  // namespace tandem

#endif  // TANDEM_MODEL_LORA_LINEAR_H_
