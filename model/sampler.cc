#include "model/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace tandem {
namespace {

void Penalise(std::span<const int32_t> seen, double penalty,
              std::vector<float>& scores) {
  if (penalty == 1) return;
  std::vector<int32_t> once(seen.begin(), seen.end());
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  for (const int32_t id : once) {
    float& score = scores[id];
    const auto factor = static_cast<float>(penalty);
    score = score < 0 ? score * factor : score / factor;
  }
}

// The k-th largest, or the smallest where there are not so many.
float KthLargest(std::vector<float> scores, int64_t k) {
  const size_t index = std::min<size_t>(k, scores.size()) - 1;
  std::nth_element(scores.begin(), scores.begin() + index, scores.end(),
                   std::greater<>());
  return scores[index];
}

// Tokens that top-k leaves, each with e^((score - largest) / temperature).
std::vector<TokenProbability> Weigh(const std::vector<float>& scores,
                                    const SamplingOptions& options) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  const float smallest =
      options.top_k > 0 ? KthLargest(scores, options.top_k) : -INFINITY;
  std::vector<TokenProbability> tokens;
  tokens.reserve(options.top_k > 0 ? options.top_k : scores.size());
  for (size_t id = 0; id < scores.size(); ++id) {
    if (scores[id] < smallest) continue;
    tokens.push_back({static_cast<int32_t>(id),
                      std::exp((scores[id] - largest) / options.temperature)});
  }
  return tokens;
}

double SumOf(const std::vector<TokenProbability>& tokens) {
  double sum = 0;
  for (const TokenProbability& token : tokens) sum += token.probability;
  return sum;
}

// Takes the likeliest off a heap until they reach the share `top_p`: far fewer
// than a sort would look at.
void KeepTopP(double top_p, std::vector<TokenProbability>& tokens) {
  const auto less = [](const TokenProbability& a, const TokenProbability& b) {
    if (a.probability != b.probability) return a.probability < b.probability;
    return a.id > b.id;
  };
  const double enough = top_p * SumOf(tokens);
  std::make_heap(tokens.begin(), tokens.end(), less);
  auto heap_end = tokens.end();
  double mass = 0;
  do {
    std::pop_heap(tokens.begin(), heap_end, less);
    mass += (--heap_end)->probability;
  } while (heap_end != tokens.begin() && mass < enough);
  tokens.erase(tokens.begin(), heap_end);
  std::reverse(tokens.begin(), tokens.end());
}

}  // namespace

std::vector<TokenProbability> TokenDistribution(
    std::span<const float> logits, std::span<const int32_t> seen,
    const SamplingOptions& options) {
  std::vector<float> scores(logits.begin(), logits.end());
  Penalise(seen, options.repetition_penalty, scores);
  if (options.temperature == 0) {
    const auto best = std::max_element(scores.begin(), scores.end());
    return {{static_cast<int32_t>(best - scores.begin()), 1}};
  }
  std::vector<TokenProbability> tokens = Weigh(scores, options);
  if (options.top_p < 1) KeepTopP(options.top_p, tokens);
  // The likeliest has e^0.
  std::erase_if(tokens, [&](const TokenProbability& token) {
    return token.probability < options.min_p;
  });
  const double sum = SumOf(tokens);
  for (TokenProbability& token : tokens) token.probability /= sum;
  return tokens;
}

int32_t SampleToken(std::span<const float> logits,
                    std::span<const int32_t> seen,
                    const SamplingOptions& options, SeededRandom& random) {
  const std::vector<TokenProbability> tokens =
      TokenDistribution(logits, seen, options);
  if (options.temperature == 0) return tokens[0].id;
  double left = random.Uniform();
  size_t chosen = 0;
  while (chosen + 1 < tokens.size() && left >= tokens[chosen].probability)
    left -= tokens[chosen++].probability;
  return tokens[chosen].id;
}

}  // namespace tandem
