#include "model/generator.h"

#include <ATen/core/grad_mode.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <stdexcept>

#include "model/aten.h"

namespace tandem {
namespace {

// Sequences that take a step together: each weight is read once for all of
// them, and their activations stay in the cache.
constexpr size_t kStepSequences = 8;

struct Sequence {
  size_t index;
  std::vector<int32_t> ids;  // prompt, then what was generated
  int64_t prompt_length;
  KeyValueCache cache;
  SeededRandom random;
  bool ended = false;

  int64_t generated() const {
    return static_cast<int64_t>(ids.size()) - prompt_length;
  }
};

Sequence StartOf(const std::vector<int32_t>& prompt, size_t index,
                 const DecoderConfig& config, uint64_t seed) {
  const int64_t length = static_cast<int64_t>(prompt.size());
  if (length == 0 || length > config.context_length)
    throw std::invalid_argument(
        fmt::format("the prompt has {} tokens, expected 1 to {}", length,
                    config.context_length));
  return {index, prompt, length, KeyValueCache(config),
          SeededRandom(DeriveSeed(seed, "sequence", index))};
}

// The token that `logits` [vocabulary] give, and what it ends.
void Extend(const float* logits, const DecoderConfig& config,
            const GenerationOptions& options, Sequence& sequence) {
  const int32_t id =
      SampleToken({logits, static_cast<size_t>(config.vocabulary_size)},
                  sequence.ids, options.sampling, sequence.random);
  sequence.ended = options.ends && options.ends(id);
  if (sequence.ended) return;
  sequence.ids.push_back(id);
  const bool goes_on =
      !options.on_token || options.on_token(sequence.index, id);
  sequence.ended = !goes_on || sequence.generated() >= options.max_new_tokens ||
                   sequence.cache.length() >= config.context_length;
}

// All of the prompt at once, for the logits after its last token.
at::Tensor PromptLogits(const Decoder& model, const Adapter* adapter,
                        Sequence& sequence) {
  at::Tensor tokens = at::empty({sequence.prompt_length}, at::kLong);
  std::copy(sequence.ids.begin(), sequence.ids.end(),
            tokens.mutable_data_ptr<int64_t>());
  const at::Tensor last = at::full({1}, sequence.prompt_length - 1, at::kLong);
  return model.Logits(
      model.ForwardCached(tokens, sequence.cache, adapter, last));
}

void Step(DecodeStep& step, const DecoderConfig& config,
          const GenerationOptions& options,
          const std::vector<Sequence*>& sequences) {
  std::vector<int32_t> tokens;
  std::vector<KeyValueCache*> caches;
  for (Sequence* sequence : sequences) {
    tokens.push_back(sequence->ids.back());
    caches.push_back(&sequence->cache);
  }
  const at::Tensor logits = step.Run(tokens, caches);
  const float* row = logits.const_data_ptr<float>();
  for (size_t s = 0; s < sequences.size(); ++s)
    Extend(row + s * config.vocabulary_size, config, options, *sequences[s]);
}

// The sequences that have not ended, kStepSequences at a time.
std::vector<std::vector<Sequence*>> Groups(std::vector<Sequence>& sequences) {
  std::vector<std::vector<Sequence*>> groups;
  for (Sequence& sequence : sequences) {
    if (sequence.ended) continue;
    if (groups.empty() || groups.back().size() == kStepSequences)
      groups.emplace_back();
    groups.back().push_back(&sequence);
  }
  return groups;
}

}  // namespace

std::vector<std::vector<int32_t>> Generate(
    const Decoder& model, const Adapter* adapter,
    const std::vector<std::vector<int32_t>>& prompts,
    const GenerationOptions& options) {
  const at::NoGradGuard no_grad;
  const DecoderConfig& config = model.config();
  std::vector<Sequence> sequences;
  sequences.reserve(prompts.size());
  for (size_t s = 0; s < prompts.size(); ++s)
    sequences.push_back(StartOf(prompts[s], s, config, options.sampling.seed));
  for (Sequence& sequence : sequences) {
    sequence.ended = options.max_new_tokens < 1;
    if (sequence.ended) continue;
    const at::Tensor logits = PromptLogits(model, adapter, sequence);
    Extend(logits.const_data_ptr<float>(), config, options, sequence);
  }
  DecodeStep step = model.NewDecodeStep(adapter);
  for (auto groups = Groups(sequences); !groups.empty();
       groups = Groups(sequences))
    for (const std::vector<Sequence*>& group : groups)
      Step(step, config, options, group);
  std::vector<std::vector<int32_t>> generated;
  generated.reserve(sequences.size());
  for (const Sequence& sequence : sequences)
    generated.emplace_back(sequence.ids.begin() + sequence.prompt_length,
                           sequence.ids.end());
  return generated;
}

}  // namespace tandem
