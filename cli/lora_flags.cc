#include "cli/lora_flags.h"

#include <algorithm>

namespace tandem::cli {
namespace {

void AddOptimizerFlags(CLI::App& command, LoraFlags& flags) {
  command
      .add_option("--learning-rate", flags.trainer.optimizer.learning_rate,
                  "Of AdamW, after warm-up")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  command.add_option("--warmup-steps", flags.warmup_steps, "Linear warm-up")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--weight-decay", flags.trainer.optimizer.weight_decay,
                  "Decoupled, per step")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  command
      .add_option("--max-grad-norm", flags.trainer.max_grad_norm_l2,
                  "Gradients are scaled down to this L2 norm; 0 turns it off")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddAdapterFlags(CLI::App& command, LoraFlags& flags) {
  command
      .add_option("--rank", flags.lora.rank,
                  "Of a new adapter; --adapter brings its own")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--alpha", flags.lora.alpha,
                  "Updates are scaled by alpha / rank")
      ->check(CLI::Range(1e-3, 1e5))
      ->capture_default_str();
  command
      .add_option("--target-modules", flags.lora.target_modules,
                  "Linear layers to adapt, separated by commas; all seven "
                  "where none is named")
      ->delimiter(',');
}

}  // namespace

void AddLoraFlags(CLI::App& command, LoraFlags& flags) {
  command.add_option("--data", flags.data, "JSONL file")->required();
  command.add_option("--out", flags.out, "PEFT folder to write")->required();
  command.add_option("--steps", flags.steps, "Optimiser steps")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}))
      ->capture_default_str();
  command.add_option("--batch-size", flags.batch_size, "Examples per step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command
      .add_option("--max-sequence-tokens", flags.max_sequence_tokens,
                  "Longer examples lose their tail")
      ->check(CLI::Range(8, 131072))
      ->capture_default_str();
  command
      .add_option("--seed", flags.seed,
                  "Of the new adapter and the order of examples")
      ->capture_default_str();
  AddOptimizerFlags(command, flags);
  AddAdapterFlags(command, flags);
  AddJsonFlag(command, flags.json);
}

TrainerOptions TrainerOptionsOf(const LoraFlags& flags) {
  TrainerOptions options = flags.trainer;
  options.schedule.total_steps = flags.steps;
  options.schedule.warmup_steps = std::min(flags.warmup_steps, flags.steps);
  return options;
}

void ShowStep(ProgressBar& progress, int64_t done, int64_t steps,
              const StepResult& result) {
  progress.Update(done, steps, fmt::format("loss {:.3f}", result.loss));
}

Status SaveAndPrint(const Adapter& adapter, const std::string& base_model,
                    const TrainingSummary& summary, const LoraFlags& flags) {
  TANDEM_RETURN_IF_ERROR(SaveAdapter(adapter, base_model, flags.out));
  if (flags.json) {
    PrintJson({{"out", flags.out},
               {"steps", summary.steps},
               {"tokens", summary.tokens},
               {"mean_loss", summary.mean_loss}});
  } else {
    PrintLine(fmt::format("{}: {} steps, {} tokens, mean loss {:.4f}",
                          flags.out, summary.steps, summary.tokens,
                          summary.mean_loss));
  }
  return OkStatus();
}

}  // namespace tandem::cli
