#include "model/packed_batch.h"

#include <stdexcept>

#include "common/random.h"
#include "model/aten.h"

namespace tandem {
namespace {

at::Tensor LongTensor(const std::vector<int64_t>& values) {
  return at::tensor(at::ArrayRef<int64_t>(values), at::kLong);
}

}  // namespace

PackedBatch PackExamples(const std::vector<const TokenizedExample*>& examples) {
  std::vector<int64_t> tokens, rows, targets;
  std::vector<int64_t> offsets = {0};
  for (const TokenizedExample* example : examples) {
    const int64_t first = offsets.back();
    tokens.insert(tokens.end(), example->tokens.begin(), example->tokens.end());
    for (size_t i = 1; i < example->tokens.size(); ++i) {
      if (!example->is_target[i]) continue;
      rows.push_back(first + static_cast<int64_t>(i) - 1);
      targets.push_back(example->tokens[i]);
    }
    if (!example->tokens.empty()) {
      offsets.push_back(static_cast<int64_t>(tokens.size()));
    }
  }
  return {.tokens = LongTensor(tokens),
          .document_offsets = std::move(offsets),
          .target_rows = LongTensor(rows),
          .targets = LongTensor(targets)};
}

BatchSampler::BatchSampler(const std::vector<TokenizedExample>& examples,
                           int64_t batch_size, uint64_t seed)
    : examples_(examples), batch_size_(batch_size), seed_(seed) {
  if (examples.empty()) throw std::invalid_argument("no examples to sample");
  if (batch_size < 1) {
    throw std::invalid_argument("batch size is " + std::to_string(batch_size) +
                                ", expected at least 1");
  }
}

std::vector<int64_t> BatchSampler::NextIndices() {
  std::vector<int64_t> indices;
  while (static_cast<int64_t>(indices.size()) < batch_size_) {
    if (next_ == order_.size()) {
      SeededRandom random(DeriveSeed(seed_, "epoch", epoch_++));
      order_ = random.Permutation(static_cast<int64_t>(examples_.size()));
      next_ = 0;
    }
    indices.push_back(order_[next_++]);
  }
  return indices;
}

PackedBatch BatchSampler::Next() {
  std::vector<const TokenizedExample*> batch;
  for (int64_t index : NextIndices()) batch.push_back(&examples_[index]);
  return PackExamples(batch);
}

}  // namespace tandem
