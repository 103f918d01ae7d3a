// The next token out of logits: greedily, or drawn from what temperature,
// top-k, top-p and min-p leave.
#ifndef TANDEM_MODEL_SAMPLER_H_
#define TANDEM_MODEL_SAMPLER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "common/random.h"

namespace tandem {

// Applied in this order, as transformers' generate() does: repetition penalty,
// temperature, top-k, top-p, min-p.
struct SamplingOptions {
  double temperature = 0;  // > 0, what logits are divided by; 0: greedy
  int64_t top_k = 0;       // the likeliest so many, and their equals; 0: all
  double top_p =
      1;  // the smallest set of tokens whose probability reaches this
  double min_p = 0;  // those at least this times as likely as the likeliest
  // Logits of tokens that were there before are divided by this where positive,
  // multiplied where negative (CTRL, Keskar et al., 2019).
  double repetition_penalty = 1;
  uint64_t seed = 1;
};

struct TokenProbability {
  int32_t id;
  double probability;
};

// What is drawn from, its probabilities adding up to 1; a single token where
// options.temperature is 0. logits: [vocabulary]; seen: ids of the text so far.
std::vector<TokenProbability> TokenDistribution(std::span<const float> logits,
                                                std::span<const int32_t> seen,
                                                const SamplingOptions& options);

// One draw from TokenDistribution. `random` is left alone where that is greedy.
int32_t SampleToken(std::span<const float> logits,
                    std::span<const int32_t> seen,
                    const SamplingOptions& options, SeededRandom& random);

}  // namespace tandem

#endif  // TANDEM_MODEL_SAMPLER_H_
