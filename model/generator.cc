#include "model/generator.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <spdlog/fmt/fmt.h>

#include <stdexcept>

#include "common/random.h"

namespace tandem {
namespace {

at::Tensor TokenTensor(const int32_t* ids, int64_t count) {
  at::Tensor tokens = at::empty({count}, at::kLong);
  std::copy(ids, ids + count, tokens.mutable_data_ptr<int64_t>());
  return tokens;
}

// [vocabulary] logits after the last of `tokens`.
at::Tensor NextLogits(const Decoder& model, const Adapter* adapter,
                      const at::Tensor& tokens, KeyValueCache& cache) {
  const at::NoGradGuard no_grad;
  const at::Tensor hidden = model.ForwardCached(tokens, cache, adapter);
  return model.Logits(hidden.narrow(0, hidden.size(0) - 1, 1)).squeeze(0);
}

}  // namespace

KeyValueCache::KeyValueCache(const DecoderConfig& config) {
  const at::Tensor empty =
      at::empty({config.key_value_heads, 0, config.head_size}, at::kFloat);
  keys_.assign(config.layers, empty);
  values_.assign(config.layers, empty);
}

int32_t SampleToken(const at::Tensor& logits, const SamplingOptions& options,
                    SeededRandom& random) {
  const at::NoGradGuard no_grad;
  if (options.temperature == 0) return logits.argmax().item<int32_t>();
  const at::Tensor probabilities =
      at::softmax(logits.to(at::kDouble) / options.temperature, -1);
  const auto [sorted, ids] =
      at::sort(probabilities, /*stable=*/true, /*dim=*/-1, /*descending=*/true);
  const double* p = sorted.const_data_ptr<double>();
  int64_t kept = 0;
  double mass = 0;
  while (kept < sorted.numel() && (kept == 0 || mass < options.top_p))
    mass += p[kept++];
  double left = random.Uniform() * mass;
  int64_t chosen = 0;
  while (chosen + 1 < kept && left >= p[chosen]) left -= p[chosen++];
  return static_cast<int32_t>(ids.const_data_ptr<int64_t>()[chosen]);
}

std::vector<int32_t> Generate(const Decoder& model, const Adapter* adapter,
                              const std::vector<int32_t>& prompt,
                              int64_t max_new_tokens,
                              const SamplingOptions& options,
                              const std::function<bool(int32_t)>& stop,
                              const std::function<void(int32_t)>& on_token) {
  const int64_t length = static_cast<int64_t>(prompt.size());
  const int64_t context = model.config().context_length;
  if (length == 0 || length > context)
    throw std::invalid_argument(fmt::format(
        "the prompt has {} tokens, expected 1 to {}", length, context));
  SeededRandom random(options.seed);
  KeyValueCache cache(model.config());
  std::vector<int32_t> generated;
  at::Tensor next = TokenTensor(prompt.data(), length);
  while (static_cast<int64_t>(generated.size()) < max_new_tokens &&
         cache.length() + next.size(0) <= context) {
    const int32_t id =
        SampleToken(NextLogits(model, adapter, next, cache), options, random);
    if (stop && stop(id)) break;
    generated.push_back(id);
    if (on_token) on_token(id);
    next = TokenTensor(&id, 1);
  }
  return generated;
}

}  // namespace tandem
