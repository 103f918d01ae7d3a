// Text from a model: greedy or temperature / top-p sampling over a KV cache.
#ifndef TANDEM_MODEL_GENERATOR_H_
#define TANDEM_MODEL_GENERATOR_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "model/decoder.h"

namespace tandem {

// Keys and values of one sequence so far, per layer, fp32: [key_value_heads,
// tokens, head_size].
class KeyValueCache {
 public:
  explicit KeyValueCache(const DecoderConfig& config);
  int64_t length() const { return length_; }

 private:
  friend class Decoder;
  std::vector<at::Tensor> keys_, values_;
  int64_t length_ = 0;
};

struct SamplingOptions {
  double temperature = 0;  // 0: greedy
  double top_p =
      1;  // the smallest set of tokens whose probability reaches this
  uint64_t seed = 1;
};

// The id chosen from logits: [vocabulary].
int32_t SampleToken(const at::Tensor& logits, const SamplingOptions& options,
                    class SeededRandom& random);

// Up to `max_new_tokens` ids after `prompt`; ends early where `stop(id)` says
// so (that id is not returned; `stop` may be empty) or where the context is
// full. `on_token` sees each id as it comes and may be empty. Throws
// std::invalid_argument for an empty prompt or one past the context length.
std::vector<int32_t> Generate(
    const Decoder& model, const Adapter* adapter,
    const std::vector<int32_t>& prompt, int64_t max_new_tokens,
    const SamplingOptions& options, const std::function<bool(int32_t)>& stop,
    const std::function<void(int32_t)>& on_token = {});

}  // namespace tandem

#endif  // TANDEM_MODEL_GENERATOR_H_
