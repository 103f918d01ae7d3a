// tandem train
#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/loaded_model.h"
#include "cli/lora_flags.h"
#include "model/chunked_head_loss.h"
#include "model/examples.h"
#include "model/packed_batch.h"

namespace tandem::cli {
namespace {

struct TrainFlags {
  ModelFlags model;
  LoraFlags lora;
};

StatusOr<Adapter> FirstAdapter(const LoadedModel& model,
                               const LoraFlags& flags) {
  if (model.adapter) return *model.adapter;
  return CreateAdapter(model.decoder, flags.lora, flags.seed);
}

TrainingSummary RunSteps(LoraTrainer& trainer, BatchSampler& sampler,
                         int64_t steps) {
  ProgressBar progress = StandardErrorProgress("Training", "steps");
  TrainingSummary summary;
  for (int64_t step = 0; step < steps; ++step) {
    const PackedBatch batch = sampler.Next();
    const StepResult result =
        trainer.Step({{&batch, CrossEntropyRows(batch.targets)}});
    summary.mean_loss += result.loss / static_cast<double>(steps);
    summary.tokens += result.tokens;
    ShowStep(progress, ++summary.steps, steps, result);
  }
  return summary;
}

Status TrainMain(const TrainFlags& flags) {
  const LoraFlags& lora = flags.lora;
  TANDEM_ASSIGN_OR_RETURN(const LoadedModel model, Load(flags.model));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TokenizedExample> examples,
                          LoadTokenizedExamples(model.tokenizer, lora.data, 0,
                                                lora.max_sequence_tokens));
  TANDEM_ASSIGN_OR_RETURN(const Adapter initial, FirstAdapter(model, lora));
  LoraTrainer trainer(model.decoder, initial, TrainerOptionsOf(lora));
  BatchSampler sampler(examples, lora.batch_size, lora.seed);
  const TrainingSummary summary = RunSteps(trainer, sampler, lora.steps);
  return SaveAndPrint(trainer.CurrentAdapter(), flags.model.model, summary,
                      lora);
}

}  // namespace

void AddTrain(CLI::App& app, Chosen& chosen) {
  auto flags = std::make_shared<TrainFlags>();
  CLI::App* command = AddCommand(
      app, "train", "Fine-tune a model with LoRA; writes a PEFT folder",
      "tandem train --model data/models/SmolLM2-135M-Instruct.Q4_1.gguf --data "
      "data/quickstart/jargon.train.jsonl --steps 50 --out runs/adapter",
      chosen, [flags] { return TrainMain(*flags); });
  AddModelFlags(*command, flags->model);
  AddLoraFlags(*command, flags->lora);
}

}  // namespace tandem::cli
