#include "model/weight_layout.h"

#include <spdlog/fmt/ranges.h>

#include <set>

#include "model/architecture.h"

namespace tandem {
namespace {

// Collects the weights of one layer.
class LayerLayout {
 public:
  LayerLayout(const DecoderConfig& config, int64_t layer,
              std::vector<WeightLayout>& weights)
      : config_(config),
        architecture_(ArchitectureNamed(config.architecture)),
        huggingface_(fmt::format("model.layers.{}.", layer)),
        gguf_(fmt::format("blk.{}.", layer)),
        weights_(weights) {}

  void AddAll() {
    const Architecture& a = architecture_;
    const int64_t d = config_.hidden_size, ff = config_.intermediate_size;
    AddNorm(a.attention_norm, d);
    AddAttention();
    AddNorm(a.attention_output_norm, d);
    AddNorm(a.feed_forward_norm, d);
    Add({"mlp.gate_proj", "ffn_gate"}, "weight", {ff, d});
    Add({"mlp.up_proj", "ffn_up"}, "weight", {ff, d});
    Add({"mlp.down_proj", "ffn_down"}, "weight", {d, ff});
    AddNorm(a.feed_forward_output_norm, d);
  }

 private:
  void AddAttention() {
    const DecoderConfig& c = config_;
    const int64_t d = c.hidden_size;
    const int64_t q = c.attention_heads * c.head_size;
    const int64_t kv = c.key_value_heads * c.head_size;
    const bool all =
        architecture_.bias == AttentionBias::kByConfig && c.attention_bias;
    const bool biased =
        all || architecture_.bias == AttentionBias::kQueryKeyValue;
    const bool interleaved = architecture_.interleaves_rotation;
    AddLinear({"self_attn.q_proj", "attn_q"}, {q, d}, biased,
              interleaved ? c.attention_heads : 0);
    AddLinear({"self_attn.k_proj", "attn_k"}, {kv, d}, biased,
              interleaved ? c.key_value_heads : 0);
    AddLinear({"self_attn.v_proj", "attn_v"}, {kv, d}, biased);
    AddLinear({"self_attn.o_proj", "attn_output"}, {d, q}, all);
    AddNorm(architecture_.query_norm, c.head_size);
    AddNorm(architecture_.key_norm, c.head_size);
  }

  void AddLinear(const LayerModule& module, std::vector<int64_t> shape,
                 bool biased, int64_t interleaved_heads = 0) {
    const int64_t out = shape.front();
    Add(module, "weight", std::move(shape)).interleaved_heads =
        interleaved_heads;
    if (!biased) return;
    Add(module, "bias", {out}).interleaved_heads = interleaved_heads;
  }

  void AddNorm(const LayerModule& module, int64_t size) {
    if (!module.exists()) return;
    Add(module, "weight", {size}).gguf_offset = architecture_.norm_offset;
  }

  WeightLayout& Add(const LayerModule& module, std::string_view what,
                    std::vector<int64_t> shape) {
    return weights_.emplace_back(WeightLayout{
        fmt::format("{}{}.{}", huggingface_, module.huggingface, what),
        fmt::format("{}{}.{}", gguf_, module.gguf, what), std::move(shape)});
  }

  const DecoderConfig& config_;
  const Architecture& architecture_;
  const std::string huggingface_, gguf_;
  std::vector<WeightLayout>& weights_;
};

Status CheckWeight(const WeightLayout& weight, const at::Tensor& tensor) {
  if (tensor.sizes() != at::IntArrayRef(weight.shape)) {
    return InvalidArgument("tensor '{}' has the shape [{}], expected [{}]",
                           weight.name, fmt::join(tensor.sizes().vec(), ", "),
                           fmt::join(weight.shape, ", "));
  }
  const at::ScalarType type = tensor.scalar_type();
  if (type != at::kFloat && type != at::kHalf && type != at::kBFloat16) {
    return InvalidArgument("tensor '{}' is {}, expected F32, F16 or BF16",
                           weight.name, c10::toString(type));
  }
  return OkStatus();
}

}  // namespace

int64_t WeightLayout::HuggingFaceRowOf(int64_t gguf_row) const {
  return interleaved_heads
             ? HuggingFaceRow(gguf_row, rows() / interleaved_heads)
             : gguf_row;
}

std::vector<WeightLayout> WeightsOf(const DecoderConfig& config) {
  const std::vector<int64_t> table = {config.vocabulary_size,
                                      config.hidden_size};
  std::vector<WeightLayout> weights;
  weights.push_back({"model.embed_tokens.weight", "token_embd.weight", table});
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    LayerLayout(config, layer, weights).AddAll();
  }
  weights.push_back(
      {"model.norm.weight", "output_norm.weight", {config.hidden_size}});
  weights.back().gguf_offset =
      ArchitectureNamed(config.architecture).norm_offset;
  if (!config.tied_embeddings) {
    weights.push_back({"lm_head.weight", "output.weight", table});
  }
  return weights;
}

Status CheckWeights(const DecoderConfig& config, const TensorMap& tensors) {
  std::set<std::string> expected;
  for (const WeightLayout& weight : WeightsOf(config)) {
    const auto found = tensors.find(weight.name);
    if (found == tensors.end()) {
      return InvalidArgument("tensor '{}' is missing", weight.name);
    }
    TANDEM_RETURN_IF_ERROR(CheckWeight(weight, found->second));
    expected.insert(weight.name);
  }
  for (const auto& [name, tensor] : tensors) {
    if (!expected.contains(name)) {
      return InvalidArgument("tensor '{}' has no place in a {}", name,
                             config.architecture);
    }
  }
  return OkStatus();
}

int64_t HuggingFaceRow(int64_t gguf_row, int64_t head_size) {
  const int64_t head = gguf_row / head_size, within = gguf_row % head_size;
  return head * head_size + within % 2 * (head_size / 2) + within / 2;
}

}  // namespace tandem
