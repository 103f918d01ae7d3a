// What `tandem train` and `tandem distill` have in common: the adapter to start
// from, the optimiser, where the result goes.
#ifndef TANDEM_CLI_LORA_FLAGS_H_
#define TANDEM_CLI_LORA_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/progress_bar.h"
#include "common/status.h"
#include "model/adapter.h"
#include "model/decoder_config.h"
#include "model/lora_trainer.h"

namespace tandem::cli {

struct LoraFlags {
  std::string data;  // JSONL file
  std::string out;   // PEFT folder
  int64_t steps = 100;
  int64_t batch_size = 4;
  int64_t max_sequence_tokens = 512;
  int64_t warmup_steps = 2;
  uint64_t seed = 1;
  LoraOptions lora;
  TrainerOptions trainer;
  bool json = false;
};

void AddLoraFlags(CLI::App& command, LoraFlags& flags);

// What need not wait for the end of the work: InvalidArgument where
// --max-sequence-tokens is above the context length, errors of making --out.
Status CheckBeforeTraining(const LoraFlags& flags, const DecoderConfig& model);

// The trainer's options with the schedule laid over all steps.
TrainerOptions TrainerOptionsOf(const LoraFlags& flags);

// Shows "step 3/100, ... loss 3.21".
void ShowStep(ProgressBar& progress, int64_t done, int64_t steps,
              const StepResult& result);

struct TrainingSummary {
  double mean_loss = 0;  // nats per target token, over all steps
  int64_t tokens = 0;
  int64_t steps = 0;
  Json details = Json::object();  // more of it, for --json
};

// Writes the PEFT folder and prints what was done.
Status SaveAndPrint(const Adapter& adapter, const std::string& base_model,
                    const TrainingSummary& summary, const LoraFlags& flags);

}  // namespace tandem::cli

#endif  // TANDEM_CLI_LORA_FLAGS_H_
