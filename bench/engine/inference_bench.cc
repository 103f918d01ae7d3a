// Rows about running a model: a teacher's targets, a prompt, greedy decoding.
#include <c10/core/InferenceMode.h>

#include <chrono>

#include "bench/engine/workload.h"
#include "distill/teacher.h"
#include "model/aten.h"
#include "model/generator.h"
#include "model/packed_batch.h"

namespace tandem::bench {
namespace {

constexpr int64_t kNewTokens = 128;

// A folder in the system's temporary one that goes with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "tandem-bench-XXXXXX")
            .string();
    if (mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

double TokensOf(const std::vector<TokenizedExample>& examples) {
  size_t tokens = 0;
  for (const TokenizedExample& example : examples)
    tokens += example.tokens.size();
  return static_cast<double>(tokens);
}

// Tokens after the first, and the time they took: the prompt is another row.
Measurement DecodeOnce(const Decoder& model,
                       const std::vector<int32_t>& prompt) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point first, last;
  int64_t tokens = 0;
  GenerationOptions options;
  options.max_new_tokens = kNewTokens;
  options.on_token = [&](size_t, int32_t) {
    last = Clock::now();
    if (tokens++ == 0) first = last;
    return true;
  };
  Generate(model, nullptr, {prompt}, options);
  return {static_cast<double>(tokens - 1),
          std::chrono::duration<double>(last - first).count()};
}

}  // namespace

Status BenchCapture(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const LocalTeacher teacher,
                          LocalTeacher::Load(flags.model, flags.dtype));
  TANDEM_ASSIGN_OR_RETURN(const auto examples, ReadDocuments(flags.input));
  Status status;
  Repeat(flags.repetitions, "tokens", SettingsOf(flags), [&] {
    const ScratchFolder nothing_cached;
    const double seconds = SecondsOf([&] {
      status.Update(
          teacher.Targets(examples, {.top_k = 64}, nothing_cached.path())
              .status());
    });
    return Measurement{TokensOf(examples), seconds};
  });
  return status;
}

Status BenchDecoding(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Decoder model, LoadDecoder(flags));
  TANDEM_ASSIGN_OR_RETURN(const auto examples, ReadDocuments(flags.input));
  Repeat(flags.repetitions, "tokens", SettingsOf(flags),
         [&] { return DecodeOnce(model, examples.front().tokens); });
  return OkStatus();
}

Status BenchPrompt(const BenchFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(const Decoder model, LoadDecoder(flags));
  TANDEM_ASSIGN_OR_RETURN(const auto examples, ReadDocuments(flags.input));
  const PackedBatch batch = PackAll(examples);
  const c10::InferenceMode inference;
  Repeat(flags.repetitions, "tokens", SettingsOf(flags), [&] {
    const double seconds = SecondsOf([&] {
      KeyValueCache cache(model.config());
      const at::Tensor last =
          at::scalar_tensor(batch.tokens.size(0) - 1, at::kLong).view({1});
      model.Logits(model.ForwardCached(batch.tokens, cache, nullptr, last));
    });
    return Measurement{TokensOf(examples), seconds};
  });
  return OkStatus();
}

}  // namespace tandem::bench
