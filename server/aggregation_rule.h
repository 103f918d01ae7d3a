// Clients' updates into one mean delta: a pure function, whose result is the
// same bytes for any order of arrival and any number of threads.
#ifndef TANDEM_SERVER_AGGREGATION_RULE_H_
#define TANDEM_SERVER_AGGREGATION_RULE_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"
#include "model/tensor_map.h"
#include "privacy/gaussian_mechanism.h"
#include "privacy/secure_random.h"

namespace tandem {

// One accepted update.
struct ClientUpdate {
  std::string client_id;
  // Number of examples behind it. Not used where privacy is on.
  double weight = 0;
  // Local adapter minus global adapter, fp32; views into a mapped file will
  // do, at any alignment. Tensors are read block by block, so that memory does
  // not grow with the number of clients.
  TensorMap delta;
};

struct AggregationOptions {
  std::string rule = "fedavg";
  // Set: central differential privacy of whole updates. Unit "one client",
  // adjacency add/remove (privacy/gaussian_mechanism.h). Each update is
  // clipped over all its tensors together, all count alike, and the noisy sum
  // is divided by the fixed privacy->expected_clients.
  std::optional<GaussianOptions> privacy = std::nullopt;
};

// A rule by name. Both of them take the weighted mean of deltas,
// sum_i w_i delta_i / sum_i w_i, accumulated in double precision over clients
// in the order of their ids:
//   fedavg: of A and of B (McMahan et al. 2017; "FedIT" for LoRA). Biased for
//           the product: mean(B) mean(A) is not mean(B A).
//   ffa:    of B alone, A frozen at its initial value (FFA-LoRA, Sun et al.
//           2024), for which the product is averaged exactly. An update's A
//           deltas must be absent or zero.
struct AggregationRule {
  std::string_view name;
  bool freezes_lora_a;  // clients train and send B alone
};
// The table of all rules.
std::span<const AggregationRule> AggregationRules();
// InvalidArgument, listing the known names.
StatusOr<AggregationRule> FindAggregationRule(std::string_view name);

// The mean delta, fp32, of every tensor of `global` that the rule trains;
// tensors that it freezes are not in the result. `updates` come in any order.
// With privacy, `noise` must not be null, is drawn from serially, tensor by
// tensor in the order of names, and no update at all is a valid input (the
// release is then noise, as it must be). Nothing is changed in case of an
// error: InvalidArgument for an unknown rule, options out of range, no updates
// without privacy, a client that occurs twice, and an update (named by its
// client) whose weight is not finite and positive or whose names, shapes or
// dtypes differ from the global adapter's, or that is not finite.
StatusOr<TensorMap> Aggregate(const AggregationOptions& options,
                              const TensorMap& global,
                              std::span<const ClientUpdate> updates,
                              NoiseSource* noise);

}  // namespace tandem

#endif  // TANDEM_SERVER_AGGREGATION_RULE_H_
