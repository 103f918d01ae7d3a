#include "model/batch_stream.h"

#include <algorithm>
#include <utility>

#include "model/chunked_head_loss.h"

namespace tandem {

double PackingCounts::SavedPadding() const {
  if (rectangle_tokens == 0) return 0;
  return 1 -
         static_cast<double>(tokens) / static_cast<double>(rectangle_tokens);
}

double PackingCounts::Fill(int64_t batch_tokens) const {
  if (batches == 0 || batch_tokens == 0) return 0;
  return static_cast<double>(tokens) /
         (static_cast<double>(batches) * static_cast<double>(batch_tokens));
}

BatchStream::BatchStream(ExampleStream examples, const BatchOptions& options)
    : examples_(std::move(examples)), options_(options) {}

bool BatchStream::HasRoom(int64_t examples, int64_t tokens) const {
  if (examples <= 1) return true;
  return options_.tokens > 0 ? tokens <= options_.tokens
                             : examples <= options_.examples;
}

StatusOr<TokenizedExample> BatchStream::TakeExample() {
  if (!waiting_) return examples_.Next();
  TokenizedExample example = *std::move(waiting_);
  waiting_.reset();
  return example;
}

StatusOr<PackedBatch> BatchStream::Next() {
  std::vector<TokenizedExample> taken;
  int64_t tokens = 0, longest = 0;
  while (options_.tokens > 0 || HasRoom(taken.size() + 1, 0)) {
    const ExampleStream::State before = examples_.state();
    TANDEM_ASSIGN_OR_RETURN(TokenizedExample example, TakeExample());
    const int64_t length = static_cast<int64_t>(example.tokens.size());
    if (!HasRoom(taken.size() + 1, tokens + length)) {
      before_waiting_ = before;
      waiting_ = std::move(example);
      break;
    }
    tokens += length;
    longest = std::max(longest, length);
    taken.push_back(std::move(example));
  }
  const int64_t count = static_cast<int64_t>(taken.size());
  ++packing_.batches;
  packing_.examples += count;
  packing_.tokens += tokens;
  packing_.rectangle_tokens += count * longest;
  std::vector<const TokenizedExample*> documents;
  documents.reserve(taken.size());
  for (const TokenizedExample& example : taken) documents.push_back(&example);
  return PackExamples(documents);
}

BatchStream::State BatchStream::state() const {
  return {waiting_ ? before_waiting_ : examples_.state(), packing_};
}

Status BatchStream::Restore(const State& state) {
  waiting_.reset();
  packing_ = state.packing;
  return examples_.Restore(state.examples);
}

std::vector<LossTerm> AccumulatedTerms(
    const std::vector<PackedBatch>& batches) {
  int64_t targets = 0;
  for (const PackedBatch& batch : batches) targets += batch.targets.size(0);
  std::vector<LossTerm> terms;
  terms.reserve(batches.size());
  for (const PackedBatch& batch : batches) {
    const int64_t rows = batch.targets.size(0);
    if (rows == 0) continue;
    terms.push_back({&batch, CrossEntropyRows(batch.targets),
                     static_cast<double>(rows) / static_cast<double>(targets)});
  }
  return terms;
}

}  // namespace tandem
