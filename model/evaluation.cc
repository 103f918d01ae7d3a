#include "model/evaluation.h"

#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numbers>

#include "model/aten.h"
#include "model/chunked_head_loss.h"
#include "model/packed_batch.h"

namespace tandem {
namespace {

constexpr int64_t kBatchTokens = 1024;

// The next examples that fit into kBatchTokens together, at least one; moves
// `next` past them.
std::vector<const TokenizedExample*> TakeBatch(
    const std::vector<TokenizedExample>& examples, size_t& next) {
  std::vector<const TokenizedExample*> batch;
  int64_t tokens = 0;
  while (next < examples.size()) {
    tokens += static_cast<int64_t>(examples[next].tokens.size());
    if (!batch.empty() && tokens > kBatchTokens) break;
    batch.push_back(&examples[next++]);
  }
  return batch;
}

double SummedLoss(const Decoder& model, const Adapter* adapter,
                  const PackedBatch& batch) {
  const at::Tensor hidden = model.ForwardRows(
      batch.tokens, batch.document_offsets, batch.target_rows, adapter);
  return ChunkedHeadLoss(hidden, model.head_weight(),
                         CrossEntropyRows(batch.targets))
      .item<double>();
}

}  // namespace

double EvaluationResult::Perplexity() const {
  return std::exp(loss_nats / static_cast<double>(target_tokens));
}

double EvaluationResult::BitsPerByte() const {
  return loss_nats / std::numbers::ln2 / static_cast<double>(target_bytes);
}

EvaluationResult Evaluate(
    const Decoder& model, const Adapter* adapter,
    const std::vector<TokenizedExample>& examples,
    const std::function<void(int64_t, int64_t)>& on_progress) {
  const at::NoGradGuard no_grad;
  EvaluationResult result;
  size_t next = 0;
  while (next < examples.size()) {
    const auto chosen = TakeBatch(examples, next);
    const PackedBatch batch = PackExamples(chosen);
    if (batch.target_rows.size(0) > 0)
      result.loss_nats += SummedLoss(model, adapter, batch);
    result.target_tokens += batch.target_rows.size(0);
    for (const TokenizedExample* example : chosen)
      result.target_bytes += example->target_bytes;
    result.examples = static_cast<int64_t>(next);
    if (on_progress)
      on_progress(result.examples, static_cast<int64_t>(examples.size()));
  }
  return result;
}

}  // namespace tandem
