// Llama 1 to 3 and their like: SmolLM2, TinyLlama.
#include "model/architecture.h"

namespace tandem {

Architecture LlamaArchitecture() {
  Architecture a{
      .name = "llama", .model_type = "llama", .class_name = "LlamaForCausalLM"};
  a.defaults.context_length = 2048;
  a.bias = AttentionBias::kByConfig;
  a.interleaves_rotation = true;
  a.has_rope_divisors = true;
  return a;
}

}  // namespace tandem
