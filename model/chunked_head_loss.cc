#include "model/chunked_head_loss.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "model/aten.h"
#include "model/frozen_product.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The loss of one chunk; its gradient of hidden goes into `grad` where that is
// defined.
at::Tensor ChunkLoss(const at::Tensor& hidden, const FrozenWeight& head,
                     const RowsLoss& loss, int64_t first_row, at::Tensor grad) {
  at::Tensor logits = TimesTransposed(hidden, head);
  if (!grad.defined()) {
    const at::NoGradGuard no_grad;
    return loss(logits, first_row);
  }
  const at::AutoGradMode enable(true);
  logits.requires_grad_();
  const at::Tensor value = loss(logits, first_row);
  if (value.requires_grad()) {
    const variable_list grads = torch::autograd::grad({value}, {logits});
    AddProduct(grads[0], head, grad);
  }  // else the loss does not look at these rows
  return value.detach();
}

class ChunkedHeadLossFunction
    : public torch::autograd::Function<ChunkedHeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden,
                            const FrozenWeight& head, const RowsLoss& loss,
                            int64_t chunk_rows, bool wants_gradient) {
    const at::Tensor x = hidden.detach();
    at::Tensor gradient = wants_gradient ? at::zeros_like(x) : at::Tensor();
    at::Tensor total;
    for (int64_t from = 0; from < x.size(0); from += chunk_rows) {
      const int64_t rows = std::min(chunk_rows, x.size(0) - from);
      const at::Tensor value = ChunkLoss(
          x.narrow(0, from, rows), head, loss, from,
          wants_gradient ? gradient.narrow(0, from, rows) : at::Tensor());
      total = total.defined() ? total + value : value;
    }
    ctx->save_for_backward({gradient});
    return total.defined() ? total : at::zeros({}, at::kFloat);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor gradient = ctx->get_saved_variables()[0];
    return {gradient * grads[0].to(gradient.scalar_type()), at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// The gradient, softmax - one-hot, is made in place of the log-probabilities:
// two tensors of the logits' size are there at a time, where LibTorch's
// composition has four.
class CrossEntropyFunction
    : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& logits,
                            const at::Tensor& targets) {
    const at::Tensor log_probabilities = at::log_softmax(logits, -1);
    ctx->save_for_backward({log_probabilities, targets});
    return at::nll_loss(log_probabilities, targets, {}, at::Reduction::Sum);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor index = saved[1].unsqueeze(-1);
    at::Tensor gradient = saved[0].exp_();
    gradient.scatter_add_(-1, index,
                          at::full_like(index, -1, gradient.options()));
    if (const double scale = grads[0].item<double>(); scale != 1)
      gradient.mul_(scale);
    return {gradient, at::Tensor()};
  }
};

}  // namespace

at::Tensor ChunkedHeadLoss(const at::Tensor& hidden, const FrozenWeight& head,
                           const RowsLoss& loss, int64_t chunk_rows) {
  const bool wants_gradient =
      at::GradMode::is_enabled() && hidden.requires_grad();
  return ChunkedHeadLossFunction::apply(hidden, head, loss, chunk_rows,
                                        wants_gradient);
}

at::Tensor CrossEntropySum(const at::Tensor& logits,
                           const at::Tensor& targets) {
  return CrossEntropyFunction::apply(logits, targets);
}

RowsLoss CrossEntropyRows(at::Tensor targets) {
  return [targets](const at::Tensor& logits, int64_t first_row) {
    return CrossEntropySum(logits,
                           targets.narrow(0, first_row, logits.size(0)));
  };
}

}  // namespace tandem
