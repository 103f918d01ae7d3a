// A frozen decoder-only transformer that runs with or without a LoRA adapter.
// Throws c10::Error (numeric code).
#ifndef TANDEM_MODEL_DECODER_H_
#define TANDEM_MODEL_DECODER_H_

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "common/status.h"
#include "model/adapter.h"
#include "model/checkpoint.h"
#include "model/decode_step.h"
#include "model/key_value_cache.h"
#include "model/packed_batch.h"

namespace tandem {

class TokenTrie;

// What the weights are kept in: "fp32" and "bf16" by name; "auto" is bf16 where
// that is the faster one (AVX512-BF16, AMX, or AVX2 without AVX-512), else
// fp32; "quantised" leaves a GGUF's blocks as they are, and is "auto" for the
// rest. The residual stream, norms and attention are fp32 in any case.
// InvalidArgument for any other name.
StatusOr<WeightStorage> ParseComputeDtype(const std::string& name);

class Decoder {
 public:
  // Matrices that are stored otherwise are converted; all others are shared
  // with the checkpoint. InvalidArgument: a missing or misshapen tensor, an
  // unknown architecture.
  static StatusOr<Decoder> Create(const Checkpoint& checkpoint,
                                  const WeightStorage& storage);

  const DecoderConfig& config() const;

  // Hidden states after the final norm: [tokens, hidden_size] fp32. Documents
  // do not see each other; positions restart in each. `adapter` may be null.
  // Gradients reach the adapter's tensors where they require them, nothing
  // else. Throws std::invalid_argument for offsets that do not cut up `tokens`
  // or a document past the context length, c10::Error for a token outside the
  // vocabulary.
  at::Tensor Forward(const at::Tensor& tokens,
                     const std::vector<int64_t>& document_offsets,
                     const Adapter* adapter) const;

  // Forward(...).index_select(0, rows), but the last layer's feed-forward block
  // and the final norm run for `rows` [targets] int64 alone: what training and
  // evaluation need, since prompts carry no loss.
  at::Tensor ForwardRows(const at::Tensor& tokens,
                         const std::vector<int64_t>& document_offsets,
                         const at::Tensor& rows, const Adapter* adapter) const;

  // The next tokens of one sequence: appends their keys and values to `cache`
  // and returns hidden states [tokens, hidden_size], without gradients; of
  // `rows` alone where that is given, as ForwardRows does. Throws
  // std::invalid_argument past the context length.
  at::Tensor ForwardCached(const at::Tensor& tokens, KeyValueCache& cache,
                           const Adapter* adapter,
                           const at::Tensor& rows = at::Tensor()) const;

  // ForwardCached and Logits for one token of each of a few sequences, far
  // faster. It must not outlive this model.
  DecodeStep NewDecodeStep(const Adapter* adapter) const;

  // ForwardRows over tries laid end to end, each token seeing its ancestors
  // alone; without gradients. Throws std::invalid_argument for a sequence past
  // the context length.
  at::Tensor ForwardTries(const std::vector<const TokenTrie*>& tries,
                          const at::Tensor& rows, const Adapter* adapter) const;

  // fp32 logits: [rows, vocabulary_size] of hidden: [rows, hidden_size].
  at::Tensor Logits(const at::Tensor& hidden) const;
  // L2 norms of the rows of a linear's weight: [out] fp32, for
  // "model.layers.0.self_attn.q_proj" and its like. Throws
  // std::invalid_argument for a module that is none.
  at::Tensor RowNorms(const std::string& module) const;
  // [vocabulary_size, hidden_size].
  const FrozenWeight& head_weight() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_DECODER_H_
