// tandem model info
#include <memory>

#include "cli/command.h"
#include "model/checkpoint.h"

namespace tandem::cli {
namespace {

struct ModelInfoFlags {
  std::string model;
  bool json = false;
};

Json Describe(const std::string& path, const Checkpoint& checkpoint) {
  const DecoderConfig& config = checkpoint.config;
  int64_t parameters = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    parameters += tensor.numel();
  }
  return {{"model", path},
          {"architecture", config.architecture},
          {"parameters", parameters},
          {"layers", config.layers},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"attention_heads", config.attention_heads},
          {"key_value_heads", config.key_value_heads},
          {"head_size", config.head_size},
          {"vocabulary_size", config.vocabulary_size},
          {"context_length", config.context_length},
          {"rms_norm_epsilon", config.rms_norm_epsilon},
          {"rope_theta", config.rope_theta},
          {"tied_embeddings", config.tied_embeddings},
          {"pre_tokenizer", checkpoint.tokenizer.pre_tokenizer},
          {"chat_template", !checkpoint.tokenizer.chat_template.empty()},
          {"tensors", checkpoint.tensors.size()},
          {"digest", Digest(checkpoint)}};
}

Status ModelInfoMain(const ModelInfoFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                          LoadCheckpoint(flags.model));
  const Json description = Describe(flags.model, checkpoint);
  if (flags.json) {
    PrintJson(description);
    return OkStatus();
  }
  for (const auto& [key, value] : description.items()) {
    PrintLine(fmt::format(
        "{:<18} {}", key,
        value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return OkStatus();
}

}  // namespace

void AddModelInfo(CLI::App& model, Chosen& chosen) {
  auto flags = std::make_shared<ModelInfoFlags>();
  CLI::App* command = AddCommand(
      model, "info", "Shape, tokenizer and digest of a model",
      "tandem model info --model data/models/SmolLM2-135M-Instruct.Q4_1.gguf",
      chosen, [flags] { return ModelInfoMain(*flags); });
  command
      ->add_option("--model", flags->model, "GGUF file or Hugging Face folder")
      ->required();
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
