#include "model/lora_linear.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/frozen_product.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the autograd engine need not see: the weights, and which of them the
// j-th pair of factors belongs to.
struct Frozen {
  std::vector<at::Tensor> weights;
  std::vector<int64_t> adapted;
  double scale;
};

// The columns of `all` [tokens, sum of ranks] that belong to each pair.
std::vector<at::Tensor> SplitRanks(const at::Tensor& all, int64_t dim,
                                   at::TensorList b) {
  std::vector<at::Tensor> parts;
  int64_t start = 0;
  for (const at::Tensor& factor : b) {
    parts.push_back(all.narrow(dim, start, factor.size(1)));
    start += factor.size(1);
  }
  return parts;
}

// Saved for the backward pass, in order: x, x A^T, A, then weights, then B.
class LoraLinearFunction
    : public torch::autograd::Function<LoraLinearFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x,
                               at::TensorList a, at::TensorList b,
                               const Frozen& frozen) {
    variable_list outputs;
    for (const at::Tensor& weight : frozen.weights)
      outputs.push_back(TimesTransposed(x, weight));
    at::Tensor stacked_a, reduced;
    variable_list saved_b;
    if (!a.empty()) {
      stacked_a = at::cat(a).to(x.scalar_type());
      reduced = at::mm(x, stacked_a.t());
      const std::vector<at::Tensor> parts = SplitRanks(reduced, 1, b);
      for (size_t j = 0; j < b.size(); ++j) {
        saved_b.push_back(b[j].to(x.scalar_type()));
        outputs[frozen.adapted[j]].addmm_(parts[j], saved_b[j].t(), 1,
                                          frozen.scale);
      }
    }
    Save(ctx, x, reduced, stacked_a, frozen, saved_b);
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const std::vector<int64_t> adapted =
        ctx->saved_data["adapted"].toIntVector();
    const double scale = ctx->saved_data["scale"].toDouble();
    const at::TensorList all(saved);
    const at::TensorList weights = all.slice(3, grads.size());
    const at::TensorList b = all.slice(3 + grads.size());
    const size_t pairs = adapted.size();

    variable_list result(1 + 2 * pairs + 1);
    at::Tensor reduced_grad;  // of x A^T
    if (pairs > 0) {
      reduced_grad = at::empty_like(saved[1]);
      const auto into = SplitRanks(reduced_grad, 1, b);
      const auto reduced = SplitRanks(saved[1], 1, b);
      for (size_t j = 0; j < pairs; ++j) {
        const at::Tensor& grad = grads[adapted[j]];
        into[j].copy_(at::mm(grad, b[j]).mul_(scale));
        if (ctx->needs_input_grad(1 + pairs + j)) {
          // MKL takes this order a third faster than grad^T reduced.
          result[1 + pairs + j] = at::mm(reduced[j].t(), grad).mul_(scale).t();
        }
      }
      FactorGradients(ctx, saved[0], reduced_grad, b, result);
    }
    if (ctx->needs_input_grad(0))
      result[0] = InputGradient(grads, weights, reduced_grad, saved[2]);
    return result;
  }

 private:
  static void Save(AutogradContext* ctx, const at::Tensor& x,
                   const at::Tensor& reduced, const at::Tensor& stacked_a,
                   const Frozen& frozen, const variable_list& b) {
    variable_list saved = {x, reduced, stacked_a};
    saved.insert(saved.end(), frozen.weights.begin(), frozen.weights.end());
    saved.insert(saved.end(), b.begin(), b.end());
    ctx->save_for_backward(saved);
    ctx->saved_data["adapted"] = frozen.adapted;
    ctx->saved_data["scale"] = frozen.scale;
  }

  // Gradients of the A factors, into result[1 .. pairs].
  static void FactorGradients(AutogradContext* ctx, const at::Tensor& x,
                              const at::Tensor& reduced_grad, at::TensorList b,
                              variable_list& result) {
    bool needed = false;
    for (size_t j = 0; j < b.size(); ++j)
      needed = needed || ctx->needs_input_grad(1 + j);
    if (!needed) return;
    const auto parts = SplitRanks(at::mm(reduced_grad.t(), x), 0, b);
    for (size_t j = 0; j < b.size(); ++j)
      if (ctx->needs_input_grad(1 + j)) result[1 + j] = parts[j];
  }

  static at::Tensor InputGradient(const variable_list& grads,
                                  at::TensorList weights,
                                  const at::Tensor& reduced_grad,
                                  const at::Tensor& stacked_a) {
    at::Tensor dx = reduced_grad.defined()
                        ? at::mm(reduced_grad, stacked_a)
                        : at::zeros({grads[0].size(0), weights[0].size(1)},
                                    grads[0].options());
    for (size_t i = 0; i < grads.size(); ++i)
      AddProduct(grads[i], weights[i], dx);
    return dx;
  }
};

}  // namespace

std::vector<at::Tensor> LoraLinear(
    const at::Tensor& x, const std::vector<LoraProjection>& projections,
    double scale) {
  Frozen frozen{{}, {}, scale};
  std::vector<at::Tensor> a, b;
  for (size_t i = 0; i < projections.size(); ++i) {
    frozen.weights.push_back(projections[i].weight);
    if (!projections[i].a.defined()) continue;
    a.push_back(projections[i].a);
    b.push_back(projections[i].b);
    frozen.adapted.push_back(static_cast<int64_t>(i));
  }
  return LoraLinearFunction::apply(x, at::TensorList(a), at::TensorList(b),
                                   frozen);
}

}  // namespace tandem
