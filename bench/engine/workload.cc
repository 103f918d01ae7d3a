#include "bench/engine/workload.h"

#include <algorithm>

#include "common/files.h"
#include "model/checkpoint.h"
#include "model/packed_batch.h"

namespace tandem::bench {

nlohmann::json SettingsOf(const BenchFlags& flags) {
  return {{"dtype", flags.dtype},
          {"targets", flags.targets},
          {"threads", flags.threads},
          {"input", std::filesystem::path(flags.input).filename().string()}};
}

StatusOr<Decoder> LoadDecoder(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const WeightStorage storage,
                          ParseComputeDtype(flags.dtype));
  TANDEM_ASSIGN_OR_RETURN(
      const Checkpoint checkpoint,
      LoadCheckpoint(flags.model, GgufMatrices::kKeepBlocks));
  return Decoder::Create(checkpoint, storage);
}

StatusOr<Tokenizer> LoadTokenizer(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(
      const Checkpoint checkpoint,
      LoadCheckpoint(flags.model, GgufMatrices::kKeepBlocks));
  return Tokenizer::Create(checkpoint.tokenizer);
}

StatusOr<std::vector<TokenizedExample>> ReadDocuments(
    const std::filesystem::path& path) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const nlohmann::json file = nlohmann::json::parse(text);
  std::vector<TokenizedExample> examples;
  for (size_t i = 0; i < file.at("documents").size(); ++i) {
    TokenizedExample example;
    example.tokens = file["documents"][i].get<std::vector<int32_t>>();
    const auto first = file.at("first_targets").at(i).get<size_t>();
    for (size_t t = 0; t < example.tokens.size(); ++t)
      example.is_target.push_back(t >= std::max<size_t>(first, 1));
    examples.push_back(std::move(example));
  }
  return examples;
}

PackedBatch PackAll(const std::vector<TokenizedExample>& examples) {
  std::vector<const TokenizedExample*> all;
  all.reserve(examples.size());
  for (const TokenizedExample& example : examples) all.push_back(&example);
  return PackExamples(all);
}

StatusOr<Adapter> BenchAdapter(const DecoderConfig& config,
                               const BenchFlags& flags) {
  LoraOptions options{.rank = 8, .alpha = 16};
  if (flags.targets == "qv") options.target_modules = {"q_proj", "v_proj"};
  return CreateAdapter(config, options, /*seed=*/1);
}

TrainerOptions BenchTrainerOptions() {
  TrainerOptions options;
  options.optimizer.learning_rate = 1e-4;
  options.schedule.final_ratio = 1;
  return options;
}

}  // namespace tandem::bench
