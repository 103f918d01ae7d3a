#include "cli/loaded_model.h"

#include <utility>

#include "cli/command.h"

namespace tandem::cli {

void AddModelFlags(CLI::App& command, ModelFlags& flags) {
  command
      .add_option("--model", flags.model, "GGUF file or Hugging Face folder")
      ->required();
  command.add_option("--adapter", flags.adapter,
                     "PEFT adapter folder or LoRA GGUF");
  command
      .add_option("--dtype", flags.dtype,
                  "What matrix products are computed in; auto is bf16 where "
                  "that is faster, else fp32; quantised keeps the blocks of a "
                  "GGUF")
      ->check(CLI::IsMember({"auto", "fp32", "bf16", "quantised"}))
      ->capture_default_str();
  command.add_option("--threads", flags.threads, "0 takes what OpenMP offers")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

StatusOr<LoadedModel> Load(const ModelFlags& flags, bool with_digest) {
  SetThreads(flags.threads);
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(flags.dtype));
  TANDEM_ASSIGN_OR_RETURN(
      const Checkpoint checkpoint,
      LoadCheckpoint(flags.model, GgufMatrices::kKeepBlocks));
  TANDEM_ASSIGN_OR_RETURN(Tokenizer tokenizer,
                          Tokenizer::Create(checkpoint.tokenizer));
  TANDEM_ASSIGN_OR_RETURN(Decoder decoder,
                          Decoder::Create(checkpoint, storage));
  std::optional<Adapter> adapter;
  if (!flags.adapter.empty()) {
    TANDEM_ASSIGN_OR_RETURN(adapter,
                            LoadAdapter(flags.adapter, checkpoint.config));
  }
  return LoadedModel{std::move(decoder), std::move(tokenizer),
                     std::move(adapter), with_digest ? Digest(checkpoint) : ""};
}

}  // namespace tandem::cli
