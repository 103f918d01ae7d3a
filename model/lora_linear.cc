#include "model/lora_linear.h"

#include <ATen/core/ivalue.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/aten.h"
#include "model/dora.h"
#include "model/frozen_product.h"
#include "model/lora_dropout.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the autograd engine need not see. `adapted`: which weight the j-th pair
// of factors belongs to; scales and row_squares go by pair.
struct Frozen : torch::CustomClassHolder {
  std::vector<FrozenWeight> weights;
  std::vector<int64_t> adapted;
  std::vector<double> scales;
  std::vector<at::Tensor> row_squares;
  LoraDropout dropout;
  // What the input is made of, until the forward pass has saved it, and how.
  variable_list sources;
  decltype(LinearInput::recipe) recipe;

  at::Tensor InputOf(const variable_list& from) const {
    return recipe ? recipe(from) : from.front();
  }
  bool drops() const { return dropout.probability > 0 && !adapted.empty(); }
};
using FrozenPointer = c10::intrusive_ptr<Frozen>;

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

// What a mask leaves of x; x itself where there is none.
at::Tensor Dropped(const at::Tensor& x, const at::Tensor& mask,
                   const Frozen& frozen) {
  if (!mask.defined()) return x;
  return x.mul(mask).div_(1 - frozen.dropout.probability);
}

// What forward keeps for backward. Without DoRA the last three are empty; all
// are where no projection is adapted.
struct LoraActivations {
  at::Tensor mask, reduced, stacked_a;  // reduced: scale d A^T, all pairs
  variable_list b;
  variable_list sources;       // of x
  variable_list gains, norms;  // m / n and n: [out]
  variable_list products;      // d W^T + scale (d A^T) B^T: [tokens, out]

  // All of it in a row; the last three lists are as long as b.
  variable_list Flat() const {
    variable_list all = {mask, reduced, stacked_a};
    for (const variable_list* list : {&b, &sources, &gains, &norms, &products})
      all.insert(all.end(), list->begin(), list->end());
    return all;
  }
  static LoraActivations FromFlat(const variable_list& all, size_t pairs,
                                  size_t sources) {
    LoraActivations a{all[0], all[1], all[2], {}, {}, {}, {}, {}};
    auto next = all.begin() + 3;
    const auto take = [&](variable_list& list, size_t count) {
      if (next == all.end()) return;
      list.assign(next, next + static_cast<std::ptrdiff_t>(count));
      next += static_cast<std::ptrdiff_t>(count);
    };
    take(a.b, pairs);
    take(a.sources, sources);
    for (variable_list* list : {&a.gains, &a.norms, &a.products})
      take(*list, pairs);
    return a;
  }
};

// Gradients of x W^T and of d W^T, by projection. Of the second, undefined:
// zero.
struct ProductGradients {
  variable_list plain, dropped;
};

// Inputs, in order: x, the A, the B, the magnitudes, the frozen rest.
class LoraLinearFunction
    : public torch::autograd::Function<LoraLinearFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x,
                               at::TensorList a, at::TensorList b,
                               at::TensorList magnitudes,
                               const FrozenPointer& frozen_pointer) {
    const Frozen& frozen = *frozen_pointer;
    ctx->saved_data["frozen"] = c10::IValue::make_capsule(frozen_pointer);
    LoraActivations kept;
    if (!a.empty()) {
      kept.sources = frozen.recipe ? frozen_pointer->sources : variable_list{x};
      Reduce(x, a, b, frozen, kept);
    }
    variable_list outputs;
    outputs.reserve(frozen.weights.size());
    size_t j = 0;
    for (size_t i = 0; i < frozen.weights.size(); ++i) {
      if (j == frozen.adapted.size() ||
          frozen.adapted[j] != static_cast<int64_t>(i)) {
        outputs.push_back(TimesTransposed(x, frozen.weights[i]));
      } else if (magnitudes.empty()) {
        outputs.push_back(
            TimesTransposed(x, frozen.weights[i], {AdapterTerm(kept, j++)}));
      } else {
        outputs.push_back(
            ForwardDora(x, a[j], b[j], magnitudes[j], j, frozen, kept));
        ++j;
      }
    }
    ctx->save_for_backward(kept.Flat());
    ctx->saved_data["sources"] = static_cast<int64_t>(kept.sources.size());
    frozen_pointer->sources.clear();
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& frozen =
        static_cast<const Frozen&>(*ctx->saved_data["frozen"].toCapsule());
    const size_t pairs = frozen.adapted.size();
    const LoraActivations kept = LoraActivations::FromFlat(
        ctx->get_saved_variables(), pairs, ctx->saved_data["sources"].toInt());
    variable_list result(1 + 2 * pairs + kept.norms.size() + 1);
    ProductGradients products{grads, variable_list(grads.size())};
    at::Tensor reduced_grad;
    if (pairs > 0) {
      reduced_grad = at::empty_like(kept.reduced);
      Magnitudes(ctx, frozen, kept, products, grads, result);
      Factors(ctx, frozen, kept, grads, reduced_grad, result);
    }
    if (ctx->needs_input_grad(0))
      result[0] = InputGradient(frozen, kept, products, reduced_grad);
    return result;
  }

 private:
  // Everything that the adapters need of x.
  static void Reduce(const at::Tensor& x, at::TensorList a, at::TensorList b,
                     const Frozen& frozen, LoraActivations& kept) {
    if (frozen.drops())
      kept.mask = DropoutMask(x.size(0), x.size(1), frozen.dropout.probability,
                              frozen.dropout.seed);
    kept.stacked_a = at::cat(a).to(x.scalar_type());
    kept.reduced = Product(Dropped(x, kept.mask, frozen), kept.stacked_a.t());
    const std::vector<at::Tensor> parts = SplitRanks(kept.reduced, 1, b);
    for (size_t j = 0; j < b.size(); ++j) {
      at::Tensor(parts[j]).mul_(frozen.scales[j]);
      kept.b.push_back(b[j].to(x.scalar_type()));
    }
  }

  // scale (d A^T) B^T of the j-th pair.
  static ProductTerm AdapterTerm(const LoraActivations& kept, size_t j) {
    return {SplitRanks(kept.reduced, 1, kept.b)[j], kept.b[j].t()};
  }

  // The j-th pair's output: x W^T + (m / n - 1) d W^T + m / n scale d A^T B^T.
  static at::Tensor ForwardDora(const at::Tensor& x, const at::Tensor& a,
                                const at::Tensor& b,
                                const at::Tensor& magnitude, size_t j,
                                const Frozen& frozen, LoraActivations& kept) {
    const FrozenWeight& weight = frozen.weights[frozen.adapted[j]];
    kept.norms.push_back(
        DoraRowNorms(weight, frozen.row_squares[j], a, b, frozen.scales[j])
            .to(x.scalar_type()));
    kept.gains.push_back(magnitude.to(x.scalar_type()) / kept.norms[j]);
    const ProductTerm adapter = AdapterTerm(kept, j);
    if (!kept.mask.defined()) {
      kept.products.push_back(TimesTransposed(x, weight, {adapter}));
      return kept.products[j] * kept.gains[j];
    }
    at::Tensor product = TimesTransposed(Dropped(x, kept.mask, frozen), weight);
    at::Tensor y = TimesTransposed(x, weight).sub_(product);
    SumOfProducts({adapter}, /*accumulate=*/true, product);
    kept.products.push_back(product);
    return y.addcmul_(product, kept.gains[j]);
  }

  // Gradients of the magnitudes, into the end of `result`. Replaces each
  // adapted gradient by that of kept.products.
  static void Magnitudes(AutogradContext* ctx, const Frozen& frozen,
                         const LoraActivations& kept,
                         ProductGradients& products, variable_list& grads,
                         variable_list& result) {
    const size_t pairs = frozen.adapted.size();
    for (size_t j = 0; j < kept.norms.size(); ++j) {
      const int64_t i = frozen.adapted[j];
      const size_t place = 1 + 2 * pairs + j;
      if (ctx->needs_input_grad(place))
        result[place] =
            (grads[i] * kept.products[j]).sum(0).div_(kept.norms[j]);
      const at::Tensor scaled = grads[i] * kept.gains[j];
      if (kept.mask.defined()) {
        products.dropped[i] = scaled - grads[i];
      } else {
        products.plain[i] = scaled;
      }
      grads[i] = scaled;
    }
  }

  // Gradients of A and B into `result`, that of `reduced` into reduced_grad.
  static void Factors(AutogradContext* ctx, const Frozen& frozen,
                      const LoraActivations& kept, const variable_list& grads,
                      at::Tensor& reduced_grad, variable_list& result) {
    const size_t pairs = frozen.adapted.size();
    const auto into = SplitRanks(reduced_grad, 1, kept.b);
    const auto reduced = SplitRanks(kept.reduced, 1, kept.b);
    bool wants_a = false;
    for (size_t j = 0; j < pairs; ++j) {
      const at::Tensor& grad = grads[frozen.adapted[j]];
      at::Tensor part = into[j];
      SumOfProducts({{grad, kept.b[j]}}, /*accumulate=*/false, part);
      part.mul_(frozen.scales[j]);
      // Products take this order faster than grad^T reduced.
      if (ctx->needs_input_grad(1 + pairs + j))
        result[1 + pairs + j] = Product(reduced[j].t(), grad).t();
      wants_a = wants_a || ctx->needs_input_grad(1 + j);
    }
    if (!wants_a) return;
    const at::Tensor input =
        Dropped(frozen.InputOf(kept.sources), kept.mask, frozen);
    const auto parts = SplitRanks(Product(reduced_grad.t(), input), 0, kept.b);
    for (size_t j = 0; j < pairs; ++j)
      if (ctx->needs_input_grad(1 + j)) result[1 + j] = parts[j];
  }

  static at::Tensor InputGradient(const Frozen& frozen,
                                  const LoraActivations& kept,
                                  const ProductGradients& products,
                                  const at::Tensor& reduced_grad) {
    at::Tensor dx = reduced_grad.defined()
                        ? Product(reduced_grad, kept.stacked_a)
                        : at::zeros({products.plain[0].size(0),
                                     frozen.weights[0].columns()},
                                    products.plain[0].options());
    if (kept.mask.defined()) {
      for (size_t i = 0; i < products.dropped.size(); ++i)
        if (products.dropped[i].defined())
          AddProduct(products.dropped[i], frozen.weights[i], dx);
      dx = Dropped(dx, kept.mask, frozen);
    }
    for (size_t i = 0; i < products.plain.size(); ++i)
      AddProduct(products.plain[i], frozen.weights[i], dx);
    return dx;
  }
};

}  // namespace

std::vector<at::Tensor> LoraLinear(
    const LinearInput& input, const std::vector<LoraProjection>& projections,
    const LoraDropout& dropout) {
  const auto frozen = c10::make_intrusive<Frozen>();
  frozen->dropout = dropout;
  frozen->recipe = input.recipe;
  for (const at::Tensor& source : input.kept)
    frozen->sources.push_back(source.detach());
  std::vector<at::Tensor> a, b, magnitudes;
  for (size_t i = 0; i < projections.size(); ++i) {
    const LoraProjection& projection = projections[i];
    frozen->weights.push_back(projection.weight);
    if (!projection.a.defined()) continue;
    a.push_back(projection.a);
    b.push_back(projection.b);
    frozen->adapted.push_back(static_cast<int64_t>(i));
    frozen->scales.push_back(projection.scale);
    if (!projection.magnitude.defined()) continue;
    magnitudes.push_back(projection.magnitude);
    frozen->row_squares.push_back(projection.row_squares);
  }
  return LoraLinearFunction::apply(input.x, at::TensorList(a),
                                   at::TensorList(b),
                                   at::TensorList(magnitudes), frozen);
}

at::Tensor DoraGain(const LoraProjection& p) {
  const at::Tensor norms =
      DoraRowNorms(p.weight, p.row_squares, p.a, p.b, p.scale);
  return (p.magnitude.detach() / norms).to(p.magnitude.scalar_type());
}

}  // namespace tandem
