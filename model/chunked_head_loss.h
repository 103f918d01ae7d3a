// The last linear layer and a loss, together, in chunks of rows, so that [rows,
// vocabulary] never exists in training.
//
// The trick of Liger's fused linear losses: the forward pass computes each
// chunk's logits, its loss and the gradient of its hidden states at once, keeps
// only those gradients, and the backward pass scales them. The head itself is
// frozen. A chunk has as many rows as make a fast matrix product; the loss sees
// a few of them at a time, and their gradient takes the place of their logits.
#ifndef TANDEM_MODEL_CHUNKED_HEAD_LOSS_H_
#define TANDEM_MODEL_CHUNKED_HEAD_LOSS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "model/frozen_weight.h"

namespace tandem {

// The loss of some consecutive rows, summed over them. logits: [rows,
// vocabulary] fp32, row 0 being row `first_row` of the whole. Differentiable in
// logits; returns a scalar.
using RowsLoss =
    std::function<at::Tensor(const at::Tensor& logits, int64_t first_row)>;

// sum over chunks of loss(hidden_chunk head^T): a scalar with a gradient in
// hidden. hidden: [rows, hidden_size]; head: [vocabulary, hidden_size], frozen.
at::Tensor ChunkedHeadLoss(const at::Tensor& hidden, const FrozenWeight& head,
                           const RowsLoss& loss, int64_t chunk_rows = 256);

// Cross entropy summed over rows. logits: [rows, vocabulary]; targets: [rows]
// int64. Differentiable once.
at::Tensor CrossEntropySum(const at::Tensor& logits, const at::Tensor& targets);

// CrossEntropySum of the rows of `targets` [all rows], as ChunkedHeadLoss wants
// it.
RowsLoss CrossEntropyRows(at::Tensor targets);

}  // namespace tandem

#endif  // TANDEM_MODEL_CHUNKED_HEAD_LOSS_H_
