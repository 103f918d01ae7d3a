#include "model/decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <functional>
#include <numeric>
#include <stdexcept>

#include "common/random.h"
#include "model/causal_attention.h"
#include "model/decoder_weights.h"
#include "model/frozen_product.h"
#include "model/generator.h"
#include "model/recompute.h"
#include "model/rms_norm.h"
#include "model/rotary_embedding.h"
#include "model/swiglu.h"
#include "model/token_trie.h"
#include "model/trie_attention.h"

namespace tandem {
namespace {

// The position of every token in its own document.
std::vector<int64_t> PackedPositions(const std::vector<int64_t>& offsets,
                                     int64_t tokens, int64_t context_length) {
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != tokens)
    throw std::invalid_argument(
        fmt::format("document offsets do not span {} tokens", tokens));
  std::vector<int64_t> positions;
  positions.reserve(tokens);
  for (size_t i = 0; i + 1 < offsets.size(); ++i) {
    const int64_t length = offsets[i + 1] - offsets[i];
    if (length < 0 || length > context_length)
      throw std::invalid_argument(
          fmt::format("document {} has {} tokens, the context holds {}", i,
                      length, context_length));
    for (int64_t p = 0; p < length; ++p) positions.push_back(p);
  }
  return positions;
}

// Linears that share an input share the mask, named after the first of them.
LoraDropout DropoutOf(const Adapter* adapter, const std::string& module) {
  if (adapter == nullptr || !adapter->dropout_seed ||
      adapter->options.dropout == 0)
    return {};
  return {adapter->options.dropout, DeriveSeed(*adapter->dropout_seed, module)};
}

// Attention of one layer over rotated queries and keys.
using Attend =
    std::function<at::Tensor(size_t layer, const at::Tensor& query,
                             const at::Tensor& key, const at::Tensor& value)>;

// One pass through the layers: what Forward and ForwardCached share.
struct Pass {
  const DecoderConfig& config;
  const Adapter* adapter;
  RotaryAngles angles;
  Attend attend;
  at::Tensor rows;  // of the output; undefined: all

  std::vector<at::Tensor> Project(
      const at::Tensor& x,
      std::initializer_list<const AdaptableLinear*> linears) const {
    std::vector<LoraProjection> projections;
    for (const AdaptableLinear* linear : linears)
      projections.push_back(WithFactors(*linear, adapter));
    return LoraLinear(x, projections,
                      DropoutOf(adapter, (*linears.begin())->module));
  }

  at::Tensor Attention(const LayerWeights& w, size_t layer,
                       const at::Tensor& h) const {
    const at::Tensor x = RmsNorm(h, w.input_norm, config.rms_norm_epsilon);
    const auto qkv = Project(x, {&w.q, &w.k, &w.v});
    return attend(layer, Rotate(qkv[0], angles), Rotate(qkv[1], angles),
                  qkv[2]);
  }

  at::Tensor FeedForward(const LayerWeights& w, const at::Tensor& h) const {
    const at::Tensor x =
        RmsNorm(h, w.post_attention_norm, config.rms_norm_epsilon);
    const auto gate_up = Project(x, {&w.gate, &w.up});
    return Project(SwiGlu(gate_up[0], gate_up[1]), {&w.down})[0];
  }

  at::Tensor Layer(const DecoderWeights& weights, size_t i,
                   at::Tensor h) const {
    const LayerWeights& w = weights.layers[i];
    at::Tensor attended = Attention(w, i, h);
    if (rows.defined() && i + 1 == weights.layers.size()) {
      attended = attended.index_select(0, rows);
      h = h.index_select(0, rows);
    }
    h = h + Project(attended, {&w.o})[0];
    return h + FeedForward(w, h);
  }

  bool Recomputes() const {
    return adapter != nullptr && at::GradMode::is_enabled() &&
           RecomputeMode::IsEnabled();
  }

  // The adapter's tensors of layer `i` that want a gradient.
  std::vector<at::Tensor> LeavesOfLayer(size_t i) const {
    const std::string part = fmt::format(".layers.{}.", i);
    std::vector<at::Tensor> leaves;
    for (const auto& [name, tensor] : adapter->tensors) {
      if (tensor.requires_grad() && name.find(part) != std::string::npos)
        leaves.push_back(tensor);
    }
    return leaves;
  }

  at::Tensor Run(const DecoderWeights& weights,
                 const at::Tensor& tokens) const {
    at::Tensor h = weights.embedding.index_select(0, tokens).to(at::kFloat);
    const size_t layers = weights.layers.size();
    for (size_t i = 0; i < layers; ++i) {
      // The last layer's activations are wanted as soon as it is done.
      h = Recomputes() && i + 1 < layers
              ? Recomputed(h, LeavesOfLayer(i),
                           [pass = *this, &weights, i](const at::Tensor& x) {
                             return pass.Layer(weights, i, x);
                           })
              : Layer(weights, i, h);
    }
    return RmsNorm(h, weights.final_norm, config.rms_norm_epsilon);
  }
};

// Room for `needed` tokens in [key_value_heads, capacity, head_size], by
// doubling; the first `used` stay.
void Reserve(at::Tensor& buffer, int64_t used, int64_t needed) {
  if (buffer.size(1) >= needed) return;
  at::Tensor larger = at::empty(
      {buffer.size(0), std::max(needed, 2 * buffer.size(1)), buffer.size(2)},
      buffer.options());
  larger.narrow(1, 0, used).copy_(buffer.narrow(1, 0, used));
  buffer = larger;
}

// Appends x [n, key_value_heads * head_size]; returns all tokens so far.
at::Tensor Append(at::Tensor& buffer, int64_t used, const at::Tensor& x) {
  const int64_t n = x.size(0);
  Reserve(buffer, used, used + n);
  buffer.narrow(1, used, n)
      .copy_(x.view({n, buffer.size(0), buffer.size(2)}).transpose(0, 1));
  return buffer.narrow(1, 0, used + n);
}

}  // namespace

StatusOr<at::ScalarType> ParseComputeDtype(const std::string& name) {
  if (name == "fp32") return at::kFloat;
  if (name == "bf16") return at::kBFloat16;
  if (name == "auto") return MultipliesBfloat16() ? at::kBFloat16 : at::kFloat;
  return InvalidArgument("dtype '{}' is unknown; known: fp32, bf16, auto",
                         name);
}

struct Decoder::Impl {
  DecoderConfig config;
  at::ScalarType dtype;
  DecoderWeights weights;
};

StatusOr<Decoder> Decoder::Create(const Checkpoint& checkpoint,
                                  at::ScalarType dtype) {
  TANDEM_ASSIGN_OR_RETURN(DecoderWeights weights,
                          CollectWeights(checkpoint, dtype));
  Decoder decoder;
  decoder.impl_ = std::make_shared<const Impl>(
      Impl{checkpoint.config, dtype, std::move(weights)});
  return decoder;
}

const DecoderConfig& Decoder::config() const { return impl_->config; }
at::ScalarType Decoder::dtype() const { return impl_->dtype; }
const at::Tensor& Decoder::head_weight() const { return impl_->weights.head; }

at::Tensor Decoder::Forward(const at::Tensor& tokens,
                            const std::vector<int64_t>& document_offsets,
                            const Adapter* adapter) const {
  return ForwardRows(tokens, document_offsets, at::Tensor(), adapter);
}

at::Tensor Decoder::ForwardRows(const at::Tensor& tokens,
                                const std::vector<int64_t>& document_offsets,
                                const at::Tensor& rows,
                                const Adapter* adapter) const {
  const DecoderConfig& config = impl_->config;
  const auto positions =
      PackedPositions(document_offsets, tokens.size(0), config.context_length);
  // Its own copies: recomputed layers call it in the backward pass.
  const Attend attend = [document_offsets, head_size = config.head_size](
                            size_t, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value) {
    return CausalAttention(query, key, value, document_offsets, head_size);
  };
  return Pass{config, adapter,
              RotaryAnglesAt(positions, config.head_size, config.rope_theta),
              attend, rows}
      .Run(impl_->weights, tokens);
}

at::Tensor Decoder::ForwardCached(const at::Tensor& tokens,
                                  KeyValueCache& cache,
                                  const Adapter* adapter) const {
  const at::NoGradGuard no_grad;
  const DecoderConfig& config = impl_->config;
  const int64_t n = tokens.size(0), used = cache.length_;
  if (used + n > config.context_length)
    throw std::invalid_argument(
        fmt::format("{} tokens after {} pass the context length of {}", n, used,
                    config.context_length));
  std::vector<int64_t> positions(n);
  std::iota(positions.begin(), positions.end(), used);
  const Attend attend = [&](size_t layer, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value) {
    const at::Tensor keys = Append(cache.keys_[layer], used, key);
    const at::Tensor values = Append(cache.values_[layer], used, value);
    // A prompt needs no earlier tokens: flash attention, linear memory.
    if (used == 0)
      return CausalAttention(query, key, value, {0, n}, config.head_size);
    return CachedAttention(query, keys, values);
  };
  const at::Tensor hidden =
      Pass{config, adapter,
           RotaryAnglesAt(positions, config.head_size, config.rope_theta),
           attend, at::Tensor()}
          .Run(impl_->weights, tokens);
  cache.length_ += n;
  return hidden;
}

at::Tensor Decoder::RowNorms(const std::string& module) const {
  for (const LayerWeights& w : impl_->weights.layers)
    for (const AdaptableLinear* linear :
         {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down})
      if (linear->module == module)
        return linear->row_squares->Of(linear->weight).sqrt().to(at::kFloat);
  throw std::invalid_argument("the model has no linear '" + module + "'");
}

at::Tensor Decoder::ForwardTries(const std::vector<const TokenTrie*>& tries,
                                 const at::Tensor& rows,
                                 const Adapter* adapter) const {
  const at::NoGradGuard no_grad;
  const DecoderConfig& config = impl_->config;
  std::vector<int64_t> tokens, positions;
  for (const TokenTrie* trie : tries) {
    tokens.insert(tokens.end(), trie->tokens().begin(), trie->tokens().end());
    positions.insert(positions.end(), trie->positions().begin(),
                     trie->positions().end());
  }
  for (const int64_t position : positions)
    if (position >= config.context_length)
      throw std::invalid_argument(
          fmt::format("a sequence has more than {} tokens, the context",
                      config.context_length));
  const TrieAttention attention(tries);
  const Attend attend = [&](size_t, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value) {
    return attention(query, key, value, config.head_size);
  };
  return Pass{config, adapter,
              RotaryAnglesAt(positions, config.head_size, config.rope_theta),
              attend, rows}
      .Run(impl_->weights, at::tensor(tokens, at::kLong));
}

at::Tensor Decoder::Logits(const at::Tensor& hidden) const {
  return TimesTransposedExactly(hidden, impl_->weights.head);
}

}  // namespace tandem
