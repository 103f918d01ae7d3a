#include "model/chunked_head_loss.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <utility>

#include "model/aten.h"
#include "model/attention_rows.h"
#include "model/frozen_product.h"
#include "model/instruction_set.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// So many logits and what a loss makes of them stay in the caches.
constexpr int64_t kBlockElements = 512 * 1024;

// The loss of a few rows, whose logits become its gradient where that is
// wanted.
at::Tensor BlockLoss(at::Tensor logits, const RowsLoss& loss, int64_t first_row,
                     bool wants_gradient) {
  if (!wants_gradient) {
    const at::NoGradGuard no_grad;
    return loss(logits, first_row);
  }
  const at::AutoGradMode enable(true);
  const at::Tensor leaf = logits.detach().requires_grad_();
  const at::Tensor value = loss(leaf, first_row);
  if (value.requires_grad()) {
    logits.copy_(torch::autograd::grad({value}, {leaf})[0]);
  } else {  // the loss does not look at these rows
    logits.zero_();
  }
  return value.detach();
}

// The same of any number of rows, a few at a time.
at::Tensor BlockwiseLoss(const at::Tensor& logits, const RowsLoss& loss,
                         int64_t first_row, bool wants_gradient) {
  const int64_t block = std::max<int64_t>(1, kBlockElements / logits.size(1));
  at::Tensor total = at::zeros({}, logits.options());
  for (int64_t from = 0; from < logits.size(0); from += block) {
    const int64_t rows = std::min(block, logits.size(0) - from);
    total += BlockLoss(logits.narrow(0, from, rows), loss, first_row + from,
                       wants_gradient);
  }
  return total;
}

class ChunkedHeadLossFunction
    : public torch::autograd::Function<ChunkedHeadLossFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden,
                            const FrozenWeight& head, const RowsLoss& loss,
                            int64_t chunk_rows, bool wants_gradient) {
    const at::Tensor x = hidden.detach();
    at::Tensor gradient = wants_gradient ? at::zeros_like(x) : at::Tensor();
    const at::Tensor buffer =
        at::empty({std::min(chunk_rows, x.size(0)), head.rows()}, x.options());
    at::Tensor total = at::zeros({}, x.options());
    for (int64_t from = 0; from < x.size(0); from += chunk_rows) {
      const int64_t rows = std::min(chunk_rows, x.size(0) - from);
      at::Tensor logits = buffer.narrow(0, 0, rows);
      TimesTransposedInto(logits, x.narrow(0, from, rows), head);
      total += BlockwiseLoss(logits, loss, from, wants_gradient);
      if (!wants_gradient) continue;
      at::Tensor part = gradient.narrow(0, from, rows);
      AddProduct(logits, head, part);
    }
    ctx->save_for_backward({gradient});
    return total;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor gradient = ctx->get_saved_variables()[0];
    return {gradient * grads[0].to(gradient.scalar_type()), at::Tensor(),
            at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// Each row's softmax, [rows, vocabulary], and log-sum-exp, [rows].
std::pair<at::Tensor, at::Tensor> SoftmaxRows(const at::Tensor& logits) {
  if (logits.scalar_type() != at::kFloat || !HasAvx2()) {
    const at::Tensor log_sum_exp = at::logsumexp(logits, -1);
    return {(logits - log_sum_exp.unsqueeze(-1)).exp_(), log_sum_exp};
  }
  const at::Tensor rows = logits.contiguous();
  const int64_t width = rows.size(1);
  at::Tensor softmax = at::empty_like(rows);
  at::Tensor log_sum_exp = at::empty({rows.size(0)}, rows.options());
  const float* in = rows.const_data_ptr<float>();
  float* out = softmax.mutable_data_ptr<float>();
  float* sums = log_sum_exp.mutable_data_ptr<float>();
  at::parallel_for(0, rows.size(0), 1, [&](int64_t from, int64_t to) {
    for (int64_t r = from; r < to; ++r) {
      std::copy_n(in + r * width, width, out + r * width);
      sums[r] = SoftmaxOfRow(out + r * width, {0, width, width}, 1);
    }
  });
  return {softmax, log_sum_exp};
}

// The gradient, softmax - one-hot, is made in place of the softmax.
class CrossEntropyFunction
    : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& logits,
                            const at::Tensor& targets) {
    const at::Tensor index = targets.unsqueeze(-1);
    const auto [softmax, log_sum_exp] = SoftmaxRows(logits);
    ctx->save_for_backward({softmax, index});
    return (log_sum_exp - logits.gather(-1, index).squeeze(-1)).sum();
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& index = saved[1];
    at::Tensor gradient = saved[0];
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
