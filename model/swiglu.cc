#include "model/swiglu.h"

#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/aten.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Elements that one thread takes at least.
constexpr int64_t kGrain = 16384;

// With s = sigmoid(gate): d_up = grad gate s, d_gate = grad up s (1 + gate (1 -
// s)). `sigmoid` is overwritten by d_gate.
template <typename T>
void Gradients(const T* gate, const T* up, const T* grad, T* sigmoid, T* d_up,
               int64_t from, int64_t to) {
  using Acc = at::opmath_type<T>;
#pragma omp simd
  for (int64_t i = from; i < to; ++i) {
    const Acc s = static_cast<Acc>(sigmoid[i]), x = static_cast<Acc>(gate[i]);
    const Acc g = static_cast<Acc>(grad[i]);
    d_up[i] = static_cast<T>(g * x * s);
    sigmoid[i] =
        static_cast<T>(g * static_cast<Acc>(up[i]) * s * (1 + x * (1 - s)));
  }
}

class SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate,
                            const at::Tensor& up) {
    ctx->save_for_backward({gate, up});
    return at::silu(gate).mul_(up);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor gate = saved[0].contiguous(), up = saved[1].contiguous();
    const at::Tensor grad = grads[0].contiguous();
    at::Tensor d_gate = at::sigmoid(gate), d_up = at::empty_like(up);
    AT_DISPATCH_FLOATING_TYPES_AND(
        at::kBFloat16, gate.scalar_type(), "SwiGluBackward", [&] {
          const auto* x = gate.const_data_ptr<scalar_t>();
          const auto* u = up.const_data_ptr<scalar_t>();
          const auto* g = grad.const_data_ptr<scalar_t>();
          auto* dg = d_gate.mutable_data_ptr<scalar_t>();
          auto* du = d_up.mutable_data_ptr<scalar_t>();
          at::parallel_for(0, gate.numel(), kGrain,
                           [&](int64_t from, int64_t to) {
                             Gradients(x, u, g, dg, du, from, to);
                           });
        });
    return {d_gate, d_up};
  }
};

}  // namespace

at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up) {
  RECORD_USER_SCOPE("SwiGlu");
  return SwiGluFunction::apply(gate, up);
}

}  // namespace tandem
