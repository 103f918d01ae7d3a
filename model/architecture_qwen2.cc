// Qwen2 and Qwen2.5.
#include "model/architecture.h"

namespace tandem {

Architecture Qwen2Architecture() {
  Architecture a{
      .name = "qwen2", .model_type = "qwen2", .class_name = "Qwen2ForCausalLM"};
  a.defaults.context_length = 32768;
  a.bias = AttentionBias::kQueryKeyValue;
  return a;
}

}  // namespace tandem
