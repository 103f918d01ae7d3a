// Several examples laid end to end, without padding: what the decoder takes.
#ifndef TANDEM_MODEL_PACKED_BATCH_H_
#define TANDEM_MODEL_PACKED_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/examples.h"

namespace tandem {

struct PackedBatch {
  at::Tensor tokens;                      // [tokens] int64
  std::vector<int64_t> document_offsets;  // document i is tokens[offsets[i],
                                          // offsets[i+1]); size documents + 1
  at::Tensor target_rows;  // [targets] int64: rows whose next token is a target
  at::Tensor targets;      // [targets] int64: those next tokens
};

PackedBatch PackExamples(const std::vector<const TokenizedExample*>& examples);

// The batches of an endless pass over `examples`: every epoch in a new order,
// derived from the seed alone. Deterministic.
class BatchSampler {
 public:
  // REQUIRES: examples is not empty and outlives the sampler.
  BatchSampler(const std::vector<TokenizedExample>& examples,
               int64_t batch_size, uint64_t seed);
  // Indices into `examples`.
  std::vector<int64_t> NextIndices();
  PackedBatch Next();

 private:
  const std::vector<TokenizedExample>& examples_;
  int64_t batch_size_;
  uint64_t seed_;
  uint64_t epoch_ = 0;
  std::vector<int64_t> order_;
  size_t next_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_MODEL_PACKED_BATCH_H_
