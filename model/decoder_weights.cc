#include "model/decoder_weights.h"

#include <spdlog/fmt/ranges.h>

#include <map>

#include "model/adapted_linears.h"
#include "model/architecture.h"
#include "model/aten.h"
#include "model/weight_layout.h"

namespace tandem {
namespace {

// Takes the tensors that a decoder has out of a checkpoint; the first error
// stays. A name that its layout does not have gives an undefined tensor.
class Collector {
 public:
  Collector(const Checkpoint& checkpoint, const WeightStorage& storage)
      : checkpoint_(checkpoint), storage_(storage) {
    for (WeightLayout& weight : WeightsOf(checkpoint.config)) {
      std::string name = weight.name;
      layout_.emplace(std::move(name), std::move(weight));
    }
  }

  // A matrix, stored as asked. Vectors weigh nothing and stay fp32.
  FrozenWeight TakeMatrix(const std::string& name) {
    const auto found = checkpoint_.blocks.find(name);
    if (found == checkpoint_.blocks.end()) return Take(name, storage_.dtype);
    const FrozenWeight blocks(found->second);
    if (!HasShape(name, {blocks.rows(), blocks.columns()})) return {};
    return storage_.keeps_blocks ? blocks
                                 : FrozenWeight(blocks.To(storage_.dtype));
  }
  // What a norm multiplies by.
  at::Tensor TakeNorm(const std::string& name) {
    const at::Tensor weight = Take(name, at::kFloat);
    if (!weight.defined()) return weight;
    const double offset = layout_.at(name).gguf_offset;
    return offset == 0 ? weight : weight + offset;
  }

  AdaptableLinear TakeLinear(const std::string& module) {
    return {TakeMatrix(module + ".weight"),
            module,
            LoraAName(module),
            LoraBName(module),
            MagnitudeName(module),
            Take(module + ".bias", at::kFloat),
            std::make_shared<RowSquaresCache>()};
  }

  const Status& status() const { return status_; }

 private:
  at::Tensor Take(const std::string& name, at::ScalarType dtype) {
    if (!layout_.contains(name)) return at::Tensor();
    const auto found = checkpoint_.tensors.find(name);
    if (found == checkpoint_.tensors.end()) {
      Fail(InvalidArgument("tensor '{}' is missing", name));
    } else if (HasShape(name, found->second.sizes())) {
      return found->second.to(dtype).contiguous();
    }
    return at::Tensor();
  }

  // REQUIRES: the layout has the name.
  bool HasShape(const std::string& name, at::IntArrayRef shape) {
    const std::vector<int64_t>& expected = layout_.at(name).shape;
    if (shape == at::IntArrayRef(expected)) return true;
    Fail(InvalidArgument("tensor '{}' has shape [{}], expected [{}]", name,
                         fmt::join(shape.vec(), ", "),
                         fmt::join(expected, ", ")));
    return false;
  }

  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  const Checkpoint& checkpoint_;
  const WeightStorage storage_;
  std::map<std::string, WeightLayout> layout_;
  Status status_;
};

LayerWeights CollectLayer(Collector& collector, const Architecture& a,
                          int64_t index) {
  const std::string layer = fmt::format("model.layers.{}.", index);
  const auto norm = [&](const LayerModule& module) {
    return collector.TakeNorm(
        fmt::format("{}{}.weight", layer, module.huggingface));
  };
  LayerWeights weights;
  weights.q = collector.TakeLinear(layer + "self_attn.q_proj");
  weights.k = collector.TakeLinear(layer + "self_attn.k_proj");
  weights.v = collector.TakeLinear(layer + "self_attn.v_proj");
  weights.o = collector.TakeLinear(layer + "self_attn.o_proj");
  weights.gate = collector.TakeLinear(layer + "mlp.gate_proj");
  weights.up = collector.TakeLinear(layer + "mlp.up_proj");
  weights.down = collector.TakeLinear(layer + "mlp.down_proj");
  weights.attention_norm = norm(a.attention_norm);
  weights.query_norm = norm(a.query_norm);
  weights.key_norm = norm(a.key_norm);
  weights.attention_output_norm = norm(a.attention_output_norm);
  weights.feed_forward_norm = norm(a.feed_forward_norm);
  weights.feed_forward_output_norm = norm(a.feed_forward_output_norm);
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
                                        const WeightStorage& storage) {
  const DecoderConfig& c = checkpoint.config;
  TANDEM_RETURN_IF_ERROR(CheckDecoderConfig(c));
  const Architecture& architecture = ArchitectureNamed(c.architecture);
  Collector collector(checkpoint, storage);
  DecoderWeights weights;
  weights.embedding = collector.TakeMatrix("model.embed_tokens.weight");
  weights.layers.reserve(c.layers);
  for (int64_t i = 0; i < c.layers && collector.status().ok(); ++i)
    weights.layers.push_back(CollectLayer(collector, architecture, i));
  weights.final_norm = collector.TakeNorm("model.norm.weight");
  weights.head = c.tied_embeddings ? weights.embedding
                                   : collector.TakeMatrix("lm_head.weight");
  TANDEM_RETURN_IF_ERROR(collector.status());
  return weights;
}

}  // namespace tandem
