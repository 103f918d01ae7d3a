// Held-out loss of a model, in the two units people compare: perplexity per
// token and bits per byte.
#ifndef TANDEM_MODEL_EVALUATION_H_
#define TANDEM_MODEL_EVALUATION_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "model/decoder.h"
#include "model/examples.h"

namespace tandem {

struct EvaluationResult {
  double loss_nats = 0;  // summed over target tokens
  int64_t target_tokens = 0;
  int64_t target_bytes = 0;
  int64_t examples = 0;
  double Perplexity() const;   // exp(loss_nats / target_tokens)
  double BitsPerByte() const;  // loss_nats / ln 2 / target_bytes
};

// `adapter` may be null. `on_progress(done, total)` counts examples and may be
// empty.
EvaluationResult Evaluate(
    const Decoder& model, const Adapter* adapter,
    const std::vector<TokenizedExample>& examples,
    const std::function<void(int64_t, int64_t)>& on_progress = {});

}  // namespace tandem

#endif  // TANDEM_MODEL_EVALUATION_H_
