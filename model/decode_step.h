// The next token of a few sequences, without autograd and almost without
// tensors: one pass through the layers on plain arrays, which at one token
// costs less than the calls it replaces. What Decoder::ForwardCached is to
// prompts.
#ifndef TANDEM_MODEL_DECODE_STEP_H_
#define TANDEM_MODEL_DECODE_STEP_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/adapter.h"
#include "model/decoder_config.h"
#include "model/decoder_weights.h"
#include "model/key_value_cache.h"

namespace tandem {

// Holds the buffers; one thread at a time may call it, and it shares the work
// among at::get_num_threads(). Weights in blocks with integer kernels
// (block_dot.h) are multiplied by activations rounded to 8 bits, all others in
// fp32.
class DecodeStep {
 public:
  // The weights must outlive this; `adapter` may be null and is not needed
  // afterwards. Embeddings are multiplied by embedding_scale.
  DecodeStep(const DecoderConfig& config, const DecoderWeights& weights,
             double embedding_scale, const Adapter* adapter);
  ~DecodeStep();
  DecodeStep(DecodeStep&&) noexcept;

  // Appends tokens[s] to the sequence of caches[s] and returns the logits after
  // it: [sequences, vocabulary_size] fp32. Throws
  // std::invalid_argument past the context length, c10::Error for a token
  // outside the vocabulary.
  at::Tensor Run(const std::vector<int32_t>& tokens,
                 const std::vector<KeyValueCache*>& caches);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_DECODE_STEP_H_
