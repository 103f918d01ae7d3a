// What the rows share: the model and the token ids that both sides run on.
#ifndef TANDEM_BENCH_ENGINE_WORKLOAD_H_
#define TANDEM_BENCH_ENGINE_WORKLOAD_H_

#include <filesystem>
#include <string>
#include <vector>

#include "bench/engine/repetitions.h"
#include "common/status.h"
#include "model/adapter.h"
#include "model/decoder.h"
#include "model/examples.h"
#include "model/lora_trainer.h"

namespace tandem::bench {

struct BenchFlags {
  std::string model;            // GGUF file or Hugging Face folder
  std::string input;            // see inputs.py
  std::string dtype = "bf16";   // of the weights, as in `tandem train --dtype`
  std::string targets = "all";  // adapted layers: "all" seven, or "qv"
  int threads = 1;
  int64_t items = 0;  // of a task; 0: all
  RepetitionFlags repetitions;
};

// Of the flags, for the printed line.
nlohmann::json SettingsOf(const BenchFlags& flags);

StatusOr<Decoder> LoadDecoder(const BenchFlags& flags);
StatusOr<Tokenizer> LoadTokenizer(const BenchFlags& flags);

// A file {"documents": [[id, ...], ...], "first_targets": [index, ...]}: every
// token from that index on is a target.
StatusOr<std::vector<TokenizedExample>> ReadDocuments(
    const std::filesystem::path& path);
PackedBatch PackAll(const std::vector<TokenizedExample>& examples);

// r = 8, alpha = 16, AdamW at a constant learning rate of 1e-4.
StatusOr<Adapter> BenchAdapter(const DecoderConfig& config,
                               const BenchFlags& flags);
TrainerOptions BenchTrainerOptions();

// One function per row, each printing its line.
Status BenchTraining(const BenchFlags& flags);
Status BenchDistillation(const BenchFlags& flags);
Status BenchCapture(const BenchFlags& flags);
Status BenchDecoding(const BenchFlags& flags);
Status BenchPrompt(const BenchFlags& flags);
Status BenchChoices(const BenchFlags& flags);
Status BenchTokenizer(const BenchFlags& flags);
Status BenchLoading(const BenchFlags& flags);
Status BenchGemm(const BenchFlags& flags);

}  // namespace tandem::bench

#endif  // TANDEM_BENCH_ENGINE_WORKLOAD_H_
