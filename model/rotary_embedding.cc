#include "model/rotary_embedding.h"

#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>

#include "model/aten.h"
#include "model/rotary_frequencies.h"

namespace tandem {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One token: every head's halves (a, b) become (a cos - b sin, b cos + a sin).
template <typename T>
void RotateToken(const T* x, const float* cosine, const float* sine,
                 float direction, int64_t heads, int64_t half, T* y) {
  using Acc = at::opmath_type<T>;
  for (int64_t h = 0; h < heads; ++h, x += 2 * half, y += 2 * half) {
#pragma omp simd
    for (int64_t i = 0; i < half; ++i) {
      const Acc a = static_cast<Acc>(x[i]), b = static_cast<Acc>(x[half + i]);
      const Acc c = cosine[i], s = direction * sine[i];
      y[i] = static_cast<T>(a * c - b * s);
      y[half + i] = static_cast<T>(b * c + a * s);
    }
  }
}

// `direction` 1 turns forward, -1 back: the inverse, and so the gradient.
at::Tensor RotateAll(const at::Tensor& input, const at::Tensor& cosine,
                     const at::Tensor& sine, float direction) {
  const at::Tensor x = input.contiguous();
  const int64_t tokens = x.size(0), width = x.size(1);
  const int64_t half = cosine.size(1), heads = width / (2 * half);
  at::Tensor y = at::empty_like(x);
  const float* c = cosine.const_data_ptr<float>();
  const float* s = sine.const_data_ptr<float>();
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "Rotate", [&] {
    const auto* in = x.const_data_ptr<scalar_t>();
    auto* out = y.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, tokens, /*grain_size=*/16,
                     [&](int64_t from, int64_t to) {
                       for (int64_t t = from; t < to; ++t)
                         RotateToken(in + t * width, c + t * half, s + t * half,
                                     direction, heads, half, out + t * width);
                     });
  });
  return y;
}

class RotateFunction : public torch::autograd::Function<RotateFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const at::Tensor& cosine, const at::Tensor& sine) {
    ctx->save_for_backward({cosine, sine});
    return RotateAll(x, cosine, sine, 1);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    return {RotateAll(grads[0], saved[0], saved[1], -1), at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

RotaryAngles RotaryAnglesAt(const std::vector<int64_t>& positions,
                            int64_t head_size, double theta,
                            const RopeScaling& scaling) {
  const int64_t tokens = static_cast<int64_t>(positions.size());
  const int64_t half = head_size / 2;
  const std::vector<float> frequencies =
      RotaryFrequencies(head_size, theta, scaling);
  RotaryAngles angles{at::empty({tokens, half}, at::kFloat),
                      at::empty({tokens, half}, at::kFloat)};
  float* cosine = angles.cosine.mutable_data_ptr<float>();
  float* sine = angles.sine.mutable_data_ptr<float>();
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(positions[t]) * frequencies[i];
      cosine[t * half + i] = std::cos(angle);
      sine[t * half + i] = std::sin(angle);
    }
  }
  return angles;
}

at::Tensor Rotate(const at::Tensor& x, const RotaryAngles& angles) {
  RECORD_USER_SCOPE("Rotate");
  return RotateFunction::apply(x, angles.cosine, angles.sine);
}

}  // namespace tandem
