#include "cli/train_flags.h"

#include <spdlog/fmt/ranges.h>

#include "common/digest.h"
#include "model/safetensors.h"

namespace tandem::cli {
namespace {

void AddDataFlags(CLI::App& command, TrainFlags& flags) {
  command
      .add_option("--batch-tokens", flags.batch_tokens,
                  "Tokens per micro-batch in place of --batch-size examples: "
                  "as many examples as fit; 0 turns it off")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  command
      .add_option("--accumulation-steps", flags.accumulation_steps,
                  "Micro-batches, of --batch-size examples each, per optimiser "
                  "step; activations of one at a time are in memory, the "
                  "gradient is that of all as one batch")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command.add_flag("--gradient-checkpointing",
                   flags.lora.trainer.gradient_checkpointing,
                   "Compute activations again in the backward pass: far less "
                   "memory, a third more time, the same result");
  command
      .add_option("--on-malformed", flags.on_malformed,
                  "Whether a line of --data that is no example ends the run "
                  "or is named, counted and left out")
      ->check(CLI::IsMember({"fail", "skip"}))
      ->capture_default_str();
  command
      .add_option("--shuffle-window-mib", flags.shuffle_window_mib,
                  "MiB of --data held in memory and shuffled at a time; a "
                  "smaller file is shuffled whole")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
}

void AddValidationFlags(CLI::App& command, TrainFlags& flags) {
  command.add_option("--validation", flags.validation,
                     "JSONL file to evaluate on; the adapter with the lowest "
                     "loss on it is the one that is written");
  command
      .add_option("--max-validation-examples", flags.max_validation_examples,
                  "The first so many; 0 takes all")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      .add_option("--evaluate-every", flags.evaluate_every,
                  "Steps between evaluations; the last step has one too")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      .add_option("--patience", flags.patience,
                  "Evaluations in a row without a lower loss that end the "
                  "training; 0 goes on to --steps")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void AddRecordFlags(CLI::App& command, TrainFlags& flags) {
  command.add_option("--checkpoint-dir", flags.checkpoint_dir,
                     "Folder of the checkpoint from which the same command "
                     "goes on after a kill, to the same bytes at the same "
                     "number of threads");
  command
      .add_option("--checkpoint-every", flags.checkpoint_every,
                  "Steps between checkpoints; the last step has one too")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command.add_option("--metrics-dir", flags.metrics_dir,
                     "Folder for metrics.csv and TensorBoard event files, a "
                     "row per step");
  command.add_flag("--profile", flags.profile,
                   "Share of time per operation and GFLOP/s per matrix "
                   "product, beside the measured peak, at the end");
}

template <typename T>
std::string TextOf(const std::vector<PatternValue<T>>& patterns) {
  std::string text;
  for (const auto& [modules, value] : patterns)
    text += fmt::format("{}={}\n", modules.expression(), value);
  return text;
}

void AddOptions(const TrainFlags& flags,
                std::map<std::string, std::string>& fingerprint) {
  const LoraFlags& lora = flags.lora;
  const AdamWOptions& optimizer = lora.trainer.optimizer;
  const auto add = [&fingerprint](const char* name, const auto& value) {
    fingerprint[name] = fmt::format("{}", value);
  };
  add("--dtype", flags.model.dtype);
  add("--steps", lora.steps);
  add("--batch-size", lora.batch_size);
  add("--batch-tokens", flags.batch_tokens);
  add("--accumulation-steps", flags.accumulation_steps);
  add("--max-sequence-tokens", lora.max_sequence_tokens);
  add("--seed", lora.seed);
  add("--learning-rate", optimizer.learning_rate);
  add("--warmup-steps", lora.warmup_steps);
  add("--weight-decay", optimizer.weight_decay);
  add("--max-grad-norm", lora.trainer.max_grad_norm_l2);
  add("--rank", lora.lora.rank);
  add("--alpha", lora.lora.alpha);
  add("--rank-pattern", TextOf(lora.lora.rank_pattern));
  add("--alpha-pattern", TextOf(lora.lora.alpha_pattern));
  add("--rslora", lora.lora.use_rslora);
  add("--dora", lora.lora.use_dora);
  add("--dropout", lora.lora.dropout);
  add("--lora-plus-ratio", lora.trainer.lora_plus_ratio);
  add("--target-modules",
      fmt::format("{}", fmt::join(lora.lora.target_modules, ",")));
  add("--on-malformed", flags.on_malformed);
  add("--shuffle-window-mib", flags.shuffle_window_mib);
  add("--max-validation-examples", flags.max_validation_examples);
  add("--evaluate-every", flags.evaluate_every);
  add("--patience", flags.patience);
}

}  // namespace

void AddTrainFlags(CLI::App& command, TrainFlags& flags) {
  AddModelFlags(command, flags.model);
  AddLoraFlags(command, flags.lora);
  AddDataFlags(command, flags);
  AddValidationFlags(command, flags);
  AddRecordFlags(command, flags);
}

StatusOr<ExampleStreamOptions> StreamOptionsOf(const TrainFlags& flags) {
  ExampleStreamOptions options;
  options.max_sequence_tokens = flags.lora.max_sequence_tokens;
  options.shuffle.seed = flags.lora.seed;
  options.shuffle.window_bytes = flags.shuffle_window_mib << 20;
  TANDEM_ASSIGN_OR_RETURN(options.on_malformed,
                          ParseOnMalformed(flags.on_malformed));
  return options;
}

TrainingRunOptions RunOptionsOf(const TrainFlags& flags) {
  TrainingRunOptions options;
  options.steps = flags.lora.steps;
  options.accumulation_steps = flags.accumulation_steps;
  options.trainer = TrainerOptionsOf(flags.lora);
  options.evaluate_every = flags.evaluate_every;
  options.patience = flags.patience;
  options.checkpoint_folder = flags.checkpoint_dir;
  options.checkpoint_every = flags.checkpoint_every;
  return options;
}

StatusOr<std::map<std::string, std::string>> FingerprintOf(
    const TrainFlags& flags, const LoadedModel& model) {
  std::map<std::string, std::string> fingerprint;
  AddOptions(flags, fingerprint);
  TANDEM_ASSIGN_OR_RETURN(fingerprint["--data"],
                          Sha256HexOfFile(flags.lora.data));
  if (!flags.validation.empty()) {
    TANDEM_ASSIGN_OR_RETURN(fingerprint["--validation"],
                            Sha256HexOfFile(flags.validation));
  }
  fingerprint["--model"] = model.digest;
  if (model.adapter) {
    TANDEM_ASSIGN_OR_RETURN(const std::string tensors,
                            SerializeSafetensors(model.adapter->tensors));
    fingerprint["--adapter"] = Sha256Hex(tensors);
  }
  return fingerprint;
}

}  // namespace tandem::cli
