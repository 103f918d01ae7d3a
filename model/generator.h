// Continuations of several prompts at once, over a KV cache each.
#ifndef TANDEM_MODEL_GENERATOR_H_
#define TANDEM_MODEL_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "model/decoder.h"
#include "model/key_value_cache.h"
#include "model/sampler.h"

namespace tandem {

struct GenerationOptions {
  int64_t max_new_tokens = 128;
  // Sequence s draws with a seed of its own, derived from sampling.seed and s:
  // it comes out the same whatever else is in the batch.
  SamplingOptions sampling = {};
  // True for an id that ends a reply, which is not returned. May be empty.
  std::function<bool(int32_t id)> ends = {};
  // Sees every id as it comes; false ends the sequence after it. May be empty.
  std::function<bool(size_t sequence, int32_t id)> on_token = {};
};

// The ids after each prompt, up to max_new_tokens, fewer where options end the
// sequence or its context is full. Prompts may differ in length. Throws
// std::invalid_argument for an empty prompt or one past the context length.
std::vector<std::vector<int32_t>> Generate(
    const Decoder& model, const Adapter* adapter,
    const std::vector<std::vector<int32_t>>& prompts,
    const GenerationOptions& options);

}  // namespace tandem

#endif  // TANDEM_MODEL_GENERATOR_H_
