#include "model/decoder_weights.h"

#include <ATen/ATen.h>

#include "model/adapted_linears.h"

namespace tandem {
namespace {

Status CheckSizes(const DecoderConfig& c) {
  if (c.architecture != "llama")
    return InvalidArgument("architecture '{}' is unknown; known: llama",
                           c.architecture);
  for (const auto& [name, value] :
       {std::pair("hidden_size", c.hidden_size),
        std::pair("intermediate_size", c.intermediate_size),
        std::pair("layers", c.layers),
        std::pair("attention_heads", c.attention_heads),
        std::pair("key_value_heads", c.key_value_heads),
        std::pair("head_size", c.head_size),
        std::pair("vocabulary_size", c.vocabulary_size),
        std::pair("context_length", c.context_length)})
    if (value < 1)
      return InvalidArgument("{} is {}, not positive", name, value);
  if (c.attention_heads % c.key_value_heads != 0)
    return InvalidArgument("{} attention heads cannot share {} key-value heads",
                           c.attention_heads, c.key_value_heads);
  if (c.head_size % 2 != 0)
    return InvalidArgument("head_size {} is odd; rotary embedding turns pairs",
                           c.head_size);
  return OkStatus();
}

// Takes tensors of expected shapes out of a checkpoint; the first error stays.
class Collector {
 public:
  Collector(const TensorMap& tensors, at::ScalarType dtype)
      : tensors_(tensors), dtype_(dtype) {}

  // A matrix, in the dtype given. Vectors weigh nothing and stay fp32.
  at::Tensor TakeMatrix(const std::string& name, at::IntArrayRef shape) {
    return Take(name, shape, dtype_);
  }
  at::Tensor TakeVector(const std::string& name, int64_t size) {
    return Take(name, {size}, at::kFloat);
  }

  AdaptableLinear TakeLinear(const std::string& module, int64_t out,
                             int64_t in) {
    return {TakeMatrix(module + ".weight", {out, in}),
            module,
            LoraAName(module),
            LoraBName(module),
            MagnitudeName(module),
            std::make_shared<RowSquaresCache>()};
  }

  const Status& status() const { return status_; }

 private:
  at::Tensor Take(const std::string& name, at::IntArrayRef shape,
                  at::ScalarType dtype) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      Fail(InvalidArgument("tensor '{}' is missing", name));
    } else if (found->second.sizes() != shape) {
      Fail(InvalidArgument("tensor '{}' has shape {}, expected {}", name,
                           ShapeText(found->second.sizes()), ShapeText(shape)));
    } else {
      return found->second.to(dtype).contiguous();
    }
    return at::Tensor();
  }

  static std::string ShapeText(at::IntArrayRef shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i)
      text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
  }
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  const TensorMap& tensors_;
  at::ScalarType dtype_;
  Status status_;
};

LayerWeights CollectLayer(Collector& collector, const DecoderConfig& c,
                          int64_t index) {
  const std::string layer = "model.layers." + std::to_string(index) + ".";
  const int64_t d = c.hidden_size, ff = c.intermediate_size;
  const int64_t q = c.attention_heads * c.head_size;
  const int64_t kv = c.key_value_heads * c.head_size;
  LayerWeights weights;
  weights.q = collector.TakeLinear(layer + "self_attn.q_proj", q, d);
  weights.k = collector.TakeLinear(layer + "self_attn.k_proj", kv, d);
  weights.v = collector.TakeLinear(layer + "self_attn.v_proj", kv, d);
  weights.o = collector.TakeLinear(layer + "self_attn.o_proj", d, q);
  weights.gate = collector.TakeLinear(layer + "mlp.gate_proj", ff, d);
  weights.up = collector.TakeLinear(layer + "mlp.up_proj", ff, d);
  weights.down = collector.TakeLinear(layer + "mlp.down_proj", d, ff);
  weights.input_norm =
      collector.TakeVector(layer + "input_layernorm.weight", d);
  weights.post_attention_norm =
      collector.TakeVector(layer + "post_attention_layernorm.weight", d);
  return weights;
}

}  // namespace

LoraProjection WithFactors(const AdaptableLinear& linear,
                           const Adapter* adapter) {
  LoraProjection projection{linear.weight, {}, {}};
  if (adapter == nullptr) return projection;
  const auto a = adapter->tensors.find(linear.lora_a_name);
  if (a == adapter->tensors.end()) return projection;
  projection.a = a->second;
  projection.b = adapter->tensors.at(linear.lora_b_name);
  projection.scale = ModuleScale(adapter->options, linear.module);
  if (adapter->options.use_dora) {
    projection.magnitude = adapter->tensors.at(linear.magnitude_name);
    projection.row_squares = linear.row_squares->Of(linear.weight);
  }
  return projection;
}

StatusOr<DecoderWeights> CollectWeights(const Checkpoint& checkpoint,
                                        at::ScalarType dtype) {
  const DecoderConfig& c = checkpoint.config;
  TANDEM_RETURN_IF_ERROR(CheckSizes(c));
  Collector collector(checkpoint.tensors, dtype);
  DecoderWeights weights;
  weights.embedding = collector.TakeMatrix("model.embed_tokens.weight",
                                           {c.vocabulary_size, c.hidden_size});
  for (int64_t i = 0; i < c.layers && collector.status().ok(); ++i)
    weights.layers.push_back(CollectLayer(collector, c, i));
  weights.final_norm = collector.TakeVector("model.norm.weight", c.hidden_size);
  weights.head = c.tied_embeddings
                     ? weights.embedding
                     : collector.TakeMatrix("lm_head.weight",
                                            {c.vocabulary_size, c.hidden_size});
  TANDEM_RETURN_IF_ERROR(collector.status());
  return weights;
}

}  // namespace tandem
