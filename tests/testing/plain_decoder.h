// The llama decoder as a plain composition of LibTorch's operations, one
// document at a time: the oracle of the fused one.
#ifndef TANDEM_TESTS_TESTING_PLAIN_DECODER_H_
#define TANDEM_TESTS_TESTING_PLAIN_DECODER_H_

#include <cmath>
#include <limits>
#include <string>

#include "model/adapter.h"
#include "model/aten.h"
#include "model/checkpoint.h"

namespace tandem::testing {

class PlainDecoder {
 public:
  PlainDecoder(const Checkpoint& checkpoint, const Adapter* adapter,
               at::ScalarType dtype = at::kDouble)
      : c_(checkpoint.config),
        tensors_(checkpoint.tensors),
        adapter_(adapter),
        dtype_(dtype) {}

  // tokens: [n] of one document. Hidden states after the final norm.
  at::Tensor Hidden(const at::Tensor& tokens) const {
    at::Tensor h = Weight("model.embed_tokens.weight").index_select(0, tokens);
    for (int64_t i = 0; i < c_.layers; ++i) {
      const std::string layer = "model.layers." + std::to_string(i) + ".";
      h = h + Attention(layer + "self_attn.",
                        Norm(h, layer + "input_layernorm.weight"));
      const at::Tensor x = Norm(h, layer + "post_attention_layernorm.weight");
      const at::Tensor gate = Linear(x, layer + "mlp.gate_proj");
      const at::Tensor act = gate * gate.sigmoid();
      h = h + Linear(act * Linear(x, layer + "mlp.up_proj"),
                     layer + "mlp.down_proj");
    }
    return Norm(h, "model.norm.weight");
  }

  at::Tensor Logits(const at::Tensor& tokens) const {
    return Hidden(tokens).matmul(Weight(c_.tied_embeddings
                                            ? "model.embed_tokens.weight"
                                            : "lm_head.weight")
                                     .t());
  }

 private:
  at::Tensor Weight(const std::string& name) const {
    return tensors_.at(name).to(dtype_);
  }

  at::Tensor Norm(const at::Tensor& x, const std::string& name) const {
    const at::Tensor square = x.pow(2).mean(-1, true);
    return x * (square + c_.rms_norm_epsilon).rsqrt() * Weight(name);
  }

  at::Tensor Linear(const at::Tensor& x, const std::string& module) const {
    const at::Tensor y = x.matmul(Weight(module + ".weight").t());
    const std::string peft = "base_model.model." + module;
    if (adapter_ == nullptr ||
        !adapter_->tensors.contains(peft + ".lora_A.weight"))
      return y;
    const at::Tensor a =
        adapter_->tensors.at(peft + ".lora_A.weight").to(dtype_);
    const at::Tensor b =
        adapter_->tensors.at(peft + ".lora_B.weight").to(dtype_);
    const double scale = ModuleScale(adapter_->options, module);
    const at::Tensor sum = y + x.matmul(a.t()).matmul(b.t()) * scale;
    if (!adapter_->options.use_dora) return sum;
    const at::Tensor norms =
        (Weight(module + ".weight") + scale * b.matmul(a)).norm(2, {1});
    return sum * (adapter_->tensors.at(peft + ".lora_magnitude_vector") /
                  norms.detach());
  }

  // x: [n, heads * head_size] to [heads, n, head_size].
  at::Tensor Heads(const at::Tensor& x) const {
    return x.view({x.size(0), -1, c_.head_size}).transpose(0, 1);
  }

  // cat(a, b) -> cat(a cos - b sin, b cos + a sin), by complex numbers.
  at::Tensor Turn(const at::Tensor& x) const {
    const int64_t half = c_.head_size / 2;
    const at::Tensor index = at::arange(half, dtype_);
    const at::Tensor frequency =
        at::exp(index * (-2.0 * std::log(c_.rope_theta) / c_.head_size));
    const at::Tensor angle =
        at::outer(at::arange(x.size(1), dtype_), frequency);
    const at::Tensor turned =
        at::complex(x.narrow(-1, 0, half).contiguous(),
                    x.narrow(-1, half, half).contiguous()) *
        at::complex(angle.cos(), angle.sin());
    return at::cat({at::real(turned), at::imag(turned)}, -1);
  }

  at::Tensor Attention(const std::string& module, const at::Tensor& x) const {
    const int64_t n = x.size(0),
                  group = c_.attention_heads / c_.key_value_heads;
    const at::Tensor q = Turn(Heads(Linear(x, module + "q_proj")));
    const at::Tensor k =
        Turn(Heads(Linear(x, module + "k_proj"))).repeat_interleave(group, 0);
    const at::Tensor v =
        Heads(Linear(x, module + "v_proj")).repeat_interleave(group, 0);
    const at::Tensor scores =
        q.matmul(k.transpose(1, 2)) / std::sqrt(double(c_.head_size));
    const at::Tensor future = at::ones({n, n}, at::kBool).triu(1);
    const at::Tensor weights =
        scores.masked_fill(future, -std::numeric_limits<double>::infinity())
            .softmax(-1);
    return Linear(weights.matmul(v).transpose(0, 1).reshape({n, -1}),
                  module + "o_proj");
  }

  const DecoderConfig c_;
  const TensorMap& tensors_;
  const Adapter* adapter_;
  at::ScalarType dtype_;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_TESTING_PLAIN_DECODER_H_
