#include "model/attention_rows.h"

#include <algorithm>
#include <cmath>

#include "model/fast_exp.h"
#include "model/instruction_set.h"

namespace tandem {
namespace {

void ClearUnseen(float* row, const SeenKeys& seen) {
  std::fill(row, row + seen.from, 0.0f);
  std::fill(row + seen.to, row + seen.width, 0.0f);
}

}  // namespace

TANDEM_VECTORISED float SoftmaxOfRow(float* scores, const SeenKeys& seen,
                                     float scale) {
  float largest = scores[seen.from];
  // Not std::max, which is no vector: its second argument wins over a NaN.
#pragma omp simd reduction(max : largest)
  for (int64_t i = seen.from; i < seen.to; ++i)
    largest = scores[i] > largest ? scores[i] : largest;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = seen.from; i < seen.to; ++i) {
    scores[i] = FastExp(scale * (scores[i] - largest));
    sum += scores[i];
  }
  const float inverse = 1 / sum;
#pragma omp simd
  for (int64_t i = seen.from; i < seen.to; ++i) scores[i] *= inverse;
  ClearUnseen(scores, seen);
  return scale * largest + std::log(sum);
}

TANDEM_VECTORISED void ProbabilitiesOfRow(float* scores, const SeenKeys& seen,
                                          float scale, float log_sum_exp) {
#pragma omp simd
  for (int64_t i = seen.from; i < seen.to; ++i)
    scores[i] = FastExp(scale * scores[i] - log_sum_exp);
  ClearUnseen(scores, seen);
}

TANDEM_VECTORISED void ScoreGradientsOfRow(const float* probabilities,
                                           float* grads, const SeenKeys& seen,
                                           float scale, float mean) {
#pragma omp simd
  for (int64_t i = seen.from; i < seen.to; ++i)
    grads[i] = scale * probabilities[i] * (grads[i] - mean);
  ClearUnseen(grads, seen);
}

TANDEM_VECTORISED float DotOfRows(const float* x, const float* y,
                                  int64_t size) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += x[i] * y[i];
  return sum;
}

}  // namespace tandem
