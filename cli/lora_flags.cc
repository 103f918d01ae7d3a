#include "cli/lora_flags.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "common/files.h"
#include "distill/options_from_config.h"

namespace tandem::cli {
namespace {

void AddOptimizerFlags(CLI::App& command, LoraFlags& flags) {
  command
      .add_option("--learning-rate", flags.trainer.optimizer.learning_rate,
                  "Of AdamW, after warm-up")
      ->check(NumberWithin(0, 10))
      ->capture_default_str();
  command.add_option("--warmup-steps", flags.warmup_steps, "Linear warm-up")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--weight-decay", flags.trainer.optimizer.weight_decay,
                  "Decoupled, per step")
      ->check(NumberWithin(0, 10))
      ->capture_default_str();
  command
      .add_option("--lora-plus-ratio", flags.trainer.lora_plus_ratio,
                  "LoRA+: B learns so many times faster than A")
      ->check(NumberWithin(1e-3, 1e4))
      ->capture_default_str();
  command
      .add_option("--max-grad-norm", flags.trainer.max_grad_norm_l2,
                  "Gradients are scaled down to this L2 norm; 0 turns it off")
      ->check(NumberWithin(0, 1e9))
      ->capture_default_str();
}

// "PATTERN=NUMBER" into `patterns`; CLI11 prints what is thrown.
template <typename T>
void AddPattern(const std::string& flag, const std::string& text,
                std::vector<PatternValue<T>>& patterns) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos)
    throw CLI::ValidationError(flag, "'" + text + "' is not PATTERN=NUMBER");
  auto modules = ModulePattern::EndOfName(text.substr(0, equals));
  if (!modules.ok())
    throw CLI::ValidationError(flag, ToString(modules.status()));
  T value{};
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + equals + 1, end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(value > 0))
    throw CLI::ValidationError(flag,
                               "'" + text + "' has no number above 0 after =");
  patterns.push_back({*std::move(modules), value});
}

// May be given several times; the first pattern that matches counts.
template <typename T>
void AddPatternFlag(CLI::App& command, const std::string& flag,
                    std::vector<PatternValue<T>>& patterns,
                    const std::string& help) {
  command
      .add_option_function<std::vector<std::string>>(
          flag,
          [flag, &patterns](const std::vector<std::string>& texts) {
            patterns.clear();
            for (const std::string& text : texts)
              AddPattern(flag, text, patterns);
          },
          help)
      ->allow_extra_args(false)
      ->type_name("PATTERN=NUMBER");
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
      ->check(NumberWithin(1e-3, 1e5))
      ->capture_default_str();
  AddPatternFlag(command, "--rank-pattern", flags.lora.rank_pattern,
                 "Another rank for modules whose names end with a regular "
                 "expression");
  AddPatternFlag(command, "--alpha-pattern", flags.lora.alpha_pattern,
                 "Another alpha for such modules");
  command.add_flag("--rslora", flags.lora.use_rslora,
                   "Scales updates by alpha / sqrt(rank)");
  command.add_flag("--dora", flags.lora.use_dora,
                   "DoRA: trains a magnitude for every output as well");
  command
      .add_option("--dropout", flags.lora.dropout,
                  "Share of the adapters' input that is dropped in training")
      ->check(NumberWithin(0, 0.99))
      ->capture_default_str();
  command
      .add_option("--target-modules", flags.lora.target_modules,
                  "Linear layers to adapt, separated by commas; all seven "
                  "where none is named")
      ->delimiter(',');
}

}  // namespace

void AddLoraFlags(CLI::App& command, LoraFlags& flags) {
  command
      .add_option("--data", flags.data, "JSONL file, or one that gzip packed")
      ->required();
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

Status CheckBeforeTraining(const LoraFlags& flags, const DecoderConfig& model) {
  TANDEM_RETURN_IF_ERROR(CheckFitsContext("--max-sequence-tokens",
                                          flags.max_sequence_tokens,
                                          model.context_length));
  std::error_code error;
  std::filesystem::create_directories(flags.out, error);
  if (error) return ErrnoStatus(error.value(), "make", flags.out);
  return ::access(flags.out.c_str(), W_OK) == 0
             ? OkStatus()
             : ErrnoStatus(errno, "write to", flags.out);
}

TrainerOptions TrainerOptionsOf(const LoraFlags& flags) {
  TrainerOptions options = flags.trainer;
  options.dropout_seed = flags.seed;
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
    Json json = {{"out", flags.out},
                 {"steps", summary.steps},
                 {"tokens", summary.tokens},
                 {"mean_loss", summary.mean_loss}};
    json.update(summary.details);
    PrintJson(json);
  } else {
    PrintLine(fmt::format("{}: {} steps, {} tokens, mean loss {:.4f}",
                          flags.out, summary.steps, summary.tokens,
                          summary.mean_loss));
  }
  return OkStatus();
}

}  // namespace tandem::cli
