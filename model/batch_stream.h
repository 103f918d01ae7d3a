// Micro-batches out of a stream of examples: what one forward and backward pass
// takes.
#ifndef TANDEM_MODEL_BATCH_STREAM_H_
#define TANDEM_MODEL_BATCH_STREAM_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "common/status.h"
#include "model/adapter_gradients.h"
#include "model/example_stream.h"
#include "model/packed_batch.h"

namespace tandem {

struct BatchOptions {
  int64_t examples = 4;  // of a micro-batch
  // Above 0 and in place of `examples`: as many as fit into so many tokens, at
  // least one.
  int64_t tokens = 0;
};

// Documents lie end to end, so that nothing is padded and an example that is
// not cut keeps its whole context.
struct PackingCounts {
  int64_t batches = 0;
  int64_t examples = 0;
  int64_t tokens = 0;
  // What the same batches would be as rectangles, each as wide as its longest
  // example.
  int64_t rectangle_tokens = 0;
  // The share of such rectangles that would be padding.
  double SavedPadding() const;
  // tokens / (batches * batch_tokens): how full batches of a token budget are.
  double Fill(int64_t batch_tokens) const;
};

class BatchStream {
 public:
  struct State {
    ExampleStream::State examples;
    PackingCounts packing;
  };

  BatchStream(ExampleStream examples, const BatchOptions& options);
  // Errors of ExampleStream::Next.
  StatusOr<PackedBatch> Next();

  State state() const;
  Status Restore(const State& state);

 private:
  StatusOr<TokenizedExample> TakeExample();
  bool HasRoom(int64_t examples, int64_t tokens) const;

  ExampleStream examples_;
  BatchOptions options_;
  PackingCounts packing_;
  // An example that did not fit, and where the stream was before it.
  std::optional<TokenizedExample> waiting_;
  ExampleStream::State before_waiting_;
};

// Micro-batches as terms of one step: the loss is the sum of all token losses
// divided by the number of all target tokens, as of one big batch, and not the
// mean of the micro-batches' means. A micro-batch without targets is left out.
// REQUIRES: the batches outlive the terms.
std::vector<LossTerm> AccumulatedTerms(const std::vector<PackedBatch>& batches);

}  // namespace tandem

#endif  // TANDEM_MODEL_BATCH_STREAM_H_
