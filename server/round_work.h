// The arithmetic of a round, done on the worker thread: objects in, objects
// out.
#ifndef TANDEM_SERVER_ROUND_WORK_H_
#define TANDEM_SERVER_ROUND_WORK_H_

#include <string>
#include <vector>

#include "common/status.h"
#include "model/tensor_map.h"
#include "privacy/secure_random.h"
#include "server/aggregation_rule.h"
#include "server/object_store.h"
#include "server/server_optimizer.h"
#include "server/state_store.h"

namespace tandem {

// The tensors of a safetensors object, views into its mapped file.
StatusOr<TensorMap> LoadTensors(const ObjectStore& objects,
                                const std::string& sha256);
// The digest of the object that they were stored as.
StatusOr<std::string> StoreTensors(ObjectStore& objects,
                                   const TensorMap& tensors);

struct AggregationWork {
  AggregationOptions aggregation;
  ServerOptimizerOptions optimizer;
  std::string global_adapter;
  std::string optimizer_state;  // "" before the first round
  std::vector<ContributionRow> contributions;
};

struct AggregationResult {
  TensorMap adapter;
  std::string optimizer_state;  // "" for an optimiser without one
};

// A pure function of the objects named and the noise. Errors of Aggregate,
// ApplyServerOptimizer and the object store.
StatusOr<AggregationResult> AggregateRound(ObjectStore& objects,
                                           const AggregationWork& work,
                                           NoiseSource* noise);

}  // namespace tandem

#endif  // TANDEM_SERVER_ROUND_WORK_H_
