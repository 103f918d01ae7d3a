// Qwen3, the dense ones.
#include "model/architecture.h"

namespace tandem {

Architecture Qwen3Architecture() {
  Architecture a{
      .name = "qwen3", .model_type = "qwen3", .class_name = "Qwen3ForCausalLM"};
  a.defaults.head_size = 128;
  a.defaults.context_length = 32768;
  a.query_norm = {"self_attn.q_norm", "attn_q_norm"};
  a.key_norm = {"self_attn.k_norm", "attn_k_norm"};
  return a;
}

}  // namespace tandem
