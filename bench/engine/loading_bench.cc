// Rows about what comes before the model runs: loading it, and tokens.
#include "bench/engine/workload.h"
#include "common/files.h"
#include "model/tokenizer.h"

namespace tandem::bench {
namespace {

// From the file to a trainer that waits for its first batch.
Status GetReadyToTrain(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Decoder model, LoadDecoder(flags));
  TANDEM_ASSIGN_OR_RETURN(const Adapter adapter,
                          BenchAdapter(model.config(), flags));
  const LoraTrainer trainer(model, adapter, BenchTrainerOptions());
  return OkStatus();
}

// A JSON list of strings.
StatusOr<std::vector<std::string>> ReadTexts(const std::string& path) {
  TANDEM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return nlohmann::json::parse(text).get<std::vector<std::string>>();
}

}  // namespace

Status BenchLoading(const BenchFlags& flags) {
  Status status;
  Repeat(flags.repetitions, "loads", SettingsOf(flags), [&] {
    return Measurement{
        1, SecondsOf([&] { status.Update(GetReadyToTrain(flags)); })};
  });
  return status;
}

Status BenchTokenizer(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Tokenizer tokenizer, LoadTokenizer(flags));
  TANDEM_ASSIGN_OR_RETURN(const auto texts, ReadTexts(flags.input));
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  size_t tokens = 0;
  Repeat(flags.repetitions, "bytes", SettingsOf(flags), [&] {
    tokens = 0;
    const double seconds = SecondsOf([&] {
      for (const std::string& text : texts)
        tokens += tokenizer.Encode(text).size();
    });
    return Measurement{static_cast<double>(bytes), seconds};
  });
  return OkStatus();
}

}  // namespace tandem::bench
