#include "model/decode_kernels.h"

#include <algorithm>
#include <cmath>

#include "model/fast_exp.h"
#include "model/instruction_set.h"
#include "model/widened.h"

namespace tandem {
namespace {

template <typename T>
TANDEM_BODY void DotBody(const T* const* rows, int64_t size, const float* x,
                         float* results) {
  const T *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
  float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
  for (int64_t i = 0; i < size; ++i) {
    s0 += Widened(r0[i]) * x[i];
    s1 += Widened(r1[i]) * x[i];
    s2 += Widened(r2[i]) * x[i];
    s3 += Widened(r3[i]) * x[i];
  }
  results[0] = s0;
  results[1] = s1;
  results[2] = s2;
  results[3] = s3;
}

TANDEM_BODY void AttendBody(const float* query, const float* keys,
                            const float* values, int64_t length,
                            int64_t head_size, float scale, float* scores,
                            float* out) {
  float largest = -INFINITY;
  for (int64_t t = 0; t < length; ++t) {
    const float* key = keys + t * head_size;
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < head_size; ++i) dot += query[i] * key[i];
    scores[t] = dot * scale;
    largest = std::max(largest, scores[t]);
  }
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t t = 0; t < length; ++t) {
    scores[t] = FastExp(scores[t] - largest);
    sum += scores[t];
  }
  std::fill(out, out + head_size, 0.0f);
  for (int64_t t = 0; t < length; ++t) {
    const float weight = scores[t] / sum;
    const float* value = values + t * head_size;
#pragma omp simd
    for (int64_t i = 0; i < head_size; ++i) out[i] += weight * value[i];
  }
}

TANDEM_BODY void SiluBody(float* gate, const float* up, int64_t size) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float x = gate[i];
    gate[i] = x * up[i] * FastSigmoid(x);
  }
}

// (1 + tanh y) / 2 is the sigmoid of 2 y.
TANDEM_BODY void GeluBody(float* gate, const float* up, int64_t size) {
  constexpr float kTwiceRoot = 1.59576912f;  // 2 sqrt(2 / pi)
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) {
    const float x = gate[i];
    const float y = kTwiceRoot * (x + 0.044715f * x * x * x);
    gate[i] = x * FastSigmoid(y) * up[i];
  }
}

TANDEM_VECTORISED void DotAvx2(const float* const* rows, int64_t size,
                               const float* x, float* results) {
  DotBody(rows, size, x, results);
}
TANDEM_VECTORISED void DotAvx2(const uint16_t* const* rows, int64_t size,
                               const float* x, float* results) {
  DotBody(rows, size, x, results);
}
TANDEM_VECTORISED void AttendAvx2(const float* query, const float* keys,
                                  const float* values, int64_t length,
                                  int64_t head_size, float scale, float* scores,
                                  float* out) {
  AttendBody(query, keys, values, length, head_size, scale, scores, out);
}
TANDEM_VECTORISED void SiluAvx2(float* gate, const float* up, int64_t size) {
  SiluBody(gate, up, size);
}
TANDEM_VECTORISED void GeluAvx2(float* gate, const float* up, int64_t size) {
  GeluBody(gate, up, size);
}

}  // namespace

void DotFourRows(const float* const* rows, int64_t size, const float* x,
                 float* results) {
  HasAvx2() ? DotAvx2(rows, size, x, results) : DotBody(rows, size, x, results);
}

void DotFourRows(const uint16_t* const* rows, int64_t size, const float* x,
                 float* results) {
  HasAvx2() ? DotAvx2(rows, size, x, results) : DotBody(rows, size, x, results);
}

void NormaliseVector(const float* x, const float* weight, double epsilon,
                     int64_t size, float* y) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += x[i] * x[i];
  const float scale = 1 / std::sqrt(sum / static_cast<float>(size) +
                                    static_cast<float>(epsilon));
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) y[i] = x[i] * scale * weight[i];
}

void RotateHead(const float* cosine, const float* sine, int64_t half,
                float* x) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    x[i] = a * cosine[i] - b * sine[i];
    x[half + i] = b * cosine[i] + a * sine[i];
  }
}

void AttendHead(const float* query, const float* keys, const float* values,
                int64_t length, int64_t head_size, float scale, float* scores,
                float* out) {
  (HasAvx2() ? AttendAvx2 : AttendBody)(query, keys, values, length, head_size,
                                        scale, scores, out);
}

void GateSilu(float* gate, const float* up, int64_t size) {
  (HasAvx2() ? SiluAvx2 : SiluBody)(gate, up, size);
}

void GateGelu(float* gate, const float* up, int64_t size) {
  (HasAvx2() ? GeluAvx2 : GeluBody)(gate, up, size);
}

}  // namespace tandem
