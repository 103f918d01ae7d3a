// Rows of attention scores: their softmax, and its gradient.
#ifndef TANDEM_MODEL_ATTENTION_ROWS_H_
#define TANDEM_MODEL_ATTENTION_ROWS_H_

#include <cstdint>

namespace tandem {

// Scores of keys [from, to) that one query sees; the row has `width`.
struct SeenKeys {
  int64_t from, to, width;
};

// scores [width] become e^(scale score - log-sum-exp), 0 where not seen;
// returns the log-sum-exp of the scaled scores. REQUIRES: from < to, and AVX2.
float SoftmaxOfRow(float* scores, const SeenKeys& seen, float scale);

// The same with the log-sum-exp known.
void ProbabilitiesOfRow(float* scores, const SeenKeys& seen, float scale,
                        float log_sum_exp);

// grads [width], of the probabilities, become those of the scores before
// scaling. `mean`: the sum of probabilities times grads.
void ScoreGradientsOfRow(const float* probabilities, float* grads,
                         const SeenKeys& seen, float scale, float mean);

// Sum of x y over `size`.
float DotOfRows(const float* x, const float* y, int64_t size);

}  // namespace tandem

#endif  // TANDEM_MODEL_ATTENTION_ROWS_H_
