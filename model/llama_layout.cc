#include "model/llama_layout.h"

#include <cmath>
#include <set>

namespace tandem {
namespace {

constexpr std::string_view kKnownArchitectures[] = {"llama"};

Status CheckRange(std::string_view field, int64_t value, int64_t maximum) {
  if (value >= 1 && value <= maximum) return OkStatus();
  return InvalidArgument("{} is {}, expected 1 to {}", field, value, maximum);
}

Status CheckPositive(std::string_view field, double value) {
  if (std::isfinite(value) && value > 0) return OkStatus();
  return InvalidArgument("{} is {}, expected a positive number", field, value);
}

void AddLayer(const DecoderConfig& c, int64_t layer,
              std::vector<WeightLayout>& weights) {
  const int64_t d = c.hidden_size, ff = c.intermediate_size;
  const int64_t q = c.attention_heads * c.head_size;
  const int64_t kv = c.key_value_heads * c.head_size;
  const auto hf = fmt::format("model.layers.{}.", layer);
  const auto gguf = fmt::format("blk.{}.", layer);
  const auto add = [&](const char* name, const char* gguf_name,
                       std::vector<int64_t> shape, int64_t heads = 0) {
    weights.push_back({fmt::format("{}{}.weight", hf, name),
                       fmt::format("{}{}.weight", gguf, gguf_name),
                       std::move(shape), heads});
  };
  add("input_layernorm", "attn_norm", {d});
  add("self_attn.q_proj", "attn_q", {q, d}, c.attention_heads);
  add("self_attn.k_proj", "attn_k", {kv, d}, c.key_value_heads);
  add("self_attn.v_proj", "attn_v", {kv, d});
  add("self_attn.o_proj", "attn_output", {d, q});
  add("post_attention_layernorm", "ffn_norm", {d});
  add("mlp.gate_proj", "ffn_gate", {ff, d});
  add("mlp.up_proj", "ffn_up", {ff, d});
  add("mlp.down_proj", "ffn_down", {d, ff});
}

}  // namespace

Status CheckArchitecture(const std::string& architecture) {
  for (const std::string_view known : kKnownArchitectures) {
    if (known == architecture) return OkStatus();
  }
  return InvalidArgument(
      "architecture '{}' is not supported, expected one of {}", architecture,
      fmt::join(kKnownArchitectures, ", "));
}

Status CheckDecoderConfig(const DecoderConfig& c) {
  constexpr int64_t kWide = 1 << 20;
  TANDEM_RETURN_IF_ERROR(CheckArchitecture(c.architecture));
  TANDEM_RETURN_IF_ERROR(CheckRange("hidden_size", c.hidden_size, kWide));
  TANDEM_RETURN_IF_ERROR(
      CheckRange("intermediate_size", c.intermediate_size, kWide));
  TANDEM_RETURN_IF_ERROR(CheckRange("layers", c.layers, 4096));
  TANDEM_RETURN_IF_ERROR(
      CheckRange("attention_heads", c.attention_heads, 1 << 16));
  TANDEM_RETURN_IF_ERROR(
      CheckRange("key_value_heads", c.key_value_heads, c.attention_heads));
  TANDEM_RETURN_IF_ERROR(CheckRange("head_size", c.head_size, 1 << 16));
  TANDEM_RETURN_IF_ERROR(
      CheckRange("vocabulary_size", c.vocabulary_size, 1 << 24));
  TANDEM_RETURN_IF_ERROR(
      CheckRange("context_length", c.context_length, int64_t{1} << 31));
  TANDEM_RETURN_IF_ERROR(CheckPositive("rms_norm_epsilon", c.rms_norm_epsilon));
  TANDEM_RETURN_IF_ERROR(CheckPositive("rope_theta", c.rope_theta));
  if (c.attention_heads % c.key_value_heads != 0) {
    return InvalidArgument(
        "attention_heads is {}, expected a multiple of key_value_heads, {}",
        c.attention_heads, c.key_value_heads);
  }
  if (c.head_size % 2 != 0) {
    return InvalidArgument("head_size is {}, expected an even number",
                           c.head_size);
  }
  return OkStatus();
}

std::vector<WeightLayout> LlamaWeights(const DecoderConfig& config) {
  const std::vector<int64_t> table = {config.vocabulary_size,
                                      config.hidden_size};
  std::vector<WeightLayout> weights;
  weights.push_back({"model.embed_tokens.weight", "token_embd.weight", table});
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    AddLayer(config, layer, weights);
  }
  weights.push_back(
      {"model.norm.weight", "output_norm.weight", {config.hidden_size}});
  if (!config.tied_embeddings) {
    weights.push_back({"lm_head.weight", "output.weight", table});
  }
  return weights;
}

Status CheckWeights(const DecoderConfig& config, const TensorMap& tensors) {
  std::set<std::string> expected;
  for (const WeightLayout& weight : LlamaWeights(config)) {
    const auto found = tensors.find(weight.name);
    if (found == tensors.end()) {
      return InvalidArgument("tensor '{}' is missing", weight.name);
    }
    const at::Tensor& tensor = found->second;
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
