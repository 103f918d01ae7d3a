// tandem model logits
#include <c10/core/InferenceMode.h>

#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/loaded_model.h"
#include "model/aten.h"
#include "model/safetensors.h"

namespace tandem::cli {
namespace {

struct ModelLogitsFlags {
  ModelFlags model;
  std::vector<int64_t> tokens;
  std::string out;
  bool json = false;
};

Status CheckTokens(const std::vector<int64_t>& tokens,
                   const DecoderConfig& config) {
  for (const int64_t id : tokens) {
    if (id < 0 || id >= config.vocabulary_size) {
      return InvalidArgument(
          "--tokens: id {} is outside the vocabulary, 0 to {}", id,
          config.vocabulary_size - 1);
    }
  }
  const int64_t count = static_cast<int64_t>(tokens.size());
  if (count > config.context_length) {
    return InvalidArgument("--tokens: {} ids are more than the context of {}",
                           count, config.context_length);
  }
  return OkStatus();
}

Status ModelLogitsMain(const ModelLogitsFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const LoadedModel model, Load(flags.model));
  TANDEM_RETURN_IF_ERROR(CheckTokens(flags.tokens, model.decoder.config()));
  const c10::InferenceMode inference;
  const int64_t count = static_cast<int64_t>(flags.tokens.size());
  const at::Tensor hidden = model.decoder.Forward(
      at::tensor(flags.tokens, at::kLong), {0, count}, model.adapter_or_null());
  const at::Tensor logits = model.decoder.Logits(hidden);
  TANDEM_RETURN_IF_ERROR(WriteSafetensors(flags.out, {{"logits", logits}}));
  if (flags.json) {
    PrintJson({{"out", flags.out}, {"shape", logits.sizes().vec()}});
  } else {
    PrintLine(fmt::format("{}: logits [{}, {}]", flags.out, logits.size(0),
                          logits.size(1)));
  }
  return OkStatus();
}

}  // namespace

void AddModelLogits(CLI::App& model, Chosen& chosen) {
  auto flags = std::make_shared<ModelLogitsFlags>();
  flags->model.dtype = "fp32";
  CLI::App* command = AddCommand(
      model, "logits",
      "Logits after each of some tokens, as a safetensors file with one "
      "float32 tensor, logits [tokens, vocabulary]",
      "tandem model logits --model "
      "data/models/SmolLM2-135M-Instruct.Q4_1.gguf --tokens 504,3575,282 --out "
      "logits.safetensors",
      chosen, [flags] { return ModelLogitsMain(*flags); });
  AddModelFlags(*command, flags->model);
  command->add_option("--tokens", flags->tokens, "Ids, separated by commas")
      ->delimiter(',')
      ->required();
  command->add_option("--out", flags->out, "File to write")->required();
  AddJsonFlag(*command, flags->json);
}

}  // namespace tandem::cli
