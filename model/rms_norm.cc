#include "model/rms_norm.h"

#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "model/aten.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows that one thread takes at least; each is a few hundred elements.
constexpr int64_t kGrainRows = 16;

template <typename T, typename Acc>
void NormaliseRow(const T* x, const T* weight, T* y, int64_t width, Acc epsilon,
                  Acc* scale_out) {
  Acc sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < width; ++i) {
    const Acc value = static_cast<Acc>(x[i]);
    sum += value * value;
  }
  const Acc scale = 1 / std::sqrt(sum / static_cast<Acc>(width) + epsilon);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i)
    y[i] = static_cast<T>(static_cast<Acc>(x[i]) * scale *
                          static_cast<Acc>(weight[i]));
  *scale_out = scale;
}

// With n = x scale and h = weight g: dx = scale (h - n mean(n h)).
template <typename T, typename Acc>
void GradientRow(const T* x, const T* weight, const T* grad, Acc scale, T* out,
                 int64_t width) {
  Acc dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t i = 0; i < width; ++i)
    dot += static_cast<Acc>(x[i]) * static_cast<Acc>(weight[i]) *
           static_cast<Acc>(grad[i]);
  const Acc mean = dot * scale * scale / static_cast<Acc>(width);
#pragma omp simd
  for (int64_t i = 0; i < width; ++i)
    out[i] = static_cast<T>(
        scale * (static_cast<Acc>(weight[i]) * static_cast<Acc>(grad[i]) -
                 static_cast<Acc>(x[i]) * mean));
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input,
                            const at::Tensor& weight, double epsilon) {
    const at::Tensor x = input.contiguous();
    const int64_t rows = x.size(0), width = x.size(1);
    at::Tensor y = at::empty_like(x);
    at::Tensor scales =
        at::empty({rows}, x.options().dtype(at::toOpMathType(x.scalar_type())));
    AT_DISPATCH_FLOATING_TYPES_AND(
        at::kBFloat16, x.scalar_type(), "RmsNorm", [&] {
          using Acc = at::opmath_type<scalar_t>;
          const auto* in = x.const_data_ptr<scalar_t>();
          const auto* w = weight.const_data_ptr<scalar_t>();
          auto* out = y.mutable_data_ptr<scalar_t>();
          auto* scale = scales.mutable_data_ptr<Acc>();
          at::parallel_for(0, rows, kGrainRows, [&](int64_t from, int64_t to) {
            for (int64_t r = from; r < to; ++r)
              NormaliseRow<scalar_t, Acc>(in + r * width, w, out + r * width,
                                          width, static_cast<Acc>(epsilon),
                                          scale + r);
          });
        });
    ctx->save_for_backward({x, weight, scales});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &scales = saved[2];
    const at::Tensor grad = grads[0].contiguous();
    const int64_t rows = x.size(0), width = x.size(1);
    at::Tensor dx = at::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES_AND(
        at::kBFloat16, x.scalar_type(), "RmsNormBackward", [&] {
          using Acc = at::opmath_type<scalar_t>;
          const auto* in = x.const_data_ptr<scalar_t>();
          const auto* w = weight.const_data_ptr<scalar_t>();
          const auto* g = grad.const_data_ptr<scalar_t>();
          const auto* scale = scales.const_data_ptr<Acc>();
          auto* out = dx.mutable_data_ptr<scalar_t>();
          at::parallel_for(0, rows, kGrainRows, [&](int64_t from, int64_t to) {
            for (int64_t r = from; r < to; ++r)
              GradientRow<scalar_t, Acc>(in + r * width, w, g + r * width,
                                         scale[r], out + r * width, width);
          });
        });
    return {dx, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight,
                   double epsilon) {
  RECORD_USER_SCOPE("RmsNorm");
  return RmsNormFunction::apply(x, weight, epsilon);
}

}  // namespace tandem
