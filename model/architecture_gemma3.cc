// Gemma 3, the text model ("Gemma 3 Technical Report", 2025).
#include "model/architecture.h"

namespace tandem {

Architecture Gemma3Architecture() {
  Architecture a{.name = "gemma3",
                 .model_type = "gemma3_text",
                 .class_name = "Gemma3ForCausalLM"};
  a.defaults = {.head_size = 256,
                .context_length = 131072,
                .rope_theta = 1e6,
                .tied_embeddings = true,
                .sliding_window = 4096,
                .query_scalar = 256};
  a.query_norm = {"self_attn.q_norm", "attn_q_norm"};
  a.key_norm = {"self_attn.k_norm", "attn_k_norm"};
  a.attention_output_norm = {"post_attention_layernorm", "post_attention_norm"};
  a.feed_forward_norm = {"pre_feedforward_layernorm", "ffn_norm"};
  a.feed_forward_output_norm = {"post_feedforward_layernorm", "post_ffw_norm"};
  a.norm_offset = 1;
  a.activation = Activation::kGeluTanh;
  a.activation_field = "hidden_activation";
  a.activation_name = "gelu_pytorch_tanh";
  a.scales_embeddings = true;
  a.window_period = 6;
  a.layers_scaled_by_width = 62;  // the 27B
  return a;
}

}  // namespace tandem
