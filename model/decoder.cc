#include "model/decoder.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>

#include "common/random.h"
#include "model/architecture.h"
#include "model/aten.h"
#include "model/causal_attention.h"
#include "model/decoder_weights.h"
#include "model/frozen_product.h"
#include "model/geglu.h"
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
using Attend = std::function<at::Tensor(
    int64_t layer, const at::Tensor& query, const at::Tensor& key,
    const at::Tensor& value, const AttentionOptions& options)>;

// What Forward and ForwardCached share: one pass through the layers.
class Pass {
 public:
  // rows: of the output; undefined: all.
  Pass(const DecoderConfig& config, const Adapter* adapter,
       const std::vector<int64_t>& positions, Attend attend, at::Tensor rows)
      : config_(config),
        architecture_(ArchitectureNamed(config.architecture)),
        adapter_(adapter),
        attend_(std::move(attend)),
        rows_(std::move(rows)),
        angles_(RotaryAnglesAt(positions, config.head_size, config.rope_theta,
                               config.rope_scaling)) {
    if (!config.windowed_layers.empty())
      local_angles_ =
          RotaryAnglesAt(positions, config.head_size, config.local_rope_theta);
  }

  at::Tensor Run(const DecoderWeights& weights, const at::Tensor& tokens,
                 double embedding_scale) const {
    at::Tensor h = weights.embedding.SelectRows(tokens);
    if (embedding_scale != 1) h = h * embedding_scale;
    for (int64_t i = 0; i < config_.layers; ++i) {
      // The last layer's activations are wanted as soon as it is done.
      h = Recomputes() && i + 1 < config_.layers
              ? Recomputed(h, LeavesOfLayer(i),
                           [pass = *this, &weights, i](const at::Tensor& x) {
                             return pass.Layer(weights.layers[i], i, x);
                           })
              : Layer(weights.layers[i], i, h);
    }
    return Norm(h, weights.final_norm);
  }

 private:
  at::Tensor Layer(const LayerWeights& w, int64_t i, at::Tensor h) const {
    at::Tensor attended = Attention(w, i, h);
    if (rows_.defined() && i + 1 == config_.layers) {
      attended = attended.index_select(0, rows_);
      h = h.index_select(0, rows_);
    }
    h = h + Norm(Project(attended, {&w.o})[0], w.attention_output_norm);
    return h + Norm(FeedForward(w, h), w.feed_forward_output_norm);
  }

  bool Recomputes() const {
    return adapter_ != nullptr && at::GradMode::is_enabled() &&
           RecomputeMode::IsEnabled();
  }

  // The adapter's tensors of layer `i` that want a gradient.
  std::vector<at::Tensor> LeavesOfLayer(int64_t i) const {
    const std::string part = fmt::format(".layers.{}.", i);
    std::vector<at::Tensor> leaves;
    for (const auto& [name, tensor] : adapter_->tensors) {
      if (tensor.requires_grad() && name.find(part) != std::string::npos)
        leaves.push_back(tensor);
    }
    return leaves;
  }

  // As it is where the architecture has no such norm.
  at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight) const {
    return weight.defined() ? RmsNorm(x, weight, config_.rms_norm_epsilon) : x;
  }

  // The same as what projections read: `x` is kept, its norm is not.
  LinearInput Normed(const at::Tensor& x, const at::Tensor& weight) const {
    return {Norm(x, weight),
            {x},
            [weight, epsilon = config_.rms_norm_epsilon](
                const std::vector<at::Tensor>& kept) {
              return RmsNorm(kept[0], weight, epsilon);
            }};
  }

  LinearInput Gated(const at::Tensor& gate, const at::Tensor& up) const {
    const auto activation =
        architecture_.activation == Activation::kSilu ? SwiGlu : GeGlu;
    return {activation(gate, up),
            {gate, up},
            [activation](const std::vector<at::Tensor>& kept) {
              return activation(kept[0], kept[1]);
            }};
  }

  std::vector<at::Tensor> Project(
      const LinearInput& x,
      std::initializer_list<const AdaptableLinear*> linears) const {
    std::vector<LoraProjection> projections;
    projections.reserve(linears.size());
    for (const AdaptableLinear* linear : linears)
      projections.push_back(WithFactors(*linear, adapter_));
    std::vector<at::Tensor> y = LoraLinear(
        x, projections, DropoutOf(adapter_, (*linears.begin())->module));
    size_t i = 0;
    for (const AdaptableLinear* linear : linears) {
      if (linear->bias.defined()) y[i] = y[i] + linear->bias;
      ++i;
    }
    return y;
  }

  // Head by head normalised, then turned. x: [tokens, heads * head_size].
  at::Tensor Turn(const at::Tensor& x, const at::Tensor& norm,
                  int64_t layer) const {
    const at::Tensor heads = Norm(x.view({-1, config_.head_size}), norm);
    return Rotate(heads.view(x.sizes()),
                  config_.IsWindowed(layer) ? local_angles_ : angles_);
  }

  at::Tensor Attention(const LayerWeights& w, int64_t layer,
                       const at::Tensor& h) const {
    const auto qkv = Project(Normed(h, w.attention_norm), {&w.q, &w.k, &w.v});
    const AttentionOptions options = {
        .scale = config_.ScoreScale(),
        .window = config_.IsWindowed(layer) ? config_.sliding_window : 0};
    return attend_(layer, Turn(qkv[0], w.query_norm, layer),
                   Turn(qkv[1], w.key_norm, layer), qkv[2], options);
  }

  at::Tensor FeedForward(const LayerWeights& w, const at::Tensor& h) const {
    const auto gate_up =
        Project(Normed(h, w.feed_forward_norm), {&w.gate, &w.up});
    return Project(Gated(gate_up[0], gate_up[1]), {&w.down})[0];
  }

  const DecoderConfig& config_;
  const Architecture& architecture_;
  const Adapter* adapter_;
  const Attend attend_;
  const at::Tensor rows_;
  RotaryAngles angles_;
  RotaryAngles local_angles_;  // of windowed layers
};

// sqrt(hidden_size), rounded to the weights' dtype as transformers does.
double EmbeddingScale(const DecoderConfig& config, at::ScalarType dtype) {
  if (!ArchitectureNamed(config.architecture).scales_embeddings) return 1;
  const double scale = std::sqrt(static_cast<double>(config.hidden_size));
  return at::scalar_tensor(scale, dtype).item<double>();
}

}  // namespace

StatusOr<WeightStorage> ParseComputeDtype(const std::string& name) {
  const at::ScalarType fastest =
      PrefersSixteenBits() ? at::kBFloat16 : at::kFloat;
  if (name == "fp32") return WeightStorage(at::kFloat);
  if (name == "bf16") return WeightStorage(at::kBFloat16);
  if (name == "auto") return WeightStorage(fastest);
  if (name == "quantised") return WeightStorage(fastest, /*keep=*/true);
  return InvalidArgument(
      "dtype '{}' is unknown; known: fp32, bf16, auto, quantised", name);
}

struct Decoder::Impl {
  DecoderConfig config;
  DecoderWeights weights;
  double embedding_scale;
};

StatusOr<Decoder> Decoder::Create(const Checkpoint& checkpoint,
                                  const WeightStorage& storage) {
  TANDEM_ASSIGN_OR_RETURN(DecoderWeights weights,
                          CollectWeights(checkpoint, storage));
  Decoder decoder;
  decoder.impl_ = std::make_shared<const Impl>(
      Impl{checkpoint.config, std::move(weights),
           EmbeddingScale(checkpoint.config, storage.dtype)});
  return decoder;
}

const DecoderConfig& Decoder::config() const { return impl_->config; }
const FrozenWeight& Decoder::head_weight() const { return impl_->weights.head; }

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
                            int64_t, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value,
                            const AttentionOptions& options) {
    return CausalAttention(query, key, value, document_offsets, head_size,
                           options);
  };
  return Pass(config, adapter, positions, attend, rows)
      .Run(impl_->weights, tokens, impl_->embedding_scale);
}

at::Tensor Decoder::ForwardCached(const at::Tensor& tokens,
                                  KeyValueCache& cache, const Adapter* adapter,
                                  const at::Tensor& rows) const {
  const at::NoGradGuard no_grad;
  const DecoderConfig& config = impl_->config;
  const int64_t n = tokens.size(0), used = cache.length();
  if (used + n > config.context_length)
    throw std::invalid_argument(
        fmt::format("{} tokens after {} pass the context length of {}", n, used,
                    config.context_length));
  std::vector<int64_t> positions(n);
  std::iota(positions.begin(), positions.end(), used);
  cache.Reserve(used + n);
  const Attend attend = [&](int64_t layer, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value,
                            const AttentionOptions& options) {
    const auto [keys, values] = cache.Append(layer, key, value);
    // A prompt needs no earlier tokens: flash attention, linear memory.
    if (used == 0)
      return CausalAttention(query, key, value, {0, n}, config.head_size,
                             options);
    return CachedAttention(query, keys, values, options);
  };
  const at::Tensor hidden =
      Pass(config, adapter, positions, attend, rows)
          .Run(impl_->weights, tokens, impl_->embedding_scale);
  cache.Advance(n);
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
  TrieAttention attention(tries);
  const Attend attend = [&](int64_t, const at::Tensor& query,
                            const at::Tensor& key, const at::Tensor& value,
                            const AttentionOptions& options) {
    return attention(query, key, value, config.head_size, options);
  };
  return Pass(config, adapter, positions, attend, rows)
      .Run(impl_->weights, at::tensor(tokens, at::kLong),
           impl_->embedding_scale);
}

DecodeStep Decoder::NewDecodeStep(const Adapter* adapter) const {
  return DecodeStep(impl_->config, impl_->weights, impl_->embedding_scale,
                    adapter);
}

at::Tensor Decoder::Logits(const at::Tensor& hidden) const {
  return TimesTransposedExactly(hidden, impl_->weights.head);
}

}  // namespace tandem
