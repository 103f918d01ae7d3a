// The flags of `tandem train` beyond those it shares with `tandem distill`.
#ifndef TANDEM_CLI_TRAIN_FLAGS_H_
#define TANDEM_CLI_TRAIN_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <string>

#include "cli/loaded_model.h"
#include "cli/lora_flags.h"
#include "model/batch_stream.h"
#include "model/training_run.h"

namespace tandem::cli {

struct TrainFlags {
  ModelFlags model;
  LoraFlags lora;
  int64_t batch_tokens = 0;
  int64_t accumulation_steps = 1;
  std::string on_malformed = "fail";
  int64_t shuffle_window_mib = 16;
  std::string validation;  // JSONL file; empty: none
  int64_t max_validation_examples = 1000;
  int64_t evaluate_every = 100;
  int64_t patience = 0;
  std::string checkpoint_dir, metrics_dir;  // empty: none
  int64_t checkpoint_every = 100;
  bool profile = false;
};

void AddTrainFlags(CLI::App& command, TrainFlags& flags);

StatusOr<ExampleStreamOptions> StreamOptionsOf(const TrainFlags& flags);
// Without the fingerprint.
TrainingRunOptions RunOptionsOf(const TrainFlags& flags);

// What a checkpoint is bound to, by flag; files by their digests. Reads the
// files whole.
StatusOr<std::map<std::string, std::string>> FingerprintOf(
    const TrainFlags& flags, const LoadedModel& model);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_TRAIN_FLAGS_H_
