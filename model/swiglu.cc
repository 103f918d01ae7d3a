#include "model/swiglu.h"

#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "model/aten.h"
#include "model/fast_exp.h"
#include "model/instruction_set.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Elements that one thread takes at least.
constexpr int64_t kGrain = 16384;

TANDEM_BODY float SigmoidOf(float x) { return FastSigmoid(x); }
TANDEM_BODY double SigmoidOf(double x) { return 1 / (1 + std::exp(-x)); }

template <typename T>
struct GateArrays {
  const T *gate, *up;
  T* out;
};

template <typename T>
TANDEM_BODY void GateBody(const GateArrays<T>& at, int64_t from, int64_t to) {
  using Acc = at::opmath_type<T>;
#pragma omp simd
  for (int64_t i = from; i < to; ++i) {
    const Acc x = static_cast<Acc>(at.gate[i]);
    at.out[i] = static_cast<T>(x * SigmoidOf(x) * static_cast<Acc>(at.up[i]));
  }
}

template <typename T>
struct GradientArrays {
  const T *gate, *up, *grad;
  T *d_gate, *d_up;
};

// With s = sigmoid(gate): d_up = grad gate s, d_gate = grad up s (1 + gate (1 -
// s)).
template <typename T>
TANDEM_BODY void GradientsBody(const GradientArrays<T>& at, int64_t from,
                               int64_t to) {
  using Acc = at::opmath_type<T>;
#pragma omp simd
  for (int64_t i = from; i < to; ++i) {
    const Acc x = static_cast<Acc>(at.gate[i]), s = SigmoidOf(x);
    const Acc gs = static_cast<Acc>(at.grad[i]) * s;
    at.d_up[i] = static_cast<T>(gs * x);
    at.d_gate[i] =
        static_cast<T>(gs * static_cast<Acc>(at.up[i]) * (1 + x * (1 - s)));
  }
}

template <typename T>
TANDEM_VECTORISED void GateAvx2(const GateArrays<T>& at, int64_t from,
                                int64_t to) {
  GateBody(at, from, to);
}
template <typename T>
TANDEM_VECTORISED void GradientsAvx2(const GradientArrays<T>& at, int64_t from,
                                     int64_t to) {
  GradientsBody(at, from, to);
}

template <typename T>
void Gate(const GateArrays<T>& arrays, int64_t size) {
  at::parallel_for(0, size, kGrain, [&](int64_t from, int64_t to) {
    HasAvx2() ? GateAvx2(arrays, from, to) : GateBody(arrays, from, to);
  });
}
template <typename T>
void Gradients(const GradientArrays<T>& arrays, int64_t size) {
  at::parallel_for(0, size, kGrain, [&](int64_t from, int64_t to) {
    HasAvx2() ? GradientsAvx2(arrays, from, to)
              : GradientsBody(arrays, from, to);
  });
}

class SwiGluFunction : public torch::autograd::Function<SwiGluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, at::Tensor gate,
                            at::Tensor up) {
    gate = gate.contiguous();
    up = up.contiguous();
    ctx->save_for_backward({gate, up});
    at::Tensor out = at::empty_like(gate);
    AT_DISPATCH_FLOATING_TYPES_AND(
        at::kBFloat16, gate.scalar_type(), "SwiGlu", [&] {
          Gate<scalar_t>(
              {gate.const_data_ptr<scalar_t>(), up.const_data_ptr<scalar_t>(),
               out.mutable_data_ptr<scalar_t>()},
              gate.numel());
        });
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1];
    const at::Tensor grad = grads[0].contiguous();
    at::Tensor d_gate = at::empty_like(gate), d_up = at::empty_like(up);
    AT_DISPATCH_FLOATING_TYPES_AND(
        at::kBFloat16, gate.scalar_type(), "SwiGluBackward", [&] {
          Gradients<scalar_t>(
              {gate.const_data_ptr<scalar_t>(), up.const_data_ptr<scalar_t>(),
               grad.const_data_ptr<scalar_t>(),
               d_gate.mutable_data_ptr<scalar_t>(),
               d_up.mutable_data_ptr<scalar_t>()},
              gate.numel());
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
